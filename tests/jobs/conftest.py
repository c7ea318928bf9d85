"""Commands as modules."""

from __future__ import annotations

from types import ModuleType

import pytest

from perse_ray.commands import build_avatar as command


@pytest.fixture(scope="session")
def build_avatar() -> ModuleType:
    return command

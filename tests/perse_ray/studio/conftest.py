"""Fixtures of the studio's tests."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from studio_harness import HeldBuilder

from perse.data.images import encode_image


@pytest.fixture
def builder() -> HeldBuilder:
    return HeldBuilder()


@pytest.fixture(scope="session")
def photograph(astronaut: NDArray[np.uint8]) -> bytes:
    return encode_image(astronaut, "jpeg")

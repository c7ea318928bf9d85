"""The application from a deploy config: Serve hands its arguments over as they stand in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from perse_ray.serving.ray_serve.deployment import application


def test_arguments_come_as_a_file_has_them(workspace: Path) -> None:
    assert application({"workspaces": str(workspace), "num_cpus": 0.5}) is not None
    with pytest.raises(ValidationError, match="num_cpu"):
        application({"workspaces": str(workspace), "num_cpu": 0.5})

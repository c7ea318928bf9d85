"""One studio a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from perse.data.workspace import Workspace
from perse.data.workspace_lock import locked
from perse.errors import InputError
from perse_ray.studio.server import LOCK, serve_studio


def test_a_second_studio_over_a_folder_is_told_what_the_studio_s_own_command_can_do(tmp_path: Path) -> None:
    """Not to use --wait, which belongs to builds."""
    with locked(Workspace(str(tmp_path / LOCK))), pytest.raises(InputError, match="another studio") as caught:
        serve_studio(tmp_path, 0, None, lambda port: None)
    assert "--runs" in str(caught.value) and "--wait" not in str(caught.value) and "\n" not in str(caught.value)

"""Looking at an avatar from the command line: what is refused, and what is waited for."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from synthetic_avatar import synthetic_avatar

from perse.avatar import save_avatar
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse_ray.commands import view
from perse_ray.serving import local_viewer
from perse_ray.serving.library.training_source import FollowedWorkspace


def test_a_workspace_must_be_there_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no workspace"):
        view.found(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
    assert view.found(str(tmp_path)).location == str(tmp_path)
    assert view.found("s3://bucket/me").location == "s3://bucket/me"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} .* --port"):
            view.main(view.Arguments(workspace=str(tmp_path), port=port))


def test_it_waits_for_the_first_checkpoint(  # type: ignore[no-untyped-def]
    head_model, tiny_clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_viewer, "FOLLOW_S", 0.02)
    workspace = Workspace.open(tmp_path / "me")
    waiting = threading.Thread(target=local_viewer.wait_for_avatar, args=(FollowedWorkspace(workspace),), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    save_avatar(synthetic_avatar(head_model, tiny_clips), workspace.path / "avatar")
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    ("location", "name"), [("/a/me-2", "me-2"), ("s3://bucket/anna/", "anna"), ("/a/my face", "avatar")]
)
def test_an_avatar_is_called_like_its_workspace(location: str, name: str) -> None:
    assert local_viewer.avatar_id(Workspace(location)) == name

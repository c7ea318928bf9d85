"""Checkpoints on an object store: read back as written, and nothing is left in the temporary folder of the machine."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest

from perse.data.workspace import Workspace
from perse.training.checkpoint import Checkpoint
from perse_ray.registry.checkpoints import CheckpointFolder


def test_what_is_kept_beside_an_object_store_goes_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each was left behind once: a paper checkpoint is gigabytes, and every attempt and every evaluation made one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    workspace = Workspace.open("mock:///bucket/me")
    writer = CheckpointFolder(workspace, "train")
    writer.save(Checkpoint(5, {"state.json": b"{}"}))
    reader = CheckpointFolder(workspace, "train")
    found = reader.load()
    assert found is not None
    assert found.step == 5
    assert len(list(tmp_path.iterdir())) == 2, "each has a folder of its own while it lives"
    del writer, reader
    gc.collect()
    assert not list(tmp_path.iterdir())
    assert found.files["state.json"] == b"{}", "what was read does not need the folder"

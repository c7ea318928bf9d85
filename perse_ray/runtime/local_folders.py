"""Local folders for what only knows local folders, wherever the workspace lies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perse.data.workspace import Workspace


@contextmanager
def folder_to_fill(workspace: Workspace, name: str) -> Iterator[Path]:
    """A local folder whose files are in the workspace's folder when the block ends."""
    if workspace.is_local:
        yield workspace.path / name
        return
    with tempfile.TemporaryDirectory(prefix="perse-") as scratch:
        yield Path(scratch)
        for path in sorted(Path(scratch).iterdir()):
            workspace.write(f"{name}/{path.name}", path.read_bytes())


@contextmanager
def folder_copy(workspace: Workspace, name: str) -> Iterator[Path]:
    """Context with the workspace's folder to read from: itself, or a copy of its files."""
    if workspace.is_local:
        yield workspace.path / name
        return
    with tempfile.TemporaryDirectory(prefix="perse-") as scratch:
        for file in workspace.names(name):
            (Path(scratch) / file).write_bytes(workspace.read(f"{name}/{file}"))
        yield Path(scratch)

"""Checkpoints of a workspace, wherever it lies.

`perse.training.checkpoint` writes local folders. For a workspace on an object store they are written beside it, in a
temporary folder, and mirrored: files first, the manifest last, which is the commit there too.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from perse.data.workspace import Workspace
from perse.errors import WorkspaceError
from perse.training.checkpoint import (
    MANIFEST,
    UNFINISHED,
    Checkpoint,
    checkpoint_name,
    checkpoint_steps,
    load_checkpoint,
    save_checkpoint,
)

INDEX = "index.json"


@dataclass(frozen=True)
class CheckpointFolder:
    """Checkpoints of one stage.

    Attributes:
        workspace: where.
        stage: folder below ``checkpoints/``.
    """

    workspace: Workspace
    stage: str

    def load(self) -> Checkpoint | None:
        """Newest checkpoint that verifies."""
        if not self.workspace.is_local:
            self._fetch()
        return load_checkpoint(self._local)

    def newest(self) -> tuple[int, float] | None:
        """Step of the newest checkpoint, and when it was written (seconds since 1970), without fetching or verifying
        it; None if there is none."""
        here = self.workspace
        if here.is_local:
            steps = checkpoint_steps(here.path / "checkpoints" / self.stage)
            names = [checkpoint_name(step) for step in steps[:1]]
        else:
            names = sorted(self._remote())[-1:]
        for name in names:
            written = here.modified_s(f"checkpoints/{self.stage}/{name}/{MANIFEST}")
            if written is not None:  # otherwise it has just been replaced by a newer one
                return int(name.rpartition("-")[2]), written
        return None

    def files(self, step: int, names: Sequence[str]) -> dict[str, bytes]:
        """Files of a checkpoint, verified; those that are not asked for are neither fetched nor read.

        Raises:
            WorkspaceError: it is gone or damaged.
        """
        folder = f"checkpoints/{self.stage}/{checkpoint_name(step)}"
        digests = self.workspace.read_json(f"{folder}/{MANIFEST}").get("sha256", {})
        found = {name: self.workspace.read(f"{folder}/{name}") for name in names}
        for name, content in found.items():
            if digests.get(name) != hashlib.sha256(content).hexdigest():
                raise WorkspaceError(f"{name} of checkpoint {step} is damaged; training goes on from the one before it")
        return found

    def file_names(self, step: int) -> list[str]:
        """Names, in the workspace, of a checkpoint's files; none if there is no such checkpoint."""
        folder = f"checkpoints/{self.stage}/{checkpoint_name(step)}"
        if not self.workspace.has(f"{folder}/{MANIFEST}"):
            return []
        digests = self.workspace.read_json(f"{folder}/{MANIFEST}").get("sha256", {})
        return [f"{folder}/{name}" for name in (*digests, MANIFEST)]

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint.

        Raises:
            WorkspaceError: the folder cannot be written; older checkpoints are untouched.
        """
        if self.workspace.is_local:  # the stage's folder is made, whatever has taken its name
            self.workspace.local_path(f"checkpoints/{self.stage}/{checkpoint_name(checkpoint.step)}")
        folder = save_checkpoint(self._local, checkpoint)
        if not self.workspace.is_local:
            self._push(folder)

    def clear(self) -> None:
        """Remove all checkpoints: what they continue was made of other ingredients."""
        self.workspace.remove(f"checkpoints/{self.stage}")

    def problems(self, *, content: bool) -> Iterator[tuple[str, str]]:
        """Folders of checkpoints that are damaged or half written, each with what is wrong.

        Args:
            content: read the files, instead of looking whether they are there.
        """
        for name in self._folders():
            folder = f"checkpoints/{self.stage}/{name}"
            if name.endswith(UNFINISHED):
                yield folder, "is left over from a checkpoint that was interrupted"
            elif not self._is_whole(folder, content):
                yield folder, "is damaged"

    def _is_whole(self, folder: str, content: bool) -> bool:
        try:
            digests = json.loads(self.workspace.read(f"{folder}/{MANIFEST}"))["sha256"]
            if not content:
                return all(self.workspace.has(f"{folder}/{name}") for name in digests)
            return all(
                hashlib.sha256(self.workspace.read(f"{folder}/{name}")).hexdigest() == digest
                for name, digest in digests.items()
            )
        except (WorkspaceError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def _folders(self) -> list[str]:
        if not self.workspace.is_local:
            return self._remote()
        here = self.workspace.path / "checkpoints" / self.stage
        return sorted(path.name for path in here.glob("step-*") if path.is_dir())

    @cached_property
    def _local(self) -> Path:
        if self.workspace.is_local:
            return self.workspace.local_path(f"checkpoints/{self.stage}")
        folder = tempfile.mkdtemp(prefix="perse-checkpoints-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)  # some GB each; nobody else looks for them
        return Path(folder)

    def _push(self, folder: Path) -> None:
        names = sorted(path.name for path in folder.iterdir())
        for name in [*(n for n in names if n != MANIFEST), MANIFEST]:
            self.workspace.write(f"checkpoints/{self.stage}/{folder.name}/{name}", (folder / name).read_bytes())
        before = self._remote()
        keep = sorted({*before, folder.name})[-2:]
        self.workspace.write_json(f"checkpoints/{self.stage}/{INDEX}", {"checkpoints": keep})
        for old in set(before) - set(keep):
            self.workspace.remove(f"checkpoints/{self.stage}/{old}")

    def _fetch(self) -> None:
        for name in self._remote():
            source = f"checkpoints/{self.stage}/{name}"
            target = self._local / name
            if not target.exists():
                target.mkdir(parents=True)
                for file in self.workspace.names(source):
                    (target / file).write_bytes(self.workspace.read(f"{source}/{file}"))

    def _remote(self) -> list[str]:
        index = f"checkpoints/{self.stage}/{INDEX}"
        return list(self.workspace.read_json(index)["checkpoints"]) if self.workspace.has(index) else []


def broken_checkpoints(workspace: Workspace, *, content: bool) -> Iterator[tuple[str, str]]:
    """Folders of all stages' checkpoints that are damaged or half written, each with what is wrong."""
    stages = {name.split("/")[1] for name, _ in workspace.walk() if re.match("checkpoints/[^/]+/step-", name)}
    for stage in sorted(stages):
        yield from CheckpointFolder(workspace, stage).problems(content=content)

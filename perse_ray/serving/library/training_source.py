"""Avatar of a workspace that is still being built: the newest checkpoint, and in the end what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from perse.avatar.storage import DESCRIPTION_FILE, TENSORS_FILE
from perse.data.workspace import Workspace
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.serving.library.sources import WorkspacePlace
from perse_ray.serving.schema.errors import Unavailable

STAGES = {"train": "training", "finetune": "fine-tuning"}
"""Folders of checkpoints, and what people call them."""

FILES = (TENSORS_FILE, DESCRIPTION_FILE)
"""Of a checkpoint, the avatar; the optimiser's state is larger and nobody looks at it."""

NEWER_BY_S = 60.0
"""A checkpoint must be this much younger than the finished avatar to be of a later training: copying a workspace mixes
up the times of what lies in it."""


@dataclass(frozen=True)
class FollowedWorkspace:
    """A `Place` whose version says which step of the training it is."""

    workspace: Workspace

    def version(self) -> str:
        """Version of the avatar: ``training, step 1200``, ``fine-tuning, step 150`` or ``finished, 20 Nov 13:31``.

        Raises:
            Unavailable: nothing is there yet.
        """
        found: list[tuple[float, str]] = []
        for stage, words in STAGES.items():
            newest = CheckpointFolder(self.workspace, stage).newest()
            if newest is not None:
                found.append((newest[1], f"{words}, step {newest[0]}"))
        finished = self.workspace.modified_s(f"avatar/{DESCRIPTION_FILE}")
        if finished is not None:
            said = time.strftime("finished, %-d %b %H:%M", time.localtime(finished))
            found.append((finished + NEWER_BY_S, said))
        if not found:
            raise Unavailable(f"{self.workspace.location} has no avatar and no checkpoint of one yet")
        return max(found)[1]

    def fetch(self, version: str, into: Path) -> Path:
        """The avatar's folder; of a checkpoint, a copy in `into`.

        Raises:
            WorkspaceError: the checkpoint has made room for newer ones, or is damaged.
        """
        for stage, words in STAGES.items():
            if version.startswith(words):
                step = int(version.rpartition(" ")[2])
                into.mkdir(parents=True, exist_ok=True)
                for name, content in CheckpointFolder(self.workspace, stage).files(step, FILES).items():
                    (into / name).write_bytes(content)
                return into
        return WorkspacePlace(self.workspace).fetch(version, into)

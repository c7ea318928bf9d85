"""Export of the avatar as it is registered and served."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun

FILES = ("avatar/avatar.safetensors", "avatar/avatar.json")


class Export:
    """Stage from the last checkpoint to avatar/: safetensors and JSON."""

    name = "export"

    def __init__(self, last: str) -> None:
        self.after = (last,)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return ()

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        files, workspace = run.checkpoint(self.after[0]).files, run.request.workspace
        tensors, description = FILES
        # The description goes first and comes last: whoever finds both may load them, at any moment of this.
        workspace.remove(description)
        workspace.write(tensors, files["avatar.safetensors"])
        about = json.loads(files["avatar.json"])
        workspace.write(description, json.dumps(about, indent=1, sort_keys=True).encode())
        return {}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return FILES

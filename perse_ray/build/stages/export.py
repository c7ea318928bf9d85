"""The avatar as it is registered and served."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun

FILES = ("avatar/avatar.safetensors", "avatar/avatar.json")


class Export:
    """Last checkpoint → avatar/: safetensors and JSON."""

    name = "export"

    def __init__(self, last: str) -> None:
        self.after = (last,)

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        return ()

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        files, workspace = run.checkpoint(self.after[0]).files, run.request.workspace
        workspace.write("avatar/avatar.safetensors", files["avatar.safetensors"])
        description = json.loads(files["avatar.json"])
        workspace.write("avatar/avatar.json", json.dumps(description, indent=1, sort_keys=True).encode())
        return {}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return FILES

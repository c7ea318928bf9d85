"""Which stages of a build are finished.

A stage's manifest names a digest of its ingredients: its own configuration and the digests of the stages it builds
on. It is finished exactly when its manifest is there and names the digest that is wanted now; so a changed number
makes its stage again, and those behind it, and no others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from perse.data.keys import content_key
from perse.data.workspace import Workspace

Result = dict[str, Any]


@dataclass
class Stagebook:
    """The stages of one build, in the order they are met.

    Attributes:
        workspace: where the manifests are.
        digests: by stage, of this build's stages so far.
        seconds: by stage, of the run that made it.
        skipped: stages that were finished before.
    """

    workspace: Workspace
    digests: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def digest(self, stage: str, after: tuple[str, ...], *ingredients: object) -> str:
        """What a stage is made of: the stages it builds on, and values."""
        return content_key(stage, {name: self.digests[name] for name in after}, ingredients)

    def run(self, stage: str, digest: str, work: Callable[[], Mapping[str, Any]]) -> Result:
        """A stage's result, as it was left behind by an earlier run or made now.

        Args:
            work: does it and returns what later stages need to know, as JSON values.
        """
        self.digests[stage] = digest
        manifest = self.workspace.manifest(stage)
        if manifest is not None and manifest.get("inputs") == digest:
            self.skipped.append(stage)
        else:
            begin = time.perf_counter()
            result = json.loads(json.dumps(dict(work())))  # what a later run will read, to the type
            manifest = {"inputs": digest, "seconds": time.perf_counter() - begin, "result": result}
            self.workspace.commit(stage, manifest)
        self.seconds[stage] = float(manifest["seconds"])
        return dict(manifest["result"])

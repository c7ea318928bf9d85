"""Manifests of a build's finished stages.

A stage's manifest names a digest of its ingredients (its own configuration and the digests of the stages it builds on),
what those stages had made, and every file that it made, with size and sha256. A stage is finished exactly when its
manifest names the digest that is wanted now, the stages that it builds on still hold what it was made of, *and* its
files are what it says. So a changed number makes its stage again, and those behind it, and no others; and a file that
was lost or damaged is made again instead of being trusted. Where it comes out as it was, nothing behind it is touched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perse.data.keys import content_key
from perse.data.workspace import Workspace
from perse.errors import DamagedFile
from perse_ray.build.products import Depth, damaged, outputs_key, products_of

Result = dict[str, Any]
Tell = Callable[[str], None]


@dataclass
class StageManifests:
    """Manifests of one build's stages, in the order they are met.

    Attributes:
        workspace: where the manifests are.
        tell: where repairs are announced.
        depth: how far products are looked into before they are trusted.
        digests: by stage, of this build's stages so far.
        seconds: by stage, of the run that made it.
        skipped: stages that were finished before.
    """

    workspace: Workspace
    tell: Tell
    depth: Depth = Depth.CHANGED
    digests: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    _outputs: dict[str, str] = field(default_factory=dict)

    def digest(self, stage: str, after: Sequence[str], *ingredients: object) -> str:
        """Digest of what a stage is made of: the stages it builds on, and values."""
        return content_key(stage, {name: self.digests[name] for name in after}, ingredients)

    def version(self, stage: str, after: Sequence[str]) -> str:
        """Name of what a stage is made of, to the byte: its digest, and the files of the stages that it builds on. What
        it keeps between runs under that name was made of these files and not of earlier ones, which may differ where a
        stage does not give the same bytes twice."""
        return content_key(self.digests[stage], {name: self._outputs[name] for name in after})

    def run(
        self,
        stage: str,
        digest: str,
        work: Callable[[], Mapping[str, Any]],
        products: Callable[[Result], Sequence[str]],
        after: Sequence[str] = (),
    ) -> Result:
        """Result of a stage, as it was left behind by an earlier run or made now.

        Args:
            work: does it and returns what later stages need to know, as JSON values.
            products: names of the files that belong to a result.
            after: stages that it builds on.
        """
        self.digests[stage] = digest
        made_of = {name: self._outputs[name] for name in after}
        manifest = self._finished(stage, digest, made_of)
        if manifest is not None:
            self.skipped.append(stage)
        else:
            begin = time.perf_counter()
            result = json.loads(json.dumps(dict(work())))  # what a later run will read, to the type
            manifest = {
                "inputs": digest,
                "made_of": made_of,
                "seconds": time.perf_counter() - begin,
                "result": result,
                "products": products_of(self.workspace, products(result)),
            }
            self.workspace.commit(stage, manifest)
        self._outputs[stage] = outputs_key(manifest)
        self.seconds[stage] = float(manifest["seconds"])
        return dict(manifest["result"])

    def _finished(self, stage: str, digest: str, made_of: Mapping[str, str]) -> dict[str, Any] | None:
        """The manifest of a stage that need not be run."""
        try:
            manifest = self.workspace.manifest(stage)
            if manifest is None or manifest.get("inputs") != digest:
                return None
            if manifest.get("made_of", made_of) != made_of:
                self.tell(f"{stage}: what it was made of has changed; it is made again")
                return None
            return None if self._repaired(stage, manifest) else manifest
        except (DamagedFile, KeyError, TypeError, ValueError, AttributeError):
            self.tell(f"{stage}: its manifest is damaged; the stage is made again")
            return None

    def _repaired(self, stage: str, manifest: Mapping[str, Any]) -> bool:
        """Whether a finished stage has lost something; what is damaged is removed, so that it is made again."""
        broken = damaged(self.workspace, manifest, self.depth)
        for name, reason in broken:
            self.tell(f"{stage}: {name} {reason}; it is made again")
            self.workspace.remove(name)
        if broken:
            self.workspace.remove(f"manifests/{stage}.json")
        return bool(broken)

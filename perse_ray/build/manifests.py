"""Which stages of a build are finished.

A stage's manifest names a digest of its ingredients (its own configuration and the digests of the stages it builds on)
and every file that it made, with its size and, where the driver wrote it, its sha256. A stage is finished exactly when
its manifest names the digest that is wanted now *and* its files are what it says. So a changed number makes its stage
again, and those behind it, and no others; and a file that was lost or damaged is made again instead of being trusted.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perse.data.keys import content_key
from perse.data.workspace import Workspace

Result = dict[str, Any]
Tell = Callable[[str], None]

SHA256_UP_TO_BYTES = 64 * 2**20
"""Larger files, and files that workers wrote under their content keys, are known by their size: the driver does not
read a cluster's clips again."""

BY_SIZE_ALONE = ("clips/", "edits/")
"""Written by workers, one file a row."""


@dataclass(frozen=True)
class Product:
    """A file that a stage made.

    Attributes:
        size: bytes.
        sha256: hexadecimal; empty where only the size is known.
    """

    size: int
    sha256: str = ""


@dataclass
class StageManifests:
    """The stages of one build, in the order they are met.

    Attributes:
        workspace: where the manifests are.
        tell: where repairs are announced.
        digests: by stage, of this build's stages so far.
        seconds: by stage, of the run that made it.
        skipped: stages that were finished before.
    """

    workspace: Workspace
    tell: Tell
    digests: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    _changed: bool = False

    def digest(self, stage: str, after: Sequence[str], *ingredients: object) -> str:
        """What a stage is made of: the stages it builds on, and values."""
        return content_key(stage, {name: self.digests[name] for name in after}, ingredients)

    def run(
        self,
        stage: str,
        digest: str,
        work: Callable[[], Mapping[str, Any]],
        products: Callable[[Result], Sequence[str]],
    ) -> Result:
        """A stage's result, as it was left behind by an earlier run or made now.

        Args:
            work: does it and returns what later stages need to know, as JSON values.
            products: names of the files that belong to a result.
        """
        self.digests[stage] = digest
        before = self.workspace.manifest(stage)
        known = before if before is not None and before.get("inputs") == digest and not self._changed else None
        if known is not None and not self._repaired(stage, known):
            self.skipped.append(stage)
            manifest = known
        else:
            begin = time.perf_counter()
            result = json.loads(json.dumps(dict(work())))  # what a later run will read, to the type
            manifest = {
                "inputs": digest,
                "seconds": time.perf_counter() - begin,
                "result": result,
                "products": {name: vars(self._product(name)) for name in products(result)},
            }
            self.workspace.commit(stage, manifest)
            # What was made again should be what it was. On a GPU it may not be to the bit: then all behind it is stale.
            self._changed |= known is not None and known.get("products") != manifest["products"]
        self.seconds[stage] = float(manifest["seconds"])
        return dict(manifest["result"])

    def _repaired(self, stage: str, manifest: Mapping[str, Any]) -> bool:
        """Whether a finished stage has lost something; what is damaged is removed, so that it is made again."""
        broken = damaged(self.workspace, manifest)
        for name, reason in broken:
            self.tell(f"{stage}: {name} {reason}; it is made again")
            self.workspace.remove(name)
        if broken:
            self.workspace.remove(f"manifests/{stage}.json")
        return bool(broken)

    def _product(self, name: str) -> Product:
        size = self.workspace.size(name)
        assert size is not None, f"{name} was made a moment ago"
        if name.startswith(BY_SIZE_ALONE) or size > SHA256_UP_TO_BYTES:
            return Product(size)
        return Product(size, hashlib.sha256(self.workspace.read(name)).hexdigest())


def damaged(workspace: Workspace, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Files of a manifest that are not what it says, each with what is wrong with it."""
    found = []
    for name, values in manifest.get("products", {}).items():
        wanted = Product(**values)
        size = workspace.size(name)
        if size is None:
            found.append((name, "is missing"))
        elif size != wanted.size:
            found.append((name, f"has {size} bytes instead of {wanted.size}"))
        elif wanted.sha256 and hashlib.sha256(workspace.read(name)).hexdigest() != wanted.sha256:
            found.append((name, "is damaged"))
    return found

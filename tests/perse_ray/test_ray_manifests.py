"""A stage is finished only while its files are what its manifest says, and while it was made of what is there."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from perse.data.workspace import Workspace
from perse_ray.build.manifests import StageManifests
from perse_ray.build.products import Depth


@dataclass
class Chain:
    """Three stages, each a file; the second is made of the first, the third of the second. Counts what is made."""

    workspace: Workspace
    content: bytes = b"first"
    made: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def run(self, depth: Depth = Depth.CHANGED) -> tuple[str, ...]:
        """All stages; returns those that were finished."""
        manifests = StageManifests(self.workspace, self.lines.append, depth)
        before: tuple[str, ...] = ()
        for stage in ("one", "two", "three"):
            digest = manifests.digest(stage, before)
            manifests.run(stage, digest, lambda s=stage: self._made(s), lambda _, s=stage: [f"report/{s}"], before)
            before = (stage,)
        return tuple(manifests.skipped)

    def _made(self, stage: str) -> dict[str, str]:
        self.made[stage] += 1
        before = {"two": "one", "three": "two"}.get(stage)
        content = self.content if before is None else self.workspace.read(f"report/{before}") + b"+"
        self.workspace.write(f"report/{stage}", content)
        return {}


ALL = ("one", "two", "three")


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    chain = Chain(Workspace.open(tmp_path / "w"))
    assert chain.run() == () and chain.run() == ALL
    return chain


def rewritten(workspace: Workspace, name: str, content: bytes, *, unseen: bool = False) -> None:
    """Change a file in place; `unseen` keeps size, inode and times, as a failing disk does."""
    path = workspace.path / "report" / name
    times = path.stat()
    with open(path, "r+b") as stream:
        stream.truncate()
        stream.write(content)
    if unseen:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("content", [b"", b"firs", b"f1rst", b"firsts"])
def test_a_changed_product_is_made_again_and_nothing_else(chain: Chain, content: bytes) -> None:
    rewritten(chain.workspace, "one", content)
    assert chain.run() == ("two", "three")
    assert chain.workspace.read("report/one") == b"first"
    assert "report/one" in chain.lines[-1] and "made again" in chain.lines[-1]


def test_a_missing_product_is_made_again(chain: Chain) -> None:
    (chain.workspace.path / "report" / "two").unlink()
    assert chain.run() == ("one", "three") and chain.run() == ALL


def test_damage_that_nobody_sees_from_outside_is_found_when_asked_to_verify(chain: Chain) -> None:
    rewritten(chain.workspace, "one", b"f1rst", unseen=True)
    assert chain.run() == ALL, "size and time are as they were"
    assert chain.run(Depth.ALL) == ("two", "three")
    assert chain.workspace.read("report/one") == b"first"


def test_a_touched_file_whose_content_is_right_is_left_alone(chain: Chain) -> None:
    rewritten(chain.workspace, "one", b"first")
    assert chain.run() == ALL and not chain.lines


def test_what_comes_out_otherwise_makes_what_is_behind_it_stale(chain: Chain) -> None:
    chain.content = b"other"
    (chain.workspace.path / "report" / "one").unlink()
    assert chain.run() == ()
    assert chain.workspace.read("report/three") == b"other++"


def test_that_also_holds_when_the_manifest_was_removed_by_hand(chain: Chain) -> None:
    chain.content = b"other"
    chain.workspace.remove("manifests/one.json")
    assert chain.run() == () and chain.run() == ALL


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"inputs": 1}', b'{"products": 3}'])
def test_a_damaged_manifest_is_an_unfinished_stage(chain: Chain, content: bytes) -> None:
    chain.workspace.write("manifests/two.json", content)
    assert chain.run() == ("one", "three") and chain.run() == ALL


def test_what_is_kept_between_runs_is_named_by_the_bytes_it_was_made_of(chain: Chain) -> None:
    """Its digest stays: the same ingredients have come out otherwise, as they may on a GPU."""
    manifests = [StageManifests(chain.workspace, print) for _ in range(3)]
    for number, (one, content) in enumerate(zip(manifests, (b"first", b"first", b"other"), strict=True)):
        chain.workspace.remove("manifests/one.json")
        chain.content = content
        one.run("one", one.digest("one", ()), lambda: chain._made("one"), lambda _: ["report/one"])
        one.digests["two"] = one.digest("two", ("one",))
        assert one.digests == manifests[0].digests, number
    versions = [one.version("two", ("one",)) for one in manifests]
    assert versions[0] == versions[1] != versions[2]

"""A changed editor or a replaced weight file makes its edits anew, what is made of them, and nothing else."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ray_fakes import FakeAnimator, FakeEditor, fake_studio, small_portrait

from perse.attributes import Category
from perse.data import AttributePrompt, archive
from perse.data.workspace import Workspace
from perse.head import HeadModel
from perse.synthesis.production import EditorByCategoryConfig
from perse.synthesis.production.model_store import Weights
from perse.synthesis.seams import PortraitEditor
from perse_ray.rows import fingerprint as fingerprints
from perse_ray.rows import in_process
from perse_ray.rows.fingerprint import files_fingerprint, fingerprint
from perse_ray.rows.stage import Row
from perse_ray.synthesis.prompt_supply import ListSupply
from perse_ray.synthesis.stages import SynthesisConfig
from perse_ray.synthesis.synthesize import synthesize

HAT = AttributePrompt("hat-0000", Category.HAT, (), "fine", 1)
NOSE = AttributePrompt("nose-0000", Category.NOSE, (), "fine", 2)


@dataclass(frozen=True)
class WeightedEditor:
    """The fake editor with a folder of weights and a file of its own."""

    journal: str
    weights: Weights
    table: Path

    def build(self, head: HeadModel) -> PortraitEditor:
        return FakeEditor(self.journal)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "model.safetensors").write_bytes(b"first")
    (folder / "table.json").write_text("{}")
    return folder


def studio(tmp_path: Path, weights: Path) -> SynthesisConfig:
    heavy = WeightedEditor(str(tmp_path / "j"), Weights(name="mine", folder=weights), weights / "table.json")
    editor = EditorByCategoryConfig(default=FakeEditor(str(tmp_path / "j")), by_category=((Category.HAT, heavy),))
    return replace(fake_studio(tmp_path / "j"), editor=editor)


def rewritten(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns + 10**9))


def changed(before: Row, after: Row) -> set[str]:
    return {name for name in ("edit", "verdict", "clip") if before[name] != after[name]}


@pytest.mark.parametrize("file", ["unet/model.safetensors", "table.json"])
def test_other_weights_are_other_edits(tmp_path: Path, weights: Path, file: str) -> None:
    before = studio(tmp_path, weights)
    hat, nose = before.row("me", HAT), before.row("me", NOSE)
    assert studio(tmp_path, weights).row("me", HAT) == hat
    rewritten(weights / file, b'{"a": 1}')
    after = studio(tmp_path, weights)
    assert changed(hat, after.row("me", HAT)) == {"edit", "verdict", "clip"}
    assert changed(nose, after.row("me", NOSE)) == set(), "the other editor has nothing to do with these files"


def test_weights_may_lie_elsewhere_and_their_names_count(tmp_path: Path, weights: Path) -> None:
    here = studio(tmp_path, weights).row("me", HAT)
    shutil.copytree(weights, tmp_path / "moved" / "weights")
    elsewhere = studio(tmp_path, tmp_path / "moved" / "weights")
    assert changed(here, elsewhere.row("me", HAT)) == set()
    moved = tmp_path / "moved" / "weights"
    a, b = (moved / "unet" / "model.safetensors").read_bytes(), (moved / "table.json").read_bytes()
    rewritten(moved / "unet" / "model.safetensors", b)
    rewritten(moved / "table.json", a)
    swapped = studio(tmp_path, moved).row("me", HAT)
    assert changed(here, swapped) == {"edit", "verdict", "clip"}, "the same contents under each other's names"


def test_changed_code_is_never_served_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "j"
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, small_portrait())

    def run() -> list[str]:
        done = len(journal.read_text().splitlines()) if journal.exists() else 0
        synthesize(workspace, fake_studio(journal), ListSupply((HAT,)), execute=in_process.run, show=lambda _: None)
        return journal.read_text().splitlines()[done:]

    assert run() == ["animate reference", "edit hat-0000", "animate hat-0000"]
    assert run() == []
    monkeypatch.setattr(fingerprints, "code_version", lambda module: "of tomorrow")
    assert run() == ["animate reference", "edit hat-0000", "animate hat-0000"]


def test_who_screens_and_films_has_a_part_in_its_own_keys_only(tmp_path: Path, weights: Path) -> None:
    before = fake_studio(tmp_path / "j").row("me", HAT)

    @dataclass(frozen=True)
    class Filmed(FakeAnimator):
        background: Path = weights / "table.json"

    filming = replace(fake_studio(tmp_path / "j"), animator=Filmed(str(tmp_path / "j")))
    first = filming.row("me", HAT)
    assert changed(before, first) == {"clip"}
    rewritten(weights / "table.json", b"{ }")
    again = replace(filming).row("me", HAT)
    assert changed(first, again) == {"clip"}


def test_trainings_depend_on_files_and_not_on_code(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Weights(name="mine", folder=weights)
    files, everything = files_fingerprint(config), fingerprint(config)
    monkeypatch.setattr(fingerprints, "code_version", lambda module: "of tomorrow")
    assert files_fingerprint(config) == files and fingerprint(config) != everything
    rewritten(weights / "unet" / "model.safetensors", b"second")
    assert files_fingerprint(config) != files
    assert files_fingerprint(Weights(name="absent", folder=weights / "nowhere")) == files_fingerprint()

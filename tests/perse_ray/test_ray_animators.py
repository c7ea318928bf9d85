"""Several animators in one run: each clip knows its own, and one that cannot film an edit spoils no other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ray_fakes import FakeAnimator, fake_studio, small_portrait

from perse.attributes import Category
from perse.data import AttributePrompt, EditedPortrait, PortraitClip, TrackedPortrait, archive
from perse.data.workspace import Workspace
from perse.errors import GenerationError, MissingWeightsError
from perse.head import HeadModel
from perse.synthesis.production import AnimatorByCategoryConfig
from perse.synthesis.seams import PortraitAnimator, Shot
from perse_ray.rows import in_process
from perse_ray.synthesis.prompt_supply import ListSupply
from perse_ray.synthesis.synthesize import synthesize

HAT = AttributePrompt("hat-0000", Category.HAT, (), "fine", 1)
NOSE = AttributePrompt("nose-0000", Category.NOSE, (), "fine", 2)


@dataclass(frozen=True)
class BlackFrames:
    """An animator whose network draws nothing."""

    strength: float = 1.0

    def build(self, head: HeadModel) -> PortraitAnimator:
        return self

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        raise GenerationError("frame 3 of the clip is black")


def test_a_broken_clip_goes_to_quarantine_and_the_run_goes_on(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, small_portrait())
    animator = AnimatorByCategoryConfig(
        default=FakeAnimator(str(tmp_path / "j")), by_category=((Category.HAT, BlackFrames()),)
    )
    studio = replace(fake_studio(tmp_path / "j"), animator=animator)
    found = synthesize(workspace, studio, ListSupply((HAT, NOSE)), execute=in_process.run)
    assert [subject.prompt.key for subject in found.subjects] == ["nose-0000"]
    (row,) = found.quarantined
    assert (row.name, row.stage, row.error) == ("hat-0000", "animate", "frame 3 of the clip is black")


@dataclass(frozen=True)
class Weightless:
    """An animator whose weights went after the run had looked for them."""

    def build(self, head: HeadModel) -> PortraitAnimator:
        raise MissingWeightsError("model.safetensors is damaged: fetch it again")


def test_weights_that_went_cost_their_own_category(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, small_portrait())
    animator = AnimatorByCategoryConfig(
        default=FakeAnimator(str(tmp_path / "j")), by_category=((Category.HAT, Weightless()),)
    )
    studio = replace(fake_studio(tmp_path / "j"), animator=animator)
    found = synthesize(workspace, studio, ListSupply((HAT, NOSE)), execute=in_process.run)
    assert [subject.prompt.key for subject in found.subjects] == ["nose-0000"]
    (row,) = found.quarantined
    assert row.error == "its animator cannot be built: model.safetensors is damaged: fetch it again"
    alone = replace(animator, default=Weightless())
    with pytest.raises(MissingWeightsError, match="fetch it again"):
        alone.build(None)  # type: ignore[arg-type]


def test_another_animator_of_hats_leaves_the_noses_clips_alone(tmp_path: Path) -> None:
    default = FakeAnimator(str(tmp_path / "j"))
    before, after = (
        replace(
            fake_studio(tmp_path / "j"),
            animator=AnimatorByCategoryConfig(default=default, by_category=((Category.HAT, BlackFrames(strength)),)),
        )
        for strength in (1.0, 2.0)
    )
    assert before.row("me", NOSE) == after.row("me", NOSE) and before.row("me", None) == after.row("me", None)
    assert before.row("me", HAT)["edit"] == after.row("me", HAT)["edit"]
    assert before.row("me", HAT)["clip"] != after.row("me", HAT)["clip"]
    alone = replace(fake_studio(tmp_path / "j"), animator=default)
    assert alone.row("me", NOSE)["clip"] == before.row("me", NOSE)["clip"], "who films hats is not the noses' concern"

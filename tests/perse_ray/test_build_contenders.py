"""Contenders: the same steps, a budget in processor time, shared clips that are divided fairly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from synthetic_avatar import PART_BASES, START, synthetic_avatar

from perse.attributes import Category
from perse.avatar import Avatar, AvatarConfig, StartConfig, Subject
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.recipes import tiny
from perse.training import ClipStore, TrainingConfig
from perse_ray.build.contenders import Contender, steps_in, train_contender
from perse_ray.build.shared_clips import SharedClips

CONTENDER = Contender(
    name="one", avatar=AvatarConfig(decoder=PART_BASES), start=START, training=TrainingConfig(edits_per_step=2)
)


@dataclass
class TinyClips:
    """Shared clips without a workspace."""

    head: object
    clips: object
    recipe = tiny()

    def avatar(self, config: AvatarConfig, start: StartConfig, seed: int) -> Avatar:
        return synthetic_avatar(self.head, self.clips, decoder=config.decoder)

    def training(self) -> ClipStore:
        return ClipStore([clip for clip, _ in self.clips])  # type: ignore[attr-defined]


@pytest.fixture
def shared(head_model, tiny_clips) -> TinyClips:  # type: ignore[no-untyped-def]
    return TinyClips(head_model, tiny_clips)


def test_a_contender_trains_the_same_twice_and_says_what_it_cost(shared) -> None:  # type: ignore[no-untyped-def]
    lines: list[str] = []
    first, second = (train_contender(shared, CONTENDER, 5, 0, lines.append) for _ in range(2))
    assert first.steps == 5 and first.cpu_s > 0 and first.wall_s > 0
    for name, value in first.avatar.state_dict().items():
        assert torch.equal(value, second.avatar.state_dict()[name]), name
    assert lines[-1].startswith("  one: step 5 of 5")
    other = train_contender(shared, CONTENDER, 5, 1, lines.append)
    assert not torch.equal(other.avatar.decoder.base, first.avatar.decoder.base)


def test_a_budget_becomes_steps_in_its_proportion(shared, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """With a clock that says each step takes a quarter of a second."""
    ticks = iter([10.0, 11.5] * 2)
    monkeypatch.setattr("perse_ray.build.contenders.time.process_time", lambda: next(ticks))
    assert steps_in(shared, CONTENDER, 30.0, 0) == 120
    assert steps_in(shared, CONTENDER, 0.1, 0) == 1


def test_the_last_of_each_category_are_held_out(tmp_path) -> None:  # type: ignore[no-untyped-def]
    categories = [None, *[Category.HAT] * 4, *[Category.BEARD] * 3, Category.NOSE]
    names = tuple(f"{i}" for i in range(len(categories)))
    clips = SharedClips(
        workspace=Workspace.open(str(tmp_path)), recipe=tiny(),
        subjects=tuple(Subject(n, c, "") for n, c in zip(names, categories, strict=True)), clips=names, features=names,
    )  # fmt: skip
    train, held_out = clips.divided([Category.HAT, Category.BEARD], 1)
    assert [s.key for s in train.subjects] == ["0", "1", "2", "3", "5", "6"]
    assert train.clips == train.features == ("0", "1", "2", "3", "5", "6")
    assert [s.key for s in held_out.subjects] == ["4", "7"]
    with pytest.raises(InputError, match="1 clips of nose"):
        clips.divided([Category.NOSE], 1)
    with pytest.raises(InputError, match="no finished clips"):
        SharedClips.of(replace(clips).workspace, tiny())

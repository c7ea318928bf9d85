"""Clips that do not fit into memory train the same avatar, to the bit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from perse.attributes import Category
from perse.data import archive
from perse.head import HeadModel
from perse.morphing import Morph, MorphEnd
from perse.recipes import ClusterUse, Recipe, recipe_named
from perse.render import CpuRasterizer
from perse.training import (
    Checkpoint,
    ClipStore,
    FineTuneConfig,
    FineTuner,
    MorphRequest,
    MorphTarget,
    SingleReplica,
    Trainer,
    TrainingConfig,
    avatar_of,
)
from perse_ray.training.clips import load_clips, training_frames, unseen_frames
from perse_ray.training.loops import FineTuning, TrainingLoop
from perse_ray.training.morph_work import MorphMaker, MorphTask
from perse_ray.training.pooled_morphs import PoolStats, cross_fade
from perse_ray.training.seam import WorkerPlace

FITS = ClusterUse().clips_mib
ALONE = WorkerPlace(torch.device("cpu"), SingleReplica())
Small = tuple[TrainingLoop, Trainer]


def test_the_store_is_chosen_by_size_and_says_so(small_training: Small, caplog: pytest.LogCaptureFixture) -> None:
    loop, _ = small_training
    caplog.set_level(logging.INFO, logger="perse_ray.training.clips")
    decoded = load_clips(loop.workspace, loop.clips, FITS)
    assert not decoded.streamed and not caplog.records
    streamed = load_clips(loop.workspace, loop.clips, 0)
    assert streamed.streamed and "decoded when they are needed" in caplog.text
    assert streamed.keys == decoded.keys and (streamed.frame_numbers == decoded.frame_numbers).all()


def test_batches_are_equal_in_training_and_in_unseen_frames(small_training: Small) -> None:
    loop, _ = small_training
    rng = np.random.default_rng(0)
    for cut in (lambda clips: training_frames(clips, (0, 200, 300)), lambda clips: unseen_frames(clips, (0,))):
        decoded, streamed = (cut(load_clips(loop.workspace, loop.clips, mib)) for mib in (FITS, 0))
        assert streamed.streamed and not decoded.streamed
        assert decoded.n_frames == streamed.n_frames == 3
        subjects, frames = rng.integers(0, decoded.n_subjects, 12), rng.integers(0, 3, 12)
        a, b = decoded.batch(subjects, frames), streamed.batch(subjects, frames)
        assert (a.images == b.images).all() and (a.alphas == b.alphas).all() and (a.parts == b.parts).all()


def test_training_ends_with_the_same_bytes(small_training: Small) -> None:
    loop, trainer = small_training

    def trained(clips_mib: int) -> Checkpoint:
        training = replace(loop, clips_mib=clips_mib).build(start, ALONE)
        assert training.trainer.clips.streamed == (clips_mib == 0)
        while training.step_number < loop.steps:
            training.step()
        return training.checkpoint()

    start = Trainer(trainer.avatar, trainer.clips, loop.training, rasterizer=loop.rasterizer).checkpoint()
    assert trained(0).files == trained(FITS).files


def test_the_frames_of_the_next_steps_are_announced_where_they_are_streamed(
    small_training: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, trainer = small_training
    announced: list[tuple[int, int]] = []
    original = ClipStore.expect

    def noting(self: ClipStore, subjects: Sequence[int], frames: Sequence[int]) -> None:
        announced.extend(zip(subjects, frames, strict=True))
        original(self, subjects, frames)

    start = Trainer(trainer.avatar, trainer.clips, loop.training, rasterizer=loop.rasterizer).checkpoint()
    for clips_mib, ahead in ((0, 3), (FITS, 0)):
        training = replace(loop, clips_mib=clips_mib).build(start, ALONE)
        wanted = set()
        for step in range(ahead + 1):
            sample = training.trainer.sample(step)
            wanted |= set(zip(sample.subject_of_frame, sample.frames, strict=True))
        announced.clear()
        with monkeypatch.context() as patch:
            patch.setattr(ClipStore, "expect", noting)
            training.step()
        assert set(announced) == wanted


class Fades:
    """A source of morphs that needs no actors."""

    def __init__(self, clips: ClipStore) -> None:
        self._clips, self.stats = clips, PoolStats()

    def get(self, request: MorphRequest) -> MorphTarget:
        return cross_fade(request, self._clips)

    def serve(self, tuner: FineTuner) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""


def test_fine_tuning_ends_with_the_same_bytes(small_training: Small) -> None:
    loop, trainer = small_training
    config = FineTuneConfig(training=TrainingConfig(steps=3, edits_per_step=2), alphas_per_step=2, hold_pivots=False)
    start = trainer.checkpoint()

    def tuned(clips_mib: int) -> Checkpoint:
        clips = training_frames(load_clips(loop.workspace, loop.clips, clips_mib), loop.frames)
        stage = Trainer(avatar_of(start), clips, config.training, rasterizer=CpuRasterizer(threads=1))
        source = Fades(clips)
        tuning = FineTuning(FineTuner(stage, source, config), source, 0.0)  # type: ignore[arg-type]
        while tuning.step_number < 3:
            tuning.step()
        return tuning.checkpoint()

    assert tuned(0).files == tuned(FITS).files


def test_morph_actors_read_the_frames_that_they_are_asked_for(small_training: Small, head_model: HeadModel) -> None:
    loop, _ = small_training
    ends: list[MorphEnd] = []

    class Recorder:
        def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
            ends.extend((first, second))
            images, alphas = (np.stack([one] * len(positions)) for one in (first.image, first.alpha))
            return Morph(np.asarray(positions, np.float32), images, alphas)

    task = MorphTask(loop.clips[1], loop.clips[2], Category.HAT, 200, (0.25, 0.5))
    made = MorphMaker(loop.workspace, head_model, Recorder())(task).arrays
    whole = [archive.load_clip(loop.workspace, key) for key in loop.clips[1:3]]
    for end, clip in zip(ends, whole, strict=True):
        assert (end.image == clip.images[2]).all() and (end.alpha == clip.alphas[2]).all()
    assert made["images"].shape[0] == 2


def test_the_recipes_keep_what_they_can() -> None:
    def decoded_mib(recipe: Recipe) -> float:
        frames = len(recipe.filming.train_frames) + len(recipe.filming.test_frames)
        subjects = 1 + sum(count for _, count in recipe.prompts.counts)
        return subjects * frames * recipe.filming.size_px**2 * 5 / 2**20

    laptop, paper = recipe_named("laptop"), recipe_named("paper")
    assert decoded_mib(laptop) < laptop.cluster.clips_mib
    assert decoded_mib(paper) > 50 * paper.cluster.clips_mib

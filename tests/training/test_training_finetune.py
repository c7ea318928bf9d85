"""Fine-tuning on interpolations: the schedule is known ahead, and the middle learns without the ends forgetting."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_avatar import PART_BASES, synthetic_avatar
from synthetic_subjects import Look, film

from perse.attributes import Category
from perse.avatar import Subject, interpolate
from perse.render import CpuRasterizer
from perse.training import (
    INTERIOR_ALPHAS,
    ClipStore,
    FineTuneConfig,
    FineTuner,
    LearningRates,
    MorphRequest,
    Trainer,
    TrainingConfig,
    morph_pairs,
    morph_request,
)
from perse.training.finetune import changed_mask

SUBJECTS = [
    Subject(str(i), category, "")
    for i, category in enumerate([None, *[Category.HAT] * 3, *[Category.NOSE] * 2, Category.HAIR])
]
FRAMES = np.arange(0, 40, 8, dtype=np.int32)
CONFIG = FineTuneConfig(
    training=TrainingConfig(steps=40, warmup_steps=2, rates=LearningRates(points=2e-3, bases=1e-2)), alphas_per_step=2
)


class Mixer:
    """Cross-fades the two clips: a morph nobody would want, but one with a known answer."""

    def __init__(self, clips: ClipStore) -> None:
        self._clips = clips

    def get(self, requests: list[MorphRequest]) -> list[np.ndarray]:
        out = []
        for request in requests:
            a, b = (
                self._clips.clip(row).images[request.frame].astype(float) for row in (request.first, request.second)
            )
            out.append(np.stack([((1 - t) * a + t * b).round().astype(np.uint8) for t in request.alphas]))
        return out


def test_the_schedule_is_a_function_of_seed_and_step() -> None:
    ahead = [morph_request(1, step, SUBJECTS, FRAMES, 3) for step in range(20)]
    assert ahead == [morph_request(1, step, SUBJECTS, FRAMES, 3) for step in reversed(range(20))][::-1]
    assert ahead != [morph_request(2, step, SUBJECTS, FRAMES, 3) for step in range(20)]


def test_all_pairs_of_a_category_come_equally_often() -> None:
    pairs = morph_pairs(SUBJECTS)
    assert pairs == [(1, 2), (1, 3), (2, 3), (4, 5)]
    seen = Counter((r.first, r.second) for r in (morph_request(0, s, SUBJECTS, FRAMES, 2) for s in range(40)))
    assert seen == Counter({pair: 10 for pair in pairs})


def test_requests_name_interior_alphas_and_real_frames() -> None:
    for step in range(30):
        request = morph_request(0, step, SUBJECTS, FRAMES, 3)
        assert list(request.alphas) == sorted(set(request.alphas))
        assert set(request.alphas) <= set(INTERIOR_ALPHAS)
        assert request.frame_number == FRAMES[request.frame]
        assert request.category is SUBJECTS[request.first].category


def test_without_pairs_there_is_nothing_to_do() -> None:
    with pytest.raises(ValueError, match="nothing to interpolate"):
        morph_request(0, 0, SUBJECTS[4:5], FRAMES, 3)


@pytest.fixture(scope="module")
def tuned(head_model, tiny_clips):  # type: ignore[no-untyped-def]
    """An avatar with two shirts, trained a little, and its fine-tuner."""
    from perse.synthesis.motion import load_motion

    numbers = tiny_clips[0][0].frame_numbers
    other = film(head_model, Look(Category.CLOTHES, shirt=(0.9, 0.8, 0.2)), load_motion(head_model), numbers, 64)
    clips = [*tiny_clips[:4], (other, Category.CLOTHES)]
    store = ClipStore([clip for clip, _ in clips])
    avatar = synthetic_avatar(head_model, clips, decoder=PART_BASES)
    stage1 = Trainer(avatar, store, TrainingConfig(steps=60, edits_per_step=2), rasterizer=CpuRasterizer())
    for _ in range(30):
        stage1.step()
    trainer = Trainer(avatar, store, CONFIG.training, rasterizer=CpuRasterizer())
    return FineTuner(trainer, Mixer(store), CONFIG)


def test_the_middle_learns_and_the_pivots_stay(tuned) -> None:  # type: ignore[no-untyped-def]
    trainer, clips = tuned.trainer, tuned.trainer.clips
    request = tuned.request(0)
    assert request.category is Category.CLOTHES

    def errors() -> tuple[float, float]:
        codes = trainer.avatar.subject_codes().detach()
        middle = interpolate(codes[request.first], codes[request.second], 0.5)
        canonical = trainer.avatar.canonicalise(torch.stack([middle, codes[request.first], codes[request.second]]))
        drawn = trainer.draw(canonical, range(3), [3] * 3).colors.detach()
        ends = clips.batch([request.first, request.second], [3, 3]).images.float() / 255
        mask = changed_mask(replace(request, frame=3), clips)
        wrong = (drawn - torch.cat([ends.mean(0, keepdim=True), ends])).abs().mean(-1)[:, mask].mean(1)
        return float(wrong[0]), float(wrong[1:].mean())

    middle_before, pivots_before = errors()
    for _ in range(25):
        tuned.step()
    middle_after, pivots_after = errors()
    assert middle_after < middle_before
    assert pivots_after < pivots_before + 0.005


def test_the_interpolation_loss_sees_the_changed_part_only(tuned) -> None:  # type: ignore[no-untyped-def]
    """Targets that are wrong everywhere else change nothing."""
    request = tuned.request(0)
    mask = changed_mask(request, tuned.trainer.clips).numpy()
    honest = tuned._source

    class Vandal:
        def get(self, requests: list[MorphRequest]) -> list[np.ndarray]:
            spoilt = [morph.copy() for morph in honest.get(requests)]
            for morph in spoilt:
                morph[:, ~mask] = 0
            return spoilt

    vandal = FineTuner(tuned.trainer, Vandal(), CONFIG)
    ours, theirs = float(tuned.gradients(request).total), float(vandal.gradients(request).total)
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_a_trainer_with_other_numbers_is_refused(tuned) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="own training numbers"):
        FineTuner(tuned.trainer, tuned._source, replace(CONFIG, training=TrainingConfig(steps=1)))

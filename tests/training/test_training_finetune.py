"""Fine-tuning on interpolations: the schedule is known ahead, and the middle learns without the ends forgetting."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_avatar import PART_BASES, synthetic_avatar
from synthetic_subjects import Look, film
from tolerances import SINGLE_SUM

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
    MorphSchedule,
    MorphTarget,
    Trainer,
    TrainingConfig,
    morph_pairs,
)
from perse.training.finetune import _changed
from perse.training.replicas import SingleReplica

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

    def get(self, request: MorphRequest) -> MorphTarget:
        a, b = (self._clips.clip(row).images[request.frame].astype(float) for row in (request.first, request.second))
        mixed = [((1 - t) * a + t * b).round().astype(np.uint8) for t in request.alphas]
        return MorphTarget(request.alphas, np.stack(mixed))


def requests(steps: range, *, seed: int = 0, alphas: int = 3, rank: int = 0, world: int = 1) -> list[MorphRequest]:
    schedule = MorphSchedule(seed, SUBJECTS, FRAMES, alphas)
    return [schedule.request(step, rank=rank, world=world) for step in steps]


def test_the_schedule_is_a_function_of_seed_and_step() -> None:
    ahead = requests(range(20), seed=1)
    assert ahead == requests(range(19, -1, -1), seed=1)[::-1]
    assert ahead != requests(range(20), seed=2)


def test_workers_share_the_passes_of_one_worker() -> None:
    alone = requests(range(24))
    shared = [requests(range(8), rank=rank, world=3) for rank in range(3)]
    assert [shared[i % 3][i // 3] for i in range(24)] == alone


def test_every_subject_with_a_partner_comes_equally_often_whatever_its_category() -> None:
    """The paper takes 40 pairs a subject; drawn over pairs, the largest category would get nearly all of them."""
    assert morph_pairs(SUBJECTS) == [(1, 2), (1, 3), (2, 3), (4, 5)]
    seen = requests(range(5 * 12))
    assert Counter(r.category for r in seen) == {Category.HAT: 36, Category.NOSE: 24}
    assert Counter((r.first, r.second) for r in seen) == {(1, 2): 12, (1, 3): 12, (2, 3): 12, (4, 5): 24}


def test_requests_name_interior_alphas_and_real_frames() -> None:
    for request in requests(range(30)):
        assert list(request.alphas) == sorted(set(request.alphas))
        assert set(request.alphas) <= set(INTERIOR_ALPHAS)
        assert request.frame_number == FRAMES[request.frame]
        assert request.category is SUBJECTS[request.first].category


def test_without_pairs_there_is_nothing_to_do() -> None:
    with pytest.raises(ValueError, match="nothing to interpolate"):
        MorphSchedule(0, SUBJECTS[4:5], FRAMES, 3)


def changed(request: MorphRequest, clips: ClipStore) -> torch.Tensor:
    """The mask [h, w] of a request whose teacher gives none."""
    pivots = clips.batch((0, request.first, request.second), [request.frame] * 3)
    return _changed(pivots, request.category, MorphTarget(request.alphas, np.zeros((1, 1, 1, 3), np.uint8)))


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
        mask = changed(replace(request, frame=3), clips)
        wrong = (drawn - torch.cat([ends.mean(0, keepdim=True), ends])).abs().mean(-1)[:, mask].mean(1)
        return float(wrong[0]), float(wrong[1:].mean())

    middle_before, pivots_before = errors()
    for _ in range(25):
        tuned.step()
    middle_after, pivots_after = errors()
    assert middle_after < middle_before
    assert pivots_after < pivots_before + 0.005


def test_a_step_of_two_shares_holds_the_pivots_of_both_their_categories(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    """Whoever makes them: the gradients of all shares are in every replica's update."""
    from perse.synthesis.motion import load_motion

    numbers = tiny_clips[0][0].frame_numbers
    looks = [Look(Category.CLOTHES, shirt=(0.9, 0.8, 0.2)), Look(Category.HAT, hat=(0.1, 0.8, 0.2))]
    films = [(film(head_model, look, load_motion(head_model), numbers, 64), look.category) for look in looks]
    clips = [*tiny_clips[:4], *films]
    store = ClipStore([clip for clip, _ in clips])
    avatar = synthetic_avatar(head_model, clips, decoder=PART_BASES)
    trainer = Trainer(avatar, store, CONFIG.training, rasterizer=CpuRasterizer(), replicas=SingleReplica(2))
    tuner = FineTuner(trainer, Mixer(store), CONFIG)
    while len({request.category for request in tuner.requests()}) < 2:
        trainer.step_number += 1
    tuner._hold_pivots()
    before = [basis.detach().clone() for basis in avatar.decoder.bases]
    tuner.step()
    for category in {request.category.index for request in tuner.requests(trainer.step_number - 1)}:
        change = avatar.decoder.bases[category].detach() - before[category]
        free = avatar.decoder.free_part(category, change, avatar.latents.reference)
        assert change.abs().max() > 1e-4
        torch.testing.assert_close(change, free, atol=1e-6, rtol=1e-4)  # float32: a projection of steps of 1e-4 to 1e-2


def test_the_interpolation_loss_sees_the_changed_part_only(tuned) -> None:  # type: ignore[no-untyped-def]
    """Targets that are wrong everywhere else change nothing."""
    request = tuned.request(0)
    mask = changed(request, tuned.trainer.clips).numpy()
    honest = tuned._source

    class Vandal:
        def get(self, request: MorphRequest) -> MorphTarget:
            spoilt = honest.get(request)
            spoilt.images[:, ~mask] = 0
            return spoilt

    vandal = FineTuner(tuned.trainer, Vandal(), CONFIG)
    ours, theirs = float(tuned.gradients(request).total), float(vandal.gradients(request).total)
    assert ours == pytest.approx(theirs, rel=SINGLE_SUM)


def test_a_trainer_with_other_numbers_is_refused(tuned) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="own training numbers"):
        FineTuner(tuned.trainer, tuned._source, replace(CONFIG, training=TrainingConfig(steps=1)))


class Teacher:
    """A mixer that knows where its pictures show the part, or that evens out its pace."""

    def __init__(self, inner: Mixer, parts: np.ndarray | None = None, alphas: tuple[float, ...] | None = None) -> None:
        self._inner, self._parts, self._alphas = inner, parts, alphas

    def get(self, request: MorphRequest) -> MorphTarget:
        target = self._inner.get(request)
        return replace(target, parts=self._parts, alphas=self._alphas or target.alphas)


def total(tuned, source, config: FineTuneConfig = CONFIG) -> float:  # type: ignore[no-untyped-def]
    tuner = FineTuner(tuned.trainer, source, config)
    return float(tuner.gradients(tuner.request(0)).total)


def test_the_teachers_own_part_masks_and_places_are_used(tuned) -> None:  # type: ignore[no-untyped-def]
    plain = total(tuned, tuned._source)
    nothing = np.zeros((2, 64, 64), np.bool_)
    blind = replace(CONFIG, elsewhere_share=0.0)
    assert total(tuned, Teacher(tuned._source, nothing), blind) < total(tuned, tuned._source, blind)
    # Above float32's rounding of the same total.
    assert total(tuned, Teacher(tuned._source, alphas=(0.01, 0.02))) != pytest.approx(plain, rel=1e-6)


def test_the_interpolation_loss_is_a_sum_over_its_pictures(tuned) -> None:  # type: ignore[no-untyped-def]
    """Eq. 39. The pivots' part of the total does not depend on how many pictures lie between them."""
    one, two = (replace(CONFIG, alphas_per_step=n, interpolation_weight=1.0) for n in (1, 2))
    without = total(tuned, tuned._source, replace(CONFIG, interpolation_weight=0.0))
    single = total(tuned, Teacher(tuned._source), one) - without
    double = total(tuned, Teacher(tuned._source), two) - without
    assert double > 1.5 * single


def test_the_pivots_keep_their_regularisers(tuned) -> None:  # type: ignore[no-untyped-def]
    """L_z of Eq. 12 is part of the total on the pivots in stage 2 too."""
    held = replace(CONFIG.training, losses=replace(CONFIG.training.losses, latent=10.0))
    trainer = Trainer(tuned.trainer.avatar, tuned.trainer.clips, held, rasterizer=CpuRasterizer())
    other = FineTuner(trainer, tuned._source, replace(CONFIG, training=held))
    codes = trainer.avatar.subject_codes(torch.tensor([0, other.request(0).first, other.request(0).second]))
    gap = float(other.gradients(other.request(0)).total) - total(tuned, tuned._source)
    assert gap == pytest.approx(10 * float(codes.square().mean()), rel=1e-3)  # a difference of two float32 totals

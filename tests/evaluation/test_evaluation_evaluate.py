"""Evaluation on constructed cases: what each number must be is known beforehand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from synthetic_avatar import synthetic_avatar
from tolerances import SINGLE_SUM

from perse.attributes import Category, Part
from perse.errors import StageError
from perse.evaluation import (
    EvaluationConfig,
    changed_part,
    edit_gain,
    evaluate,
    interpolation_pairs,
    multi_scale_distance,
    path_scores,
    pose_distances,
    structural_similarity,
    unchanged,
)
from perse.evaluation.pictures import MAX_PSNR_DB, psnr, squared_error
from perse.losses import ssim
from perse.render import CpuRasterizer

QUICK = EvaluationConfig(frames=3, mixes=2, edits_per_mix=2, pairs_per_category=1, interpolation_steps=4)


@pytest.fixture(scope="module")
def avatar(head_model, tiny_clips):  # type: ignore[no-untyped-def]
    return synthetic_avatar(head_model, tiny_clips)


@pytest.fixture(scope="module")
def report(avatar, tiny_clips):  # type: ignore[no-untyped-def]
    clips = [clip for clip, _ in tiny_clips]
    return evaluate(
        avatar, clips, QUICK, rasterizer=CpuRasterizer(), training_motion=clips[0].parameters.frame(torch.arange(4))
    )


def test_psnr_of_a_known_error() -> None:
    a = torch.zeros(4, 4, 3)
    # DB: float32 rounding of an error of .01 is 1e-6 of it, 5e-6 dB.
    assert psnr(squared_error(a, a + 0.1)) == pytest.approx(20.0, abs=1e-4)
    assert psnr(squared_error(a, a)) == MAX_PSNR_DB
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = True
    b = a.clone()
    b[0, 0] = 0.1
    assert psnr(squared_error(a, b, mask)) == pytest.approx(20.0, abs=1e-4)  # dB: as above
    assert math.isnan(squared_error(a, b, np.zeros((4, 4), bool)))


def test_an_edit_that_did_not_take_gains_nothing() -> None:
    truth = torch.rand(2, 8, 8, 3)
    reference = torch.rand(2, 8, 8, 3)
    changed = np.zeros((2, 8, 8), bool)
    changed[:, 2:5, 2:5] = True
    assert edit_gain(reference, reference, truth, changed) == 0
    assert edit_gain(truth, reference, truth, changed) > 20
    assert edit_gain(reference, truth, truth, changed) < -20
    halfway = 0.5 * (truth + reference)
    # DB: float32 rounding of two errors.
    assert edit_gain(halfway, reference, truth, changed) == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert math.isnan(edit_gain(truth, reference, truth, np.zeros_like(changed)))


def test_what_lies_outside_the_changed_part_cannot_earn_a_gain() -> None:
    truth, reference = torch.rand(2, 1, 8, 8, 3)
    changed = np.zeros((1, 8, 8), bool)
    changed[:, :4] = True
    own = reference.clone()
    own[:, 4:] = truth[:, 4:]
    assert edit_gain(own, reference, truth, changed) == 0


def test_the_changed_part_is_seen_in_either_picture() -> None:
    ours = np.full((1, 32, 32), Part.SKIN, np.uint8)
    theirs = ours.copy()
    ours[0, :4] = Part.HEADWEAR
    theirs[0, 4:8] = Part.HAIR
    changed = changed_part(Category.HAT, ours, theirs)
    assert changed[0, :8].all() and not changed[0, 8:].any()
    assert not changed_part(Category.BEARD, ours, theirs).any()
    rest = unchanged([changed])
    assert not (rest & changed).any()
    assert not rest[0, 8].any()  # the border counts as neither
    assert rest[0, 12:].all()


def test_similarity_agrees_with_the_losses_definition() -> None:
    a = torch.rand(2, 64, 48, 3)
    b = (a + 0.2 * torch.rand(2, 64, 48, 3)).clamp(0, 1)
    ours = structural_similarity(a, b)
    for i in range(2):
        # Float32 variances are differences of means of squares: four digits are left.
        assert float(ours[i]) == pytest.approx(float(ssim(a[i], b[i], inner=True)), abs=1e-4)
    torch.testing.assert_close(structural_similarity(a, a), torch.ones(2))


def test_the_distance_is_a_norm_that_sees_all_scales() -> None:
    a, b, c = torch.rand(3, 1, 64, 64, 3)
    ab, bc, ac = (float(multi_scale_distance(x, y)) for x, y in ((a, b), (b, c), (a, c)))
    assert float(multi_scale_distance(a, a)) == 0
    assert ac <= ab + bc
    assert float(multi_scale_distance(a, a + 0.5 * (b - a))) == pytest.approx(0.5 * ab, rel=SINGLE_SUM)
    # A tint counts fully, noise of the same size less: from afar it averages out.
    noise = torch.randint(0, 2, (1, 64, 64, 3)).float() - 0.5
    assert float(multi_scale_distance(a, a + 0.5)) == pytest.approx(0.5, abs=SINGLE_SUM)
    assert float(multi_scale_distance(a, a + noise)) < 0.3


def test_a_straight_even_path_scores_one_and_zero() -> None:
    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean((1, 2, 3))

    start, end = torch.zeros(1, 8, 8, 3), torch.ones(1, 8, 8, 3)
    even = torch.cat([start + t * (end - start) for t in torch.linspace(0, 1, 5)])
    total, deviation = path_scores(even, distance)
    assert total == pytest.approx(1) and deviation == pytest.approx(0, abs=1e-6)  # float32 rounding of five means
    jump = torch.cat([start, start, start, end, end])
    total, deviation = path_scores(jump, distance)
    assert total == pytest.approx(1) and deviation == pytest.approx(math.sqrt(3) / 4)
    detour = torch.cat([start, end, start, end, end])
    assert path_scores(detour, distance)[0] == pytest.approx(3)
    assert math.isnan(path_scores(even[[0, 2, 0]], distance)[0])


def test_pairs_share_a_category_and_are_limited() -> None:
    from perse.avatar import Subject

    kinds = [None, *[Category.HAT] * 4, *[Category.NOSE] * 2, Category.HAIR]
    subjects = [Subject(str(i), kind, "") for i, kind in enumerate(kinds)]
    pairs = interpolation_pairs(subjects, 3, seed=0)
    assert len(pairs) == 4
    assert all(subjects[a].category == subjects[b].category for a, b in pairs)
    assert pairs == interpolation_pairs(subjects, 3, seed=0)


def test_a_seen_pose_is_at_distance_zero(avatar, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    parameters = tiny_clips[0][0].parameters
    distances = pose_distances(avatar, parameters.frame(torch.arange(6)), parameters.frame(torch.arange(3)))
    # Radians and units: cdist takes a root of a float32 difference of squares.
    assert max(distances.of_frame[:3]) < 1e-3
    assert min(distances.of_frame[3:]) > 0.5
    assert distances.largest == max(distances.of_frame)


def test_the_report_has_a_row_for_every_category_and_the_reference(report, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    present = {category for _, category in tiny_clips}
    assert {row.category for row in report.by_category} == present
    assert report.by_category[-1].category is None
    assert math.isnan(report.by_category[-1].edit_gain_db)
    assert sum(row.n_subjects for row in report.by_category) == report.n_subjects == len(tiny_clips)
    assert report.n_frames == 3


def test_even_the_first_guess_of_an_edit_gains_and_stays_in_its_part(report) -> None:  # type: ignore[no-untyped-def]
    """Initialised from the clips, before any training."""
    gains = {row.category: row.edit_gain_db for row in report.by_category if row.category is not None}
    assert gains[Category.CLOTHES] > 3
    assert gains[Category.HAT] > 1
    assert all(row.leakage < 0.02 for row in report.by_category if row.category is not None)


def test_a_report_is_valid_json_without_nan(report) -> None:  # type: ignore[no-untyped-def]
    text = json.dumps(report.to_json(), allow_nan=False)
    values = json.loads(text)
    assert values["by_category"][-1] | {"category": "reference", "edit_gain_db": None} == values["by_category"][-1]
    assert values["needs_weights"] == ["lpips", "fid", "kid"]
    assert values["identity"] is None
    assert values["interpolation"] is None  # one subject in each category


def test_a_teacher_who_shows_the_avatars_own_pictures_is_at_distance_zero(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    from perse.avatar import interpolate
    from perse.evaluation.interpolations import distances_from_morphs
    from perse.evaluation.viewing import Viewer

    clips = [*tiny_clips, (tiny_clips[2][0], tiny_clips[2][1])]
    avatar = synthetic_avatar(head_model, clips)
    motion = avatar.skeleton(clips[0][0].parameters)
    viewer = Viewer(avatar, motion, clips[0][0].camera, CpuRasterizer()).at([4])
    codes = avatar.subject_codes().detach()

    class Parrot:
        def between(self, first, second, category, alphas):  # type: ignore[no-untyped-def]
            assert category is Category.HAT and len(first) == len(second) == 1
            said = torch.cat([viewer.pictures(interpolate(codes[2], codes[6], a)) for a in alphas])
            return (said * 255).round().to(torch.uint8).numpy()

    (distance,) = distances_from_morphs(viewer, [clip for clip, _ in clips], [4], (2, 6), Parrot())
    assert distance < 0.5 / 255


def test_other_subjects_clips_are_refused(avatar, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StageError, match="not the avatar's subjects"):
        evaluate(avatar, [clip for clip, _ in tiny_clips[::-1]], QUICK, rasterizer=CpuRasterizer())

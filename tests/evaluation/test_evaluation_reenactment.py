"""Self-reenactment's pieces: the window of a portrait in its picture, scores, strips."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from tolerances import PIXELS

from perse.errors import MissingWeightsError
from perse.evaluation.learned_distance import LearnedDistance
from perse.evaluation.reenactment import (
    FilmedSets,
    comparison_strip,
    crop_window,
    first_frame_repeated,
    on_white_beyond,
    reenact,
    score,
)


def test_the_window_of_a_portrait_is_found_in_its_picture() -> None:
    rng = np.random.default_rng(0)
    there = rng.uniform(100, 400, (478, 3)).astype(np.float32)
    portrait = SimpleNamespace(landmarks_px=there, image=np.zeros((512, 512, 3), np.uint8))
    here = there.copy()
    here[:, :2] = there[:, :2] * 0.25 + (30, -12)
    assert crop_window(here, portrait) == pytest.approx((30, -12, 128), abs=PIXELS)  # type: ignore[arg-type]


def test_scores_leave_the_given_frame_out_and_the_truth_is_best() -> None:
    truth = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8)
    scene = SimpleNamespace(truth=truth)
    best, first = score(truth, scene, None), score(first_frame_repeated(scene), scene, None)  # type: ignore[arg-type]
    assert best.psnr == 60 and best.ssim == pytest.approx(1) and best.lpips is None
    # Two independent uniform pictures differ by 1/6 in the mean of squares: 7.8 dB.
    assert first.psnr == pytest.approx(7.8, abs=0.3) and first.ssim < 0.1


def test_what_the_video_does_not_show_counts_for_nobody() -> None:
    """Below a video's edge a crop goes on with repeated pixels: an animator that draws nobody there is not wrong."""
    shown = np.ones((32, 32), np.float32)
    shown[20:] = 0
    film = np.random.default_rng(1).integers(0, 255, (3, 32, 32, 3), np.uint8)
    drawn = film.copy()
    drawn[:, 20:] = 90
    animator = SimpleNamespace(animate=lambda *_: SimpleNamespace(images=drawn))
    scene = SimpleNamespace(truth=on_white_beyond(film, shown), shown=shown, portrait=None, shot=None)
    assert (scene.truth[:, 20:] == 255).all()
    assert score(reenact(scene, animator), scene, None).psnr == 60  # type: ignore[arg-type]


def test_sets_are_of_all_videos_and_leave_the_given_frame_out() -> None:
    rng = np.random.default_rng(4)
    scenes = [SimpleNamespace(truth=rng.integers(0, 255, (5, 16, 16, 3), np.uint8)) for _ in range(3)]
    sets = FilmedSets(lambda pictures: pictures.reshape(len(pictures), -1)[:, :6].astype(np.float64))
    for scene in scenes:
        same = scene.truth.copy()
        same[0] = 0  # the frame that everybody was given counts for nothing
        sets.add(scene, {"same": same, "darker": scene.truth // 2})  # type: ignore[arg-type]
    sets.add(scenes[0], {"late": scenes[0].truth})  # type: ignore[arg-type]
    found = sets.distances()
    # Float64 of variances of some thousands, whose root is taken; 3e-11 here.
    assert found["same"].frechet == pytest.approx(0, abs=1e-6) and found["same"].pictures == 12
    assert found["darker"].frechet > 1000 and found["darker"].kernel > found["same"].kernel
    assert found["late"].pictures == 4


def test_a_strip_has_a_line_a_row_and_eight_frames_at_most() -> None:
    rows = [np.full((20, 64, 64, 3), shade, np.uint8) for shade in (0, 100, 200)]
    strip = comparison_strip(rows, tile_px=16)
    assert strip.shape == (48, 128, 3)
    assert [int(strip[16 * i + 3, 5, 0]) for i in range(3)] == [0, 100, 200]


def test_lpips_needs_its_backbone(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("lpips")
    with pytest.raises(MissingWeightsError, match="there is no file"):
        LearnedDistance(tmp_path / "model.safetensors")


def test_lpips_of_equal_pictures_is_zero_and_grows(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("lpips")
    import torch
    from safetensors.torch import save_file
    from torchvision.models import vgg16

    torch.manual_seed(0)
    features = {name: value for name, value in vgg16(weights=None).state_dict().items() if name.startswith("features.")}
    save_file(features, tmp_path / "model.safetensors")
    distance = LearnedDistance(tmp_path / "model.safetensors")
    one = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), np.uint8)
    near = np.clip(one.astype(int) + 10, 0, 255).astype(np.uint8)
    assert distance(one, one) == 0 < distance(near, one) < distance(255 - one, one)

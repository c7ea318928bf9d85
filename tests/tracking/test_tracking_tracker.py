"""Tracking real photographs, and refusing those that cannot be tracked."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from shape_checker import unchecked

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.errors import PortraitError
from perse.head import HeadModel, Joint, pose_head
from perse.tracking import MediapipeTracker, MediapipeTrackerConfig, detect_landmarks
from perse.tracking import landmarks as marks


@pytest.fixture(scope="module")
def tracker(head_model: HeadModel) -> MediapipeTracker:
    return MediapipeTracker(MediapipeTrackerConfig(), head_model)


@pytest.fixture(scope="module")
def tracked(tracker: MediapipeTracker, astronaut: np.ndarray) -> TrackedPortrait:
    return tracker.track(astronaut)


@pytest.fixture(scope="module")
def hopper() -> np.ndarray:
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def test_framing_follows_the_contract(tracked: TrackedPortrait) -> None:
    points = tracked.landmarks_px
    assert tracked.image.shape == (512, 512, 3) and points.shape == (478, 3)
    # Float32 coordinates of some hundred pixels through the crop's map and back.
    assert tracked.face_width_px == pytest.approx(512 / 3.2, abs=0.01)
    assert points[:468, 1].min() == pytest.approx(1.1 * tracked.face_width_px, abs=0.01)
    assert (points[:468, 0].min() + points[:468, 0].max()) / 2 == pytest.approx(256, abs=0.01)  # pixels, as above


def test_the_crop_shows_the_photograph(tracked: TrackedPortrait) -> None:
    """Landmarks found again on the crop itself agree with those carried over from the photograph."""
    again = detect_landmarks(tracked.image)
    assert again is not None
    distance = np.linalg.norm(again[:468, :2] - tracked.landmarks_px[:468, :2], axis=1)
    assert np.median(distance) < 2.0  # px of a face 160 px wide


def test_beyond_the_border_the_picture_is_continued(tracked: TrackedPortrait) -> None:
    outside = tracked.inside == 0
    assert 0.02 < outside.mean() < 0.3 and outside[0].all() and not outside[200:300].any()
    # Continued, not filled: near the border it looks like the border.
    first = int(np.argmax(tracked.inside[:, 256] > 0))
    assert np.abs(tracked.image[first - 2].astype(int) - tracked.image[first + 1]).mean() < 8


def test_the_fit_is_close_and_frontal(tracked: TrackedPortrait, head_model: HeadModel) -> None:
    assert tracked.fit_rms_px < 0.9
    pose = tracked.head.pose
    assert float(pose[Joint.GLOBAL].abs().max()) == 0 and float(pose[Joint.NECK].abs().max()) < 0.3
    vertices = pose_head(head_model, tracked.head).vertices
    pixels, _ = tracked.camera.project(head_model.landmarks(vertices))
    ids = head_model.landmark_ids.numpy()
    distance = np.linalg.norm(pixels.numpy() - tracked.landmarks_px[ids, :2], axis=1)[:468]
    assert np.sqrt((distance**2).mean()) < 1.2  # ears moved afterwards: hardly any landmark follows them


def test_masks_divide_the_picture(tracked: TrackedPortrait) -> None:
    masks = tracked.masks
    assert (masks.soft.astype(int).sum(0) == 255).all()
    difference = np.abs(255 - masks.soft[Part.BACKGROUND].astype(int) - masks.person)
    assert difference.max() <= 2


def test_parts_lie_where_they_belong(tracked: TrackedPortrait) -> None:
    labels, points = tracked.masks.labels, tracked.landmarks_px

    def label_at(x: float, y: float) -> Part:
        return Part(int(labels[int(y), int(x)]))

    assert label_at(*points[marks.NOSE_TIP, :2]) == Part.NOSE
    assert label_at(*points[list(marks.LIPS_OUTER), :2].mean(0)) == Part.MOUTH
    assert label_at(*points[marks.LEFT_IRIS_CENTER, :2]) == Part.EYES
    assert label_at(*points[50, :2]) == Part.SKIN  # a cheek
    assert label_at(256, 100) == Part.HAIR
    assert label_at(points[marks.CHIN, 0], points[marks.CHIN, 1] + 8) == Part.NECK
    assert label_at(256, 500) == Part.CLOTHES
    assert label_at(20, 100) == Part.BACKGROUND
    share = {part: float(tracked.masks[part].mean()) for part in Part}
    assert share[Part.HAIR] > 0.08 and share[Part.BROWS] > 0.001 and share[Part.EARS] > 0.0005
    assert share[Part.BEARD] == share[Part.HEADWEAR] == share[Part.HEADPHONES] == share[Part.EARRINGS] == 0


def test_the_hair_outline_is_soft(tracked: TrackedPortrait) -> None:
    rim = (tracked.masks.person > 20) & (tracked.masks.person < 235)
    assert 500 < rim[: int(tracked.landmarks_px[1, 1])].sum() < 12_000


def test_tracking_is_deterministic(tracker: MediapipeTracker, astronaut: np.ndarray, tracked: TrackedPortrait) -> None:
    again = tracker.track(astronaut)
    assert again.key == tracked.key
    np.testing.assert_array_equal(again.landmarks_px, tracked.landmarks_px)
    np.testing.assert_array_equal(again.masks.soft, tracked.masks.soft)
    assert torch.equal(again.head.vertex_offsets, tracked.head.vertex_offsets)


def test_a_hat_is_headwear_and_not_hair(tracker: MediapipeTracker, hopper: np.ndarray) -> None:
    portrait = tracker.track(hopper)
    labels = portrait.masks.labels
    assert labels[150, 256] == Part.HEADWEAR
    assert portrait.masks[Part.HEADWEAR].mean() > 3 * portrait.masks[Part.HAIR].mean()
    assert portrait.masks[Part.BEARD].mean() < 0.002  # a share of the picture: some pixels of a shaven face's shade
    assert portrait.fit_rms_px < 0.9


def test_a_painted_beard_is_seen(tracked: TrackedPortrait) -> None:
    """Dark brown strands painted over chin and cheeks of the same face."""
    from perse.tracking import ProceduralParser

    image, points = tracked.image.copy(), tracked.landmarks_px
    canvas = np.zeros(image.shape[:2], np.uint8)
    face = points[list(marks.FACE_OVAL), :2].astype(np.int32)
    cv2.fillPoly(canvas, [face], 1)
    canvas[: int(points[marks.NOSE_BASE, 1]) + 6] = 0
    cv2.fillPoly(canvas, [points[list(marks.LIPS_OUTER), :2].astype(np.int32)], 0)
    tone = np.random.default_rng(0).normal(1, 0.2, canvas.shape)[..., None] * np.array([62, 44, 34])
    image = np.where(canvas[..., None] > 0, np.clip(tone, 0, 255).astype(np.uint8), image)
    beard = ProceduralParser().parse(image, points)[Part.BEARD]
    inside = canvas > 0
    assert beard[inside].mean() > 0.7
    assert beard[~inside].sum() < 0.2 * beard.sum()  # the lips' rim and the soft edge


def test_no_face_is_said(tracker: MediapipeTracker) -> None:
    noise = np.random.default_rng(0).integers(80, 180, (300, 400, 3), np.uint8)
    with pytest.raises(PortraitError, match="no face was found"):
        tracker.track(noise)


def test_several_faces_need_a_choice(tracker: MediapipeTracker, astronaut: np.ndarray, hopper: np.ndarray) -> None:
    left = cv2.resize(hopper, (256, 300), interpolation=cv2.INTER_AREA)
    both = np.concatenate([np.pad(left, ((0, 212), (0, 0), (0, 0))), astronaut], 1)
    with pytest.raises(PortraitError, match=r"2 faces.*--face N"):
        tracker.track(both)
    with pytest.raises(PortraitError, match="no face 3"):
        tracker.track(both, face=3)
    second = tracker.track(both, face=2)
    alone = tracker.track(astronaut)
    assert np.abs(second.landmarks_px[:468, :2] - alone.landmarks_px[:468, :2]).mean() < 1.0


def test_a_face_too_small_is_said(tracker: MediapipeTracker, astronaut: np.ndarray) -> None:
    small = cv2.resize(astronaut, (200, 200), interpolation=cv2.INTER_AREA)
    with pytest.raises(PortraitError, match="px wide, at least 48"):
        tracker.track(small)


@pytest.mark.parametrize("level", [0.1, 0.02])
def test_a_dark_picture_is_said(tracker: MediapipeTracker, astronaut: np.ndarray, level: float) -> None:
    with pytest.raises(PortraitError, match="too dark"):
        tracker.track((astronaut * level).astype(np.uint8))


def test_a_profile_is_refused(tracker: MediapipeTracker) -> None:
    import skimage.data

    cameraman = np.repeat(skimage.data.camera()[..., None], 3, axis=2)
    with pytest.raises(PortraitError, match=r"turned|no face was found|px wide"):
        tracker.track(cameraman)


def test_wrong_arrays_are_the_callers_mistake(tracker: MediapipeTracker) -> None:
    with pytest.raises(ValueError, match="uint8"):
        unchecked(MediapipeTracker.locate)(tracker, np.zeros((10, 10), np.uint8))


def test_importing_tracking_does_not_import_mediapipe() -> None:
    import subprocess
    import sys

    code = "import sys, perse.tracking, perse.identity; sys.exit(any(m in sys.modules for m in ('mediapipe', 'dlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

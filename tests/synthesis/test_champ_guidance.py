"""Guidance maps: near is bright, normals face the camera, everything moves with the head; the folder keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from perse.data import TrackedPortrait
from perse.errors import GenerationError
from perse.head import HeadModel, HeadParameters, Joint
from perse.synthesis.production.guidance import (
    KINDS,
    Guidance,
    GuidanceConfig,
    LandmarkKeypointMapsConfig,
    projected_landmarks,
)
from perse.synthesis.production.guidance.folder import NOTE, load_guidance, save_guidance
from perse.synthesis.production.guidance.keypoint_maps import PictureKeypointMaps
from perse.synthesis.production.keypoints import AuxKeypoints, LandmarkKeypoints
from perse.synthesis.production.portrait_champ.footage import FootageConfig, longest_run

SIZE = 96


def turned(portrait: TrackedPortrait, *yaws_deg: float) -> HeadParameters:
    """The portrait's head, turned about the neck."""
    head = portrait.head
    pose = head.pose[None].repeat(len(yaws_deg), 1, 1)
    pose[:, Joint.NECK, 1] = torch.deg2rad(torch.tensor(yaws_deg))
    return HeadParameters(head.betas, head.vertex_offsets, head.expression[None].repeat(len(yaws_deg), 1), pose)


@pytest.fixture(scope="module")
def maps(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> Guidance:
    drawer = GuidanceConfig().build(head_model)
    return drawer.draw(turned(tracked_astronaut, 0, 25), [tracked_astronaut.camera] * 2, SIZE)


def test_the_nose_is_nearest_and_faces_the_camera(maps: Guidance, tracked_astronaut: TrackedPortrait) -> None:
    scale = SIZE / tracked_astronaut.image.shape[1]
    column, row = (tracked_astronaut.landmarks_px[1, :2] * scale).astype(int)
    depth = maps.depth[0, ..., 0]
    assert depth[row, column] > np.percentile(depth[depth > 0], 95)
    middle = maps.normals[0, row - 8 : row + 2, column - 3 : column + 4].reshape(-1, 3).mean(0)
    assert middle[2] > 210 and abs(middle[0] - 128) < 30
    assert (maps.depth[0, 2, 2] == 0).all() and (maps.normals[0, 2, 2] == 0).all()


def test_normals_have_unit_length_and_look_left_at_the_pictures_left(maps: Guidance) -> None:
    seen = maps.normals[0].any(-1)
    normals = maps.normals[0][seen].astype(np.float32) / 127.5 - 1
    assert abs(np.linalg.norm(normals, axis=1) - 1).max() < 0.02  # bytes: half a level in each of three channels
    columns = np.nonzero(seen)[1]
    left, right = columns < np.percentile(columns, 15), columns > np.percentile(columns, 85)
    assert normals[left, 0].mean() < -0.2 < 0.2 < normals[right, 0].mean()


def test_a_head_that_turns_takes_all_maps_along(maps: Guidance) -> None:
    for kind in KINDS:
        still, moved = getattr(maps, kind)
        assert (still != moved).any(-1).mean() > 0.02, kind
    # Positive yaw turns towards the person's left, the picture's right: the keypoints' face dots go there.
    columns = [np.nonzero((keypoints == 255).all(-1))[1].mean() for keypoints in maps.keypoints]
    assert columns[1] > columns[0] + 2


@pytest.mark.parametrize("moved", [(0.0, 0.7, 0.0), (0.4, 0.0, 0.0), (0.0, 0.0, 0.5)])
def test_shoulders_stay_where_they_are_when_the_head_turns(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait, moved: tuple[float, float, float]
) -> None:
    """They were placed along the face's axes, and a head that tilted took them along."""
    from perse.head import pose_head

    camera = tracked_astronaut.camera.resized(256, 256)
    drawer = LandmarkKeypointMapsConfig().build(head_model)
    still = replace(tracked_astronaut.head, pose=torch.zeros_like(tracked_astronaut.head.pose))
    pose = still.pose.clone()
    pose[..., Joint.NECK, :] = torch.tensor(moved)
    ends = [
        {color: _dot_of(drawer.draw(pose_head(head_model, one).vertices, camera, None), color) for color in SHOULDERS}
        for one in (still, replace(still, pose=pose))
    ]
    for color in SHOULDERS:
        assert np.abs(ends[0][color] - ends[1][color]).max() < 1.5, "pixels of 256: the neck's own shape tilts the fit"


SHOULDERS = ((0, 0, 255), (85, 0, 255))
"""Colours of the dots of both."""


def _dot_of(drawn: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((drawn == color).all(-1)).mean(0)


def test_keypoints_of_the_fitted_head_lie_on_the_detected_ones(
    maps: Guidance, head_model: HeadModel, tracked_astronaut: TrackedPortrait
) -> None:
    from perse.head import pose_head

    camera = tracked_astronaut.camera
    points = projected_landmarks(head_model, pose_head(head_model, tracked_astronaut.head).vertices, camera)
    known = np.isfinite(points[:, 0])
    distance = np.linalg.norm(points[known] - tracked_astronaut.landmarks_px[known, :2], axis=1)
    assert np.median(distance) < 3 and known.sum() > 400  # the fit is half a pixel off, without the lips' inner corners
    drawn = LandmarkKeypoints().draw(tracked_astronaut, SIZE)
    # Dots of neighbouring landmarks overlap by more or less, and the fitted head lacks the lips' inner corners.
    assert (drawn > 0).any(-1).mean() == pytest.approx((maps.keypoints[0] > 0).any(-1).mean(), rel=0.3)


def test_a_head_without_landmarks_still_gives_a_map(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> None:
    few = replace(
        head_model,
        landmark_ids=head_model.landmark_ids[:50],
        landmark_faces=head_model.landmark_faces[:50],
        landmark_weights=head_model.landmark_weights[:50],
    )
    drawer = LandmarkKeypointMapsConfig().build(few)
    drawn = drawer.draw(head_model.template, tracked_astronaut.camera.resized(SIZE, SIZE), None)
    assert drawn.shape == (SIZE, SIZE, 3)


def test_keypoints_found_in_pictures_need_pictures(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> None:
    seen: list[np.ndarray] = []

    def detector(image: np.ndarray, **_: object) -> np.ndarray:
        seen.append(image)
        return np.full((SIZE, SIZE, 3), 7, np.uint8)

    drawer = PictureKeypointMaps(AuxKeypoints(detector))
    camera = tracked_astronaut.camera.resized(SIZE, SIZE)
    assert (drawer.draw(head_model.template, camera, tracked_astronaut.image) == 7).all()
    assert seen[0] is tracked_astronaut.image
    with pytest.raises(GenerationError, match="give the animator a driver"):
        drawer.draw(head_model.template, camera, None)


def test_a_folder_keeps_the_maps_and_half_a_folder_counts_for_nothing(maps: Guidance, tmp_path: Path) -> None:
    save_guidance(tmp_path / "set", maps)
    found = load_guidance(tmp_path / "set")
    assert found is not None and all((getattr(found, kind) == getattr(maps, kind)).all() for kind in KINDS)
    (tmp_path / "set" / "normals" / "0001.png").unlink()
    assert load_guidance(tmp_path / "set") is None
    save_guidance(tmp_path / "other", maps)
    (tmp_path / "other" / NOTE).unlink()
    assert load_guidance(tmp_path / "other") is None and load_guidance(tmp_path / "nowhere") is None


def test_only_the_longest_stretch_counts() -> None:
    assert longest_run(np.array([1, 1, 0, 1, 1, 1, 0, 1], bool)) == (3, 6)
    assert longest_run(np.zeros(4, bool)) == (0, 0)


def test_videos_are_sorted_into_buckets_or_refused_with_numbers() -> None:
    config = FootageConfig()
    assert config.size_of(700) == 512 and config.size_of(300) == 256
    assert config.length_of(100) == 24 and config.length_of(9) == 8
    with pytest.raises(Exception, match="200 px wide, at least 256"):
        config.size_of(200)
    with pytest.raises(Exception, match="seen for 3 frames without a break, at least 8"):
        config.length_of(3)

"""Pictures as people have them: on their side, cut by the edge, too dark, too bright, of animals."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage.data

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.data.images import read_portrait
from perse.errors import PortraitError
from perse.head import HeadModel
from perse.tracking import MediapipeTracker, MediapipeTrackerConfig, ProceduralParser
from perse.tracking.detection import face_width
from perse.tracking.exposure import brightened
from perse.tracking.orientation import upright

STRANGERS = Path(__file__).parents[3] / "shared" / "portraits"


@pytest.fixture(scope="module")
def tracker(head_model: HeadModel) -> MediapipeTracker:
    return MediapipeTracker(MediapipeTrackerConfig(), head_model)


@pytest.fixture(scope="module")
def hopper() -> np.ndarray:
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def stranger(name: str) -> np.ndarray:
    path = STRANGERS / f"{name}.jpg"
    if not path.is_file():
        pytest.skip("the folder of strangers' portraits is not here")
    return read_portrait(path)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_lying_picture_is_turned(astronaut: np.ndarray, hopper: np.ndarray, quarters: int) -> None:
    for picture in (astronaut, hopper):
        lying = np.ascontiguousarray(np.rot90(picture, quarters))
        np.testing.assert_array_equal(upright(lying), picture)


def test_an_upright_picture_stays_as_it_is(astronaut: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    assert upright(astronaut) is astronaut
    with caplog.at_level(logging.WARNING):
        upright(np.ascontiguousarray(np.rot90(astronaut)))
    assert "turned by 270 degrees" in caplog.text


def test_strangers_are_turned_too() -> None:
    for name in ("curly_hair_glasses", "long_hair_mouth_wide_open", "veil_painting"):
        picture = stranger(name)
        for quarters in range(4):
            np.testing.assert_array_equal(upright(np.ascontiguousarray(np.rot90(picture, quarters))), picture)


def test_half_a_face_beyond_the_edge_is_refused(tracker: MediapipeTracker, astronaut: np.ndarray) -> None:
    points = tracker.locate(astronaut)
    left, top, scale = points.crop.left, points.crop.top, points.crop.scale
    middle = int(left + points.landmarks_px[1, 0] / scale)
    chin, brow = (int(top + points.landmarks_px[index, 1] / scale) for index in (152, 9))
    for half in (astronaut[:, middle - 12 :], astronaut[: chin - 14], astronaut[brow + 4 :]):
        with pytest.raises(PortraitError, match=r"beyond the picture's edge|no face|features cannot be found"):
            tracker.locate(np.ascontiguousarray(half))


def test_a_cut_crown_is_said(
    tracker: MediapipeTracker, astronaut: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    located = tracker.locate(astronaut)
    forehead = int(located.crop.top + located.landmarks_px[:468, 1].min() / located.crop.scale)
    with caplog.at_level(logging.WARNING):
        tracker.locate(astronaut)
        assert "crown" not in caplog.text
        tracker.locate(np.ascontiguousarray(astronaut[forehead - 6 :]))
    assert "crown" in caplog.text


@pytest.mark.parametrize("exposure", [0.15, 0.2])
def test_a_dim_photograph_grows_no_hat(tracked_astronaut: TrackedPortrait, exposure: float) -> None:
    portrait = tracked_astronaut
    dim = np.round(portrait.image * exposure).astype(np.uint8)
    masks = ProceduralParser().parse(dim, portrait.landmarks_px)
    assert masks[Part.HEADWEAR].sum() == 0
    for part in (Part.HAIR, Part.CLOTHES, Part.BACKGROUND):
        a, b = masks[part] > 0.5, portrait.masks[part] > 0.5
        assert (a & b).sum() / (a | b).sum() > 0.85, part


def test_ordinary_pictures_are_not_brightened(tracked_astronaut: TrackedPortrait) -> None:
    skin = tracked_astronaut.masks[Part.SKIN] > 0.9
    assert brightened(tracked_astronaut.image, skin) is tracked_astronaut.image


def test_overexposure_is_called_by_its_name(tracker: MediapipeTracker, astronaut: np.ndarray) -> None:
    burnt = np.clip(astronaut.astype(np.float32) * 1.2 + 190, 0, 255).astype(np.uint8)
    with pytest.raises(PortraitError, match=r"bright"):
        tracker.locate(burnt)


def test_the_refused_width_is_the_one_that_is_compared(tracker: MediapipeTracker, astronaut: np.ndarray) -> None:
    points = tracker.locate(astronaut)
    scale = 47.6 / (face_width(points.landmarks_px) / points.crop.scale)
    side = round(512 * scale)
    small = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA)
    with pytest.raises(PortraitError, match=r"the face is 4[0-7] px wide, at least 48 px are needed"):
        tracker.locate(np.asarray(small, np.uint8))


def test_animals_are_refused_with_the_right_word(tracker: MediapipeTracker) -> None:
    with pytest.raises(PortraitError, match="animal"):
        tracker.track(skimage.data.chelsea())
    with pytest.raises(PortraitError, match=r"not a human face.*an animal"):
        tracker.track(stranger("dog"))

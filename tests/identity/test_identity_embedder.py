"""Identity: the same person is near, another person is far."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from perse.identity import SAME_PERSON_DISTANCE, DlibEmbedder, identity_distance


@pytest.fixture(scope="module")
def embedder() -> DlibEmbedder:
    pytest.importorskip("dlib")
    return DlibEmbedder()


def test_same_person_is_nearer_than_another(embedder: DlibEmbedder, astronaut: np.ndarray) -> None:
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    other = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    crop = cv2.resize(astronaut[0:260, 100:360], (256, 256), interpolation=cv2.INTER_AREA)
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    first, second, third, stranger = (embedder.embed(image) for image in (astronaut, crop, mirrored, other))
    assert first is not None and first.shape == (128,) and first.dtype == np.float32
    for same in (second, third):
        assert same is not None and identity_distance(first, same) < 0.5 * SAME_PERSON_DISTANCE
    assert stranger is not None and identity_distance(first, stranger) > SAME_PERSON_DISTANCE


def test_descriptors_repeat_and_absence_is_none(embedder: DlibEmbedder, astronaut: np.ndarray) -> None:
    one, two = embedder.embed(astronaut), embedder.embed(astronaut)
    assert one is not None and two is not None
    np.testing.assert_array_equal(one, two)
    assert identity_distance(one, two) == 0
    assert embedder.embed(np.full((128, 128, 3), 127, np.uint8)) is None

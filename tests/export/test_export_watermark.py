"""The mark is not seen, survives what happens to pictures, and is not found where it is not.

`python -m benchmarks.watermark` counts on more pictures; docs/exports.md has its table.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from benchmarks.watermark import ATTACKS, pictures
from perse.data.images import encode_image
from perse.export import marked, verify_file
from perse.export.watermark import find_mark


@pytest.fixture(scope="module")
def some() -> list[NDArray[np.uint8]]:
    return pictures(4, 512, seed=3)


def test_it_changes_a_picture_by_less_than_one_sees(some: list[NDArray[np.uint8]]) -> None:
    for picture in some:
        error = marked(picture).astype(float) - picture
        assert abs(error.mean()) < 0.5 and np.abs(error).max() < 24
        assert 10 * np.log10(255**2 / np.square(error).mean()) > 36, "dB"
        small = picture[:256, :256]
        assert structural_similarity(small, marked(small), channel_axis=2) > 0.965


def test_it_is_weak_on_what_is_smooth_and_beside_an_edge_and_stronger_in_texture() -> None:
    grey = np.full((256, 256), 128.0)
    grey[:, 128:] = 30  # an edge, and to its right
    grey[:, 192:] += np.random.default_rng(0).normal(0, 20, (256, 64))  # texture
    picture = np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)
    spread = (marked(picture).astype(float) - picture).std(axis=(0, 2))
    assert spread[:96].mean() < 1.4 and spread[112:144].mean() < 1.6, "of 255"
    assert spread[210:246].mean() > 2.5


def test_alpha_stays(some: list[NDArray[np.uint8]]) -> None:
    alpha = np.arange(512 * 512, dtype=np.uint32).reshape(512, 512, 1).astype(np.uint8)
    transparent = np.concatenate([some[0], alpha], axis=-1)
    assert np.array_equal(marked(transparent)[..., 3:], alpha)
    assert np.array_equal(marked(transparent)[..., :3], marked(some[0]))


@pytest.mark.parametrize("attack", [name for name in ATTACKS if not name.startswith("crop,")])
def test_it_is_found_after(attack: str, some: list[NDArray[np.uint8]]) -> None:
    assert all(find_mark(ATTACKS[attack](marked(picture))).is_there for picture in some[:2])


def test_a_small_picture_keeps_it_through_a_video() -> None:
    """Of 100 pictures of 256 px, 29 had lost it."""
    for picture in pictures(8, 256, seed=7):
        assert find_mark(ATTACKS["H.264 crf 28"](marked(picture))).is_there


def test_it_is_found_at_scales_that_nobody_expects(some: list[NDArray[np.uint8]]) -> None:
    smaller = cv2.resize(marked(some[1][:256, :256]), (149, 149), interpolation=cv2.INTER_AREA)
    found = find_mark(smaller)
    # Scales are searched in steps of about one per cent.
    assert found.is_there and found.scale == pytest.approx(149 / 256, rel=0.01)


def test_it_is_not_found_where_it_is_not(some: list[NDArray[np.uint8]]) -> None:
    assert not find_mark(some[0][:256, 128:384]).is_there
    assert not find_mark(np.full((200, 200, 3), 255, np.uint8)).is_there


def test_verify_tells_of_a_picture_whose_record_was_stripped(tmp_path: Path, some: list[NDArray[np.uint8]]) -> None:
    (tmp_path / "a.png").write_bytes(encode_image(marked(some[0])))
    found = verify_file(tmp_path / "a.png")
    assert found.watermark and found.provenance is None and not found.intact

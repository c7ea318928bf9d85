"""Walls that show through loose hair are no part of the person."""

from __future__ import annotations

import numpy as np

from perse.tracking.colors import to_lab
from perse.tracking.seen_through import LEAST_HUE, without_background

WALL, HAIR = (235, 200, 40), (96, 66, 44)


def scene(wall: tuple[int, int, int], patch: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A head of hair 120 px wide before a wall; its matte also holds a patch [100:140, 50:70] beside it."""
    rng = np.random.default_rng(0)
    image = np.empty((256, 256, 3), np.float32)
    image[:] = wall
    image[60:220, 70:190] = HAIR
    image[100:140, 50:70] = patch
    image += rng.normal(0, 3, image.shape)
    person = np.zeros((256, 256), np.float32)
    person[60:220, 70:190] = 1
    person[100:140, 50:70] = 1
    return to_lab(np.clip(image, 0, 255).astype(np.uint8)), person


def test_a_patch_of_the_wall_leaves_the_matte() -> None:
    lab, person = scene(WALL, (225, 188, 36))  # a little darker than the wall itself
    after = without_background(lab, person, np.ones_like(person), 100.0)
    assert after[105:135, 52:66].mean() < 0.1
    assert after[65:215, 76:184].min() > 0.95


def test_hair_stays_though_it_shines() -> None:
    lab, person = scene(WALL, (150, 110, 74))
    np.testing.assert_array_equal(without_background(lab, person, np.ones_like(person), 100.0), person)


def test_a_wall_of_the_hairs_hue_takes_nothing_away() -> None:
    lab, person = scene((120, 90, 64), (118, 88, 62))
    np.testing.assert_array_equal(without_background(lab, person, np.ones_like(person), 100.0), person)


def test_black_hair_is_told_from_a_blue_wall() -> None:
    """Their hues are near each other, but black hair is of one hue."""
    rng = np.random.default_rng(0)
    _, person = scene(WALL, WALL)
    image = np.empty((256, 256, 3), np.float32)
    image[:] = (96, 104, 143)
    image[60:220, 70:190] = (40, 38, 50)
    image += rng.normal(0, 3, image.shape)
    lab = to_lab(np.clip(image, 0, 255).astype(np.uint8))
    apart = np.median(lab[:50, :, 1:], (0, 1)) - np.median(lab[70:210, 80:180, 1:], (0, 1))
    assert np.linalg.norm(apart) < LEAST_HUE
    after = without_background(lab, person, np.ones_like(person), 100.0)
    assert after[105:135, 52:66].mean() < 0.1
    assert after[65:215, 76:184].min() > 0.95


def test_shine_on_fair_hair_is_no_wall() -> None:
    """A grey wall lies on the way from fair hair to its shine; hair of one hue must not make it thinner."""
    rng = np.random.default_rng(1)
    _, person = scene(WALL, WALL)
    image = np.empty((256, 256, 3), np.float32)
    image[:] = (214, 208, 203)
    image[60:220, 70:190] = (150, 124, 86)
    image[60:90, 70:100] = (208, 199, 188)  # shine, up to the hair's outline
    image += rng.normal(0, 2, image.shape)
    lab = to_lab(np.clip(image, 0, 255).astype(np.uint8))
    after = without_background(lab, person, np.ones_like(person), 100.0)
    assert after[70:88, 76:98].min() > 0.95


def test_without_hair_there_is_nothing_to_see_through() -> None:
    lab, person = scene(WALL, WALL)
    assert without_background(lab, person, np.zeros_like(person), 100.0) is person


def test_strands_before_the_wall_stay_and_the_wall_between_them_goes() -> None:
    """Hair over a third of a patch in lines of three pixels: their mean colour is neither hair's nor the wall's."""
    _, person = scene(WALL, WALL)
    image = np.empty((256, 256, 3), np.float32)
    image[:] = WALL
    image[60:220, 70:190] = HAIR
    for x in range(52, 70, 9):
        image[100:140, x : x + 3] = HAIR
    after = without_background(to_lab(image.astype(np.uint8)), person, np.ones_like(person), 100.0)
    assert after[108:132, 53].mean() > 0.8 and after[108:132, 62].mean() > 0.8
    assert after[108:132, 58].mean() < 0.15

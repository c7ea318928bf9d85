"""Eq. 6–9 as set logic: what an edit may touch, and what it must not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perse.attributes import CATEGORIES, Category, Part
from perse.data import PartMasks
from perse.errors import GenerationError
from perse.synthesis.production.mask_logic import (
    SHORTCUT_CATEGORIES,
    MaskConfig,
    composite,
    dilated,
    edit_region,
    feathered,
    merged_masks,
    protected,
    shortcut_region,
    text_mask,
)
from perse.synthesis.production.placed_region import PLACED, placed_region

SIZE, FACE = 96, 40.0


def parts(**boxes: tuple[int, int, int, int]) -> PartMasks:
    """Parts as boxes (top, bottom, left, right); the rest is skin."""
    soft = np.zeros((len(Part), SIZE, SIZE), np.uint8)
    soft[Part.SKIN] = 255
    for name, (top, bottom, left, right) in boxes.items():
        soft[:, top:bottom, left:right] = 0
        soft[Part[name], top:bottom, left:right] = 255
    return PartMasks(soft, 255 - soft[Part.BACKGROUND])


PORTRAIT = parts(HAIR=(5, 25, 20, 70), EYES=(40, 46, 30, 60), NOSE=(48, 60, 42, 50), MOUTH=(66, 72, 36, 56))
SHORTCUT = parts(HAIR=(15, 25, 25, 65), EYES=(40, 46, 30, 60), NOSE=(48, 60, 42, 50), MOUTH=(66, 72, 36, 56))
CONFIG = MaskConfig()


def shortcut_for(category: Category) -> PartMasks | None:
    return SHORTCUT if category in SHORTCUT_CATEGORIES else None


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[top:bottom, left:right] = 1
    return mask


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_region_contains_the_text_mask_and_is_soft_only_outside(category: Category) -> None:
    text = box(28, 38, 30, 60)
    region = edit_region(category, PORTRAIT, text, FACE, CONFIG, shortcut=shortcut_for(category))
    assert region.dtype == np.float32 and region.min() >= 0 and region.max() <= 1
    assert (region[text > 0] == 1).all()
    assert ((region > 0) & (region < 1)).any()


@pytest.mark.parametrize("category", CATEGORIES)
def test_growth_never_reaches_features_that_are_not_edited(category: Category) -> None:
    text = box(28, 39, 30, 60)  # ends just above the eyes: growth alone would cover them
    region = edit_region(category, PORTRAIT, text, FACE, CONFIG, shortcut=shortcut_for(category))
    untouched = protected(PORTRAIT, category) == 1
    own = edit_region(category, PORTRAIT, 0 * text, FACE, MaskConfig(with_own=()), shortcut=shortcut_for(category))
    assert untouched.any() and not region[untouched].any()
    assert own.sum() < region.sum()


def test_the_text_may_ask_for_a_protected_part() -> None:
    fringe = box(28, 44, 30, 60)
    region = edit_region(Category.HAIR, PORTRAIT, fringe, FACE, CONFIG, shortcut=SHORTCUT)
    assert (region[fringe > 0] == 1).all()


@pytest.mark.parametrize("category", SHORTCUT_CATEGORIES)
def test_hair_and_hats_cover_what_the_shortcut_left(category: Category) -> None:
    text = box(5, 12, 40, 50)
    region = edit_region(category, PORTRAIT, text, FACE, CONFIG, shortcut=SHORTCUT)
    left = SHORTCUT[Part.HAIR] == 1
    assert (region[left] == 1).all() and (region[text > 0] == 1).all()
    with pytest.raises(ValueError, match="shortcut"):
        edit_region(category, PORTRAIT, text, FACE, CONFIG)


def test_other_categories_refuse_a_shortcut() -> None:
    with pytest.raises(ValueError, match="shortcut"):
        edit_region(Category.NOSE, PORTRAIT, box(48, 60, 42, 50), FACE, CONFIG, shortcut=SHORTCUT)


def test_the_shortcut_covers_all_hair_and_no_feature() -> None:
    region = shortcut_region(PORTRAIT, FACE, CONFIG)
    assert (region[PORTRAIT[Part.HAIR] == 1] == 1).all()
    assert not region[PORTRAIT[Part.EYES] == 1].any()


def test_the_old_part_is_covered_where_it_would_look_out() -> None:
    portrait = parts(CLOTHES=(80, 96, 0, 96))
    text = box(86, 96, 30, 60)
    assert (edit_region(Category.CLOTHES, portrait, text, FACE, CONFIG)[81:, 2:94] == 1).all()
    alone = edit_region(Category.CLOTHES, portrait, text, FACE, MaskConfig(with_own=()))
    assert not alone[85, :10].any()


def test_a_mask_portrait_without_the_part_is_an_error_that_names_it() -> None:
    with pytest.raises(GenerationError, match="shows no hat"):
        text_mask(PORTRAIT, Category.HAT, FACE, CONFIG)
    shown = text_mask(PORTRAIT, Category.HAIR, FACE, CONFIG)
    assert shown.sum() == 20 * 50


def test_a_hat_portraits_hair_is_not_the_hat() -> None:
    text = text_mask(parts(HAIR=(5, 60, 20, 70), HEADWEAR=(0, 20, 20, 70)), Category.HAT, FACE, CONFIG)
    assert not text[30:60].any() and text[5, 30] == 1


masks = st.builds(
    lambda seed, cells: cv2.resize(
        (np.random.default_rng(seed).random((cells, cells)) > 0.7).astype(np.float32), (48, 48), interpolation=0
    ),
    st.integers(0, 99),
    st.integers(2, 12),
)


@settings(max_examples=30, deadline=None)
@given(masks, st.floats(0, 8), st.floats(0, 8))
def test_growing_is_extensive_and_monotone(mask: np.ndarray, small: float, more: float) -> None:
    less, grown = dilated(mask, small), dilated(mask, small + more)
    assert (less >= mask).all() and (grown >= less).all()
    soft = feathered(mask, small + more)
    assert (soft >= mask).all() and (soft[dilated(mask, small + more + 2) == 0] == 0).all()
    assert (feathered(mask, small + more) >= feathered(mask, small) - 1e-6).all()


@settings(max_examples=30, deadline=None)
@given(masks, st.integers(0, 99))
def test_compositing_keeps_the_photograph_outside_to_the_pixel(mask: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    below, above = rng.integers(0, 256, (2, 48, 48, 3), np.uint8)
    image, edit_mask = composite(below, above, feathered(mask, 5))
    assert (image[edit_mask == 0] == below[edit_mask == 0]).all()
    assert (image[mask == 1] == above[mask == 1]).all()
    assert ((edit_mask == 0) == (feathered(mask, 5) < 0.5 / 255)).all()


def test_parts_outside_the_edit_stay_the_photographs() -> None:
    edit_mask = (box(0, 40, 0, 96) * 255).astype(np.uint8)
    merged = merged_masks(PORTRAIT, SHORTCUT, edit_mask)
    assert (merged.soft[:, 40:] == PORTRAIT.soft[:, 40:]).all() and (merged.soft[:, :40] == SHORTCUT.soft[:, :40]).all()


@pytest.mark.parametrize("category", PLACED)
def test_parts_without_a_class_are_placed_by_landmarks(tracked_astronaut, category: Category) -> None:  # type: ignore[no-untyped-def]
    portrait = tracked_astronaut
    region = placed_region(portrait, category)
    rows, columns = np.nonzero(region)
    centre = portrait.landmarks_px[:468, :2].mean(0)
    assert abs(columns.mean() - centre[0]) < 0.2 * portrait.face_width_px
    assert 0.05 < region.sum() / portrait.face_width_px**2 < 1.6
    if category is Category.BEARD:
        assert rows.mean() > centre[1] + 0.2 * portrait.face_width_px
    if category is Category.HEADPHONES:
        assert rows.min() < portrait.landmarks_px[10, 1]


def test_other_parts_have_no_place_of_their_own(tracked_astronaut) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(GenerationError, match="label map names no part for hat"):
        placed_region(tracked_astronaut, Category.HAT)

"""Hair on a photograph: restyled, dyed or gone, and nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest

from perse.attributes import Category, Part
from perse.data import AttributePrompt, TrackedPortrait
from perse.synthesis.procedural.editing.hair import style_hair
from perse.synthesis.procedural.editing.hair_dye import dye_hair, hair_matte
from perse.synthesis.procedural.editing.painted import PaintedEdit


def prompt(**slots: str) -> AttributePrompt:
    return AttributePrompt("hair-test", Category.HAIR, tuple(sorted(slots.items())), "", 4)


@pytest.fixture(scope="module")
def portrait(tracked_astronaut: TrackedPortrait) -> TrackedPortrait:
    return tracked_astronaut


@pytest.fixture(scope="module")
def bob(portrait: TrackedPortrait, head_model) -> PaintedEdit:  # type: ignore[no-untyped-def]
    edit = style_hair(portrait, prompt(style="bob", color="black", texture="straight"), head_model)
    assert edit.attachments
    return edit


@pytest.fixture(scope="module")
def bald(portrait: TrackedPortrait, head_model) -> PaintedEdit:  # type: ignore[no-untyped-def]
    edit = style_hair(portrait, prompt(style="bald"), head_model)
    assert not edit.attachments
    return edit


def test_outside_the_mask_stays_the_photograph(bob: PaintedEdit, bald: PaintedEdit, portrait: TrackedPortrait) -> None:
    dyed = style_hair(portrait, prompt(style="natural", color="green"), None)  # type: ignore[arg-type]
    for edit in (bob, bald, dyed):
        outside = edit.edit_mask == 0
        assert 0.5 < outside.mean() < 0.98
        assert np.array_equal(edit.image[outside], portrait.image[outside])


def test_eyes_and_mouth_are_never_touched(bob: PaintedEdit, bald: PaintedEdit, portrait: TrackedPortrait) -> None:
    features = (portrait.masks[Part.EYES] > 0.9) | (portrait.masks[Part.MOUTH] > 0.9)
    for edit in (bob, bald):
        moved = np.abs(edit.image[features].astype(int) - portrait.image[features])
        # Hair may cast a faint shadow on the face.
        assert np.median(moved) < 12


def test_new_hair_is_labelled_and_old_hair_is_gone(bob: PaintedEdit, bald: PaintedEdit) -> None:
    assert bob.masks[Part.HAIR].sum() > 5000
    assert bob.underlay.masks[Part.HAIR].sum() < 0.02 * bob.masks[Part.HAIR].sum()
    assert (bald.masks.labels == Part.HAIR).sum() == 0
    assert bald.masks[Part.HAIR].max() == 0


def test_hair_is_attached_in_3d(bob: PaintedEdit) -> None:
    assert all(item.part == Part.HAIR for item in bob.attachments)
    assert len(bob.attachments) >= 4


def test_asked_color_is_seen(bob: PaintedEdit, portrait: TrackedPortrait) -> None:
    black = bob.image[bob.masks[Part.HAIR] > 0.9].mean()
    assert black < 70
    green = dye_hair(portrait, prompt(style="natural", color="green"))
    red, greener, blue = green.image[portrait.masks[Part.HAIR] > 0.9].mean(0)
    assert greener > red + 20 and greener > blue + 20


def test_dye_keeps_strands(portrait: TrackedPortrait) -> None:
    """Light and dark strands stay light and dark: the tone curve is monotonous."""
    dyed = dye_hair(portrait, prompt(style="natural", color="red"))
    sure = portrait.masks[Part.HAIR] > 0.95
    before, after = portrait.image[sure].mean(1), dyed.image[sure].mean(1)
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_matte_is_soft_and_follows_the_hair(portrait: TrackedPortrait) -> None:
    matte = hair_matte(portrait)
    assert matte[portrait.masks[Part.HAIR] > 0.95].mean() > 0.95
    assert matte[portrait.masks[Part.EYES] > 0.5].max() < 0.1
    assert ((matte > 0.1) & (matte < 0.9)).sum() > 300


def test_same_prompt_same_picture(portrait: TrackedPortrait, bob: PaintedEdit, head_model) -> None:  # type: ignore[no-untyped-def]
    again = style_hair(portrait, prompt(style="bob", color="black", texture="straight"), head_model)
    assert np.array_equal(again.image, bob.image)
    assert np.array_equal(again.edit_mask, bob.edit_mask)

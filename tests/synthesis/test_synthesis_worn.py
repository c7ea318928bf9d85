"""Hats, headphones and earrings in the finished picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from synthetic_head import SIZE, synthetic_portrait

from perse.attributes import Category, Part
from perse.data import AttributePrompt, TrackedPortrait
from perse.head import HeadModel
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.editing.head_view import HeadView
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.worn import hair_cover, wear_earrings, wear_hat, wear_headphones
from perse.synthesis.prompts import complete

Wear = Callable[[TrackedPortrait, AttributePrompt, HeadModel], PaintedEdit]

CASES: list[tuple[Wear, Category, Part]] = [
    (wear_hat, Category.HAT, Part.HEADWEAR),
    (wear_headphones, Category.HEADPHONES, Part.HEADPHONES),
    (wear_earrings, Category.EARRINGS, Part.EARRINGS),
]


def prompt_for(category: Category, seed: int = 3, **given: str) -> AttributePrompt:
    return AttributePrompt("worn", category, tuple(sorted(complete(category, given).items())), "", seed)


@pytest.fixture(scope="module")
def portrait(head_model: HeadModel) -> TrackedPortrait:
    return synthetic_portrait(head_model)


@pytest.mark.parametrize(("wear", "category", "part"), CASES)
def test_outside_the_edit_mask_nothing_changes_and_inside_something_does(
    head_model: HeadModel, portrait: TrackedPortrait, wear: Wear, category: Category, part: Part
) -> None:
    worn = wear(portrait, prompt_for(category), head_model)
    same = worn.edit_mask == 0
    assert np.array_equal(worn.image[same], portrait.image[same])
    assert np.array_equal(worn.masks.soft[:, same], portrait.masks.soft[:, same])
    shown = worn.masks[part] > 0.5
    assert shown.sum() > 20 and (worn.edit_mask[shown] > 0).all()
    assert np.abs(worn.image[shown].astype(float) - portrait.image[shown]).mean() > 15
    assert (worn.masks.person >= worn.underlay.masks.person).all()
    assert np.abs(worn.masks.soft.astype(int).sum(0) - 255).max() <= 4


@pytest.mark.parametrize(("wear", "category", "part"), CASES)
def test_same_prompt_same_picture(
    head_model: HeadModel, portrait: TrackedPortrait, wear: Wear, category: Category, part: Part
) -> None:
    one, other = (wear(portrait, prompt_for(category), head_model) for _ in range(2))
    assert np.array_equal(one.image, other.image) and np.array_equal(one.edit_mask, other.edit_mask)
    assert all(np.array_equal(a.vertices, b.vertices) for a, b in zip(one.attachments, other.attachments, strict=True))


def test_underlay_has_neither_attachment_nor_shadow(head_model: HeadModel, portrait: TrackedPortrait) -> None:
    worn = wear_headphones(portrait, prompt_for(Category.HEADPHONES), head_model)
    assert np.array_equal(worn.underlay.image, portrait.image)
    assert np.array_equal(worn.underlay.masks.soft, portrait.masks.soft)
    hat = wear_hat(portrait, prompt_for(Category.HAT, kind="cap"), head_model)
    assert hat.underlay.masks[Part.HEADWEAR].max() == 0


def test_brim_shades_the_face(head_model: HeadModel, portrait: TrackedPortrait) -> None:
    hat = wear_hat(portrait, prompt_for(Category.HAT, kind="wide brim"), head_model)
    view = HeadView.of(portrait, head_model)
    forehead = (
        (np.abs(view.rest_px[..., 0]) < 0.03)
        & (np.abs(view.rest_px[..., 1] - 0.025) < 0.012)
        & (view.coverage > 0.99)
        & (hat.masks[Part.HEADWEAR] == 0)
    )
    assert forehead.sum() > 20
    assert hat.image[forehead].mean() < 0.95 * hat.underlay.image[forehead].mean()


def test_far_side_of_the_band_is_hidden_by_the_head(head_model: HeadModel, portrait: TrackedPortrait) -> None:
    """Headphones never cover the middle of the face: what is behind the head stays behind it."""
    worn = wear_headphones(portrait, prompt_for(Category.HEADPHONES, kind="studio"), head_model)
    view = HeadView.of(portrait, head_model)
    face = (np.abs(view.rest_px[..., 0]) < 0.04) & (view.coverage > 0.99) & (view.rest_px[..., 1] < 0.05)
    assert worn.masks[Part.HEADPHONES][face].max() == 0


def test_earrings_are_seen_near_the_projected_lobes(head_model: HeadModel, portrait: TrackedPortrait) -> None:
    worn = wear_earrings(portrait, prompt_for(Category.EARRINGS, kind="drop", size="large"), head_model)
    view, skull = HeadView.of(portrait, head_model), Skull.fit(head_model, portrait.head)
    rows, columns = np.nonzero(worn.masks[Part.EARRINGS] > 0.5)
    for x, y, _ in view.project(skull.lobes):
        mine = np.abs(columns - x) < 0.1 * SIZE
        assert mine.sum() > 10
        assert np.hypot(columns[mine] - x, rows[mine] - y).min() < 6
        assert rows[mine].mean() > y


def test_cover_follows_the_hair_and_is_the_skull_where_there_is_none(
    head_model: HeadModel, portrait: TrackedPortrait
) -> None:
    skull = Skull.fit(head_model, portrait.head)
    view = HeadView.of(portrait, head_model)
    up, down = np.array([[0.0, 1.0, 0.0]]), np.array([[0.0, -1.0, 0.0]])
    cover = hair_cover(portrait, view, skull)
    assert cover(up) > 1.08 * skull.radius(up)
    assert cover(down) == pytest.approx(skull.radius(down))
    bare = synthetic_portrait(head_model, hair=False)
    # Two steps of the search along the radius, 2 % each.
    assert hair_cover(bare, view, skull)(up) == pytest.approx(skull.radius(up), rel=0.04)


def test_on_a_turned_head_the_far_cup_is_hidden(head_model: HeadModel) -> None:
    turned = synthetic_portrait(head_model, hair=False, yaw=0.6)  # towards the person's left: their right ear shows
    worn = wear_headphones(turned, prompt_for(Category.HEADPHONES, kind="studio"), head_model)
    view, skull = HeadView.of(turned, head_model), Skull.fit(head_model, turned.head)
    (left, row, _), (right, _, _) = view.project(skull.canals)
    rows, columns = np.nonzero(worn.masks[Part.HEADPHONES] > 0.5)
    near = (np.abs(columns - right) < np.abs(columns - left))[rows > row]  # below the band
    assert near.sum() > 2 * (~near).sum() > 0

"""Taking old hair off a portrait in which everything is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic_head import BACKGROUND_COLOR, synthetic_portrait

from perse.attributes import Part
from perse.data import PartMasks, TrackedPortrait
from perse.head import HeadModel
from perse.synthesis.procedural.attachments.hat_models import HAT_MODELS
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.editing.body_frame import BodyFrame
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.head_view import HeadView
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.shortcut import remove_hair, trim_hair_under_hat


@pytest.fixture(scope="module")
def hairy(head_model: HeadModel) -> TrackedPortrait:
    return synthetic_portrait(head_model)


@pytest.fixture(scope="module")
def bald(head_model: HeadModel, hairy: TrackedPortrait) -> PaintedEdit:
    return remove_hair(hairy, head_model)


def test_bald_head_looks_like_the_head_that_never_had_hair(
    head_model: HeadModel, hairy: TrackedPortrait, bald: PaintedEdit
) -> None:
    truth = synthetic_portrait(head_model, hair=False).image.astype(float)
    hidden = hairy.masks[Part.HAIR] > 0.5
    before = np.abs(hairy.image - truth)[hidden].mean()
    after = np.abs(bald.image - truth)[hidden].mean()
    assert after < 12 and after < 0.2 * before


def test_no_hair_is_left_in_the_masks_and_the_head_is_whole(
    head_model: HeadModel, hairy: TrackedPortrait, bald: PaintedEdit
) -> None:
    view = HeadView.of(hairy, head_model)
    assert bald.masks[Part.HAIR].sum() < 0.01 * hairy.masks[Part.HAIR].sum()
    head = bald.masks[Part.SKIN] + bald.masks[Part.EARS] + bald.masks[Part.NECK]
    assert head[view.coverage > 0.99].min() > 0.95
    assert np.abs(bald.masks.soft.astype(int).sum(0) - 255).max() <= 3
    assert bald.masks.person[hairy.masks[Part.HAIR] * (1 - view.coverage) > 0.9].max() < 30


def test_background_is_continued_where_hair_stuck_out(
    head_model: HeadModel, hairy: TrackedPortrait, bald: PaintedEdit
) -> None:
    view = HeadView.of(hairy, head_model)
    outside = (hairy.masks[Part.HAIR] > 0.9) & (view.coverage == 0)
    assert outside.sum() > 100
    assert np.abs(bald.image[outside].astype(float).mean(0) - BACKGROUND_COLOR).max() < 8


def test_outside_the_edit_mask_the_portrait_is_untouched(hairy: TrackedPortrait, bald: PaintedEdit) -> None:
    same = bald.edit_mask == 0
    assert np.array_equal(bald.image[same], hairy.image[same])
    assert 0.2 < same.mean() < 0.95


def test_hat_keeps_the_hair_below_its_rim_only(head_model: HeadModel, hairy: TrackedPortrait) -> None:
    plane = HAT_MODELS["cap"].rim
    trimmed = trim_hair_under_hat(hairy, head_model, plane)
    view, skull = HeadView.of(hairy, head_model), Skull.fit(head_model, hairy.head)
    height = plane.height_above(skull, view.on_plane_through(skull.centre))
    left, had = trimmed.masks[Part.HAIR], hairy.masks[Part.HAIR]
    beside = view.coverage == 0
    assert (left[beside & (height > 0.02)]).max() < 0.05
    low = (had > 0.9) & (view.coverage > 0.99) & (plane.height_above(skull, view.rest_px) < -0.02)
    assert low.sum() > 20 and left[low].min() > 0.9
    assert 0.02 < left.sum() / had.sum() < 0.6


def test_a_portrait_without_hair_stays_as_it_is(head_model: HeadModel) -> None:
    portrait = synthetic_portrait(head_model, hair=False)
    edit = remove_hair(portrait, head_model)
    assert np.array_equal(edit.image, portrait.image) and edit.edit_mask.max() == 0


def test_dark_things_on_the_collar_are_not_taken_for_hair(head_model: HeadModel, hairy: TrackedPortrait) -> None:
    soft = hairy.masks.soft.copy()
    soft[:, 170:180, 20:60] = 0
    soft[Part.HAIR, 170:180, 20:60] = 255
    image = hairy.image.copy()
    image[170:180, 20:60] = 10
    portrait = TrackedPortrait(
        **{**vars(hairy), "image": image, "masks": type(hairy.masks)(soft, hairy.masks.person)},
    )
    edit = remove_hair(portrait, head_model)
    assert np.array_equal(edit.image[172:178, 24:56], image[172:178, 24:56])


def test_removing_twice_gives_the_same(head_model: HeadModel, hairy: TrackedPortrait, bald: PaintedEdit) -> None:
    again = remove_hair(hairy, head_model)
    assert np.array_equal(again.image, bald.image) and np.array_equal(again.masks.soft, bald.masks.soft)


SKIN, HAIR, WALL, FRAME = (210, 160, 140), (30, 20, 15), (40, 160, 60), (250, 240, 200)


@pytest.fixture(scope="module")
def long_haired(tracked_astronaut: TrackedPortrait) -> tuple[TrackedPortrait, BodyFrame]:
    """The sample portrait with bare shoulders, long hair over one of them, and a wall that ends at a pale frame."""
    portrait = tracked_astronaut
    body = BodyFrame(FaceFrame(portrait))
    soft, image = portrait.masks.soft.copy(), portrait.image.copy()
    image[portrait.masks[Part.BACKGROUND] > 0] = WALL
    image[:, :20] = image[:, -20:] = FRAME
    soft[Part.NECK] += soft[Part.CLOTHES]
    soft[Part.CLOTHES] = 0
    image[soft[Part.NECK] > 127] = SKIN
    hair = (body.u > -1.0) & (body.u < -0.3) & (body.v > -1.2)
    soft[:, hair] = 0
    soft[Part.HAIR, hair] = 255
    image[hair] = HAIR
    person = np.maximum(portrait.masks.person, 255 * hair.astype(np.uint8))
    return replace(portrait, image=image, masks=PartMasks(soft, person)), body


def test_behind_long_hair_bare_shoulders_go_on(
    head_model: HeadModel, long_haired: tuple[TrackedPortrait, BodyFrame]
) -> None:
    portrait, body = long_haired
    bald = remove_hair(portrait, head_model)
    shoulder = (body.u > -0.8) & (body.u < -0.5) & (body.v > 0.5)
    assert shoulder.sum() > 100 and bald.masks[Part.NECK][shoulder].mean() > 0.95
    assert np.abs(bald.image[shoulder].astype(float).mean(0) - SKIN).max() < 12
    above = (body.u > -0.9) & (body.u < -0.75) & (body.v < -0.2) & (body.v > -0.8)
    assert above.sum() > 100 and bald.masks[Part.BACKGROUND][above].mean() > 0.95


def test_the_background_next_to_hair_is_continued_not_what_lies_beyond(
    head_model: HeadModel, long_haired: tuple[TrackedPortrait, BodyFrame]
) -> None:
    portrait, body = long_haired
    beside = (body.u > -0.95) & (body.u < -0.8) & (body.v < -0.2) & (body.v > -0.8)
    assert np.abs(remove_hair(portrait, head_model).image[beside].astype(float).mean(0) - WALL).max() < 12

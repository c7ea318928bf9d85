"""An attribute of a photograph on the person's head. Put on its own owner, it must lie where it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perse.attributes import Category, Part
from perse.data import PartMasks
from perse.errors import InputError
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.procedural.transfer import AttributeSource, make_room, put_on_attribute


@pytest.fixture(scope="module")
def own_hair(head_model, tracked_astronaut):  # type: ignore[no-untyped-def]
    source = AttributeSource(tracked_astronaut, Category.HAIR, "blonde bob")
    animator = ProceduralAnimatorConfig().build(head_model)
    return put_on_attribute(tracked_astronaut, source, animator, head_model)


def test_ones_own_hair_comes_back_to_its_place(own_hair, tracked_astronaut) -> None:  # type: ignore[no-untyped-def]
    before, after = (one.masks[Part.HAIR] > 0.5 for one in (tracked_astronaut, own_hair))
    assert (before & after).sum() > 0.85 * (before | after).sum()
    inside = before & after
    error = np.abs(own_hair.image[inside].astype(float) - tracked_astronaut.image[inside])
    assert error.mean() < 12


def test_an_edit_is_a_promise(own_hair, tracked_astronaut) -> None:  # type: ignore[no-untyped-def]
    outside = own_hair.edit_mask == 0
    assert outside.mean() > 0.5
    assert np.array_equal(own_hair.image[outside], tracked_astronaut.image[outside])
    assert own_hair.prompt.text == "A person with blonde bob"
    sums = own_hair.masks.soft.astype(int).sum(0)
    assert np.abs(sums - 255).max() <= 7  # a rounding for each part


def test_clothes_leave_background_and_neck(head_model, tracked_astronaut) -> None:  # type: ignore[no-untyped-def]
    nothing = np.zeros(tracked_astronaut.image.shape[:2], np.float32)
    bare = make_room(tracked_astronaut, Category.CLOTHES, nothing, head_model)
    assert bare.masks[Part.CLOTHES].sum() < 0.05 * tracked_astronaut.masks[Part.CLOTHES].sum()
    assert bare.masks[Part.NECK].sum() > tracked_astronaut.masks[Part.NECK].sum()


def test_what_is_not_there_is_said_in_one_line(tracked_astronaut) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="no hat is found in the picture"):
        AttributeSource(tracked_astronaut, Category.HAT, "hat")
    with pytest.raises(InputError, match="a nose is a shape of the face"):
        AttributeSource(tracked_astronaut, Category.NOSE, "nose")
    soft = tracked_astronaut.masks.soft.copy()
    soft[Part.HEADWEAR], soft[Part.HAIR] = soft[Part.HAIR], soft[Part.HEADWEAR]
    soft[Part.HAIR, :40] = 255
    hatted = replace(tracked_astronaut, masks=PartMasks(soft, tracked_astronaut.masks.person))
    with pytest.raises(InputError, match="hidden by a hat"):
        AttributeSource(hatted, Category.HAIR, "hair")

"""Headphones sit on the ears and clear what is on the head."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_head import neutral

from perse.attributes import Category, Part
from perse.data import AttributePrompt
from perse.errors import PromptError
from perse.head import HeadModel
from perse.synthesis.procedural.attachments.headphones import build_headphones
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.prompts import complete, vocabulary


def headphones_prompt(**given: str) -> AttributePrompt:
    slots = complete(Category.HEADPHONES, given)
    return AttributePrompt("headphones", Category.HEADPHONES, tuple(sorted(slots.items())), "", 3)


@pytest.fixture(scope="module")
def skull(head_model: HeadModel) -> Skull:
    return Skull.fit(head_model, neutral(head_model))


@pytest.mark.parametrize("kind", vocabulary(Category.HEADPHONES)["kind"])
def test_two_cups_at_the_ears_and_a_band_over_the_crown(skull: Skull, kind: str) -> None:
    made = {item.name: item for item in build_headphones(skull, headphones_prompt(kind=kind))}
    assert all(item.part == Part.HEADPHONES for item in made.values())
    cups = made["caps" if kind == "retro" else "cups"].vertices
    for side, sign in enumerate((1, -1)):
        cup = cups[cups[:, 0] * sign > 0]
        middle = (cup.min(0) + cup.max(0)) / 2
        assert np.linalg.norm(middle[1:] - skull.canals[side, 1:]) < 0.015
        assert np.abs(cup[:, 0]).min() > np.abs(skull.canals[side, 0]) - 0.012
    band = made["headband"].vertices.astype(float)
    assert band[:, 1].max() > skull.crown_y
    upper = band[band[:, 1] > skull.centre[1] + 0.03]
    assert skull.height_above(upper).min() > 0


def test_band_and_cups_make_room_for_hair(skull: Skull) -> None:
    def thick(towards: np.ndarray) -> np.ndarray:
        return skull.radius(towards) + 0.03

    made = {item.name: item for item in build_headphones(skull, headphones_prompt(kind="studio"), thick)}
    band = made["headband"].vertices.astype(float)
    upper = band[band[:, 1] > skull.centre[1] + 0.03]
    assert skull.height_above(upper).min() > 0.03
    bare = {item.name: item for item in build_headphones(skull, headphones_prompt(kind="studio"))}
    assert np.ptp(made["cups"].vertices[:, 0]) > np.ptp(bare["cups"].vertices[:, 0]) + 0.02


def test_gaming_headphones_have_a_microphone_near_the_mouth(skull: Skull) -> None:
    made = {item.name: item for item in build_headphones(skull, headphones_prompt(kind="gaming"))}
    tip = made["microphone"].vertices.mean(0)
    assert tip[0] > 0  # at the person's left
    assert skull.chin_y < tip[1] < skull.eye_y - 0.03
    assert skull.height_above(tip[None].astype(float))[0] > 0


def test_what_is_not_headphones_is_refused(skull: Skull) -> None:
    with pytest.raises(PromptError, match="expected a prompt for headphones"):
        build_headphones(skull, AttributePrompt("nose", Category.NOSE, (), "", 0))

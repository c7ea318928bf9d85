"""Earrings hang at the lobes, one at each, large enough to be seen."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_head import neutral
from tolerances import SINGLE

from perse.attributes import Category, Part
from perse.data import AttributePrompt
from perse.errors import PromptError
from perse.head import HeadModel
from perse.synthesis.procedural.attachments.earrings import build_earrings
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.prompts import complete, vocabulary

METRES_PER_CLIP_PIXEL = 0.0018  # a clip is 256 px wide and shows about 46 cm


def earrings_prompt(**given: str) -> AttributePrompt:
    slots = complete(Category.EARRINGS, given)
    return AttributePrompt("earrings", Category.EARRINGS, tuple(sorted(slots.items())), "", 3)


@pytest.fixture(scope="module")
def skull(head_model: HeadModel) -> Skull:
    return Skull.fit(head_model, neutral(head_model))


@pytest.mark.parametrize("kind", vocabulary(Category.EARRINGS)["kind"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_one_at_each_lobe_hanging_down(skull: Skull, kind: str, size: str) -> None:
    known = [value for value in ("small", "medium", "large") if _exists(kind, value)]
    size = size if size in known else known[0]
    made = build_earrings(skull, earrings_prompt(kind=kind, size=size))
    points = np.concatenate([item.vertices for item in made]).astype(float)
    assert all(item.part == Part.EARRINGS for item in made)
    for side, sign in enumerate((1, -1)):
        mine = points[points[:, 0] * sign > 0]
        assert np.linalg.norm(mine - skull.lobes[side], axis=1).min() < 0.008  # metres: at most the length of a hook
        assert mine[:, 1].max() < skull.lobes[side, 1] + 0.015
        assert np.ptp(mine[:, 1]) > 4 * METRES_PER_CLIP_PIXEL
    left, right = points[points[:, 0] > 0], points[points[:, 0] < 0]
    np.testing.assert_allclose(np.ptp(left, axis=0), np.ptp(right, axis=0), rtol=SINGLE)  # mirror images


def _exists(kind: str, size: str) -> bool:
    try:
        earrings_prompt(kind=kind, size=size)
    except PromptError:
        return False
    return True


def test_larger_is_larger(skull: Skull) -> None:
    def height(size: str) -> float:
        return float(np.ptp(build_earrings(skull, earrings_prompt(kind="hoop", size=size))[0].vertices[:, 1]))

    assert height("small") < height("medium") < height("large")


def test_lift_moves_them_out_and_forward(skull: Skull) -> None:
    close = build_earrings(skull, earrings_prompt(kind="stud"))[0].vertices
    lifted = build_earrings(skull, earrings_prompt(kind="stud"), 0.01)[0].vertices
    # Metres: a hundredth of the lift.
    assert np.ptp(lifted[:, 0]) - np.ptp(close[:, 0]) == pytest.approx(0.02, abs=1e-4)
    assert (lifted[:, 2] - close[:, 2]).min() > 0.005


def test_stone_and_metal_have_their_own_colours(skull: Skull) -> None:
    metal, stone = build_earrings(skull, earrings_prompt(kind="drop", metal="gold", stone="emerald"))
    gold, emerald = metal.texture[..., :3].mean((0, 1)), stone.texture[..., :3].mean((0, 1))
    assert gold[0] > gold[2] and emerald[1] > 1.2 * emerald[0]
    assert metal.gloss > stone.gloss > 0


def test_what_is_not_earrings_is_refused(skull: Skull) -> None:
    with pytest.raises(PromptError, match="expected a prompt for earrings"):
        build_earrings(skull, AttributePrompt("nose", Category.NOSE, (), "", 0))

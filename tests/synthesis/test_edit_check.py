"""An edit that could not be filmed is refused with what is wrong with it; a sound one is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from perse.attributes import CATEGORIES
from perse.data import EditedPortrait, TrackedPortrait
from perse.errors import GenerationError
from perse.head import HeadModel
from perse.synthesis.edit_check import check_edit
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.prompts import prompt_stream

Change = Callable[[EditedPortrait], EditedPortrait]


@pytest.fixture(scope="module")
def edits(tracked_astronaut: TrackedPortrait, head_model: HeadModel) -> list[EditedPortrait]:
    """One of each category."""
    editor = ProceduralEditorConfig().build(head_model)
    return [editor.edit(tracked_astronaut, next(iter(prompt_stream(category, 0)))) for category in CATEGORIES]


def test_sound_edits_pass(edits: list[EditedPortrait], tracked_astronaut: TrackedPortrait) -> None:
    assert any(edited.attachments for edited in edits)
    for edited in edits:
        check_edit(edited, tracked_astronaut)


def _of_attachment(change: Callable[[np.ndarray], np.ndarray], field: str) -> Change:
    def changed(edited: EditedPortrait) -> EditedPortrait:
        first, *others = edited.attachments
        bad = replace(first, **{field: change(getattr(first, field).copy())})
        return replace(edited, attachments=(bad, *others))

    return changed


def _with_nan(values: np.ndarray) -> np.ndarray:
    values[0, 0] = np.nan
    return values


FAULTS: dict[str, Change] = {
    r"picture is uint8 \[10, 10, 3\]": lambda one: replace(one, image=one.image[:10, :10]),
    "picture is float64": lambda one: replace(one, image=one.image / 255.0),
    r"picture is uint8 \[512, 512\], expected uint8 \[512, 512, 3\]": lambda one: replace(one, image=one.image[..., 0]),
    "one colour fills": lambda one: replace(one, image=np.zeros_like(one.image)),
    "edit's mask is uint8": lambda one: replace(one, edit_mask=one.edit_mask[1:]),
    "person's mask": lambda one: replace(
        one, masks=replace(one.masks, soft=one.masks.soft[:, :9], person=one.masks.person[:9])
    ),
    "underlay is uint8": lambda one: replace(one, underlay=one.underlay and replace(one.underlay, image=one.image[1:])),
    "holds numbers that are not finite": _of_attachment(_with_nan, "vertices"),
    "names corners that it does not have": _of_attachment(lambda faces: faces + 10**6, "faces"),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_a_faulty_one_is_refused_with_the_reason(
    reason: str, edits: list[EditedPortrait], tracked_astronaut: TrackedPortrait
) -> None:
    sound = next(edited for edited in edits if edited.attachments)
    with pytest.raises(GenerationError, match=reason):
        check_edit(FAULTS[reason](sound), tracked_astronaut)

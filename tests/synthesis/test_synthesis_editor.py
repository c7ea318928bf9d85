"""The procedural editor: prompts in, edited portraits out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perse.attributes import CATEGORIES, Category
from perse.data import AttributePrompt, TrackedPortrait
from perse.errors import PromptError
from perse.head import HeadModel
from perse.synthesis.procedural.editing import ProceduralEditor, ProceduralEditorConfig
from perse.synthesis.prompts import prompt_stream
from perse.synthesis.seams import PortraitEditor


@pytest.fixture(scope="module")
def editor(head_model: HeadModel) -> PortraitEditor:
    return ProceduralEditor(ProceduralEditorConfig(), head_model)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_can_be_edited(
    editor: PortraitEditor, tracked_astronaut: TrackedPortrait, category: Category
) -> None:
    prompt = next(prompt_stream(category, 0))
    edited = editor.edit(tracked_astronaut, prompt)
    assert edited.prompt == prompt
    outside = edited.edit_mask == 0
    assert outside.any() and not outside.all()
    assert np.array_equal(edited.image[outside], tracked_astronaut.image[outside])
    assert dict(edited.provenance)["backend"] == "procedural"
    assert tuple(sorted(edited.provenance)) == edited.provenance
    worn = category in (Category.HAT, Category.HEADPHONES, Category.EARRINGS)
    assert bool(edited.attachments) or not worn


def test_the_key_depends_on_everything_that_made_the_edit(
    head_model: HeadModel, editor: PortraitEditor, tracked_astronaut: TrackedPortrait
) -> None:
    prompt = next(prompt_stream(Category.MOUTH, 0))
    key = editor.edit(tracked_astronaut, prompt).key
    assert editor.edit(tracked_astronaut, prompt).key == key
    assert editor.edit(tracked_astronaut, replace(prompt, seed=prompt.seed + 1)).key != key
    assert editor.edit(replace(tracked_astronaut, key="somebody else"), prompt).key != key
    strict = ProceduralEditor(ProceduralEditorConfig(complete_prompts=False), head_model)
    assert strict.edit(tracked_astronaut, prompt).key != key


def mouth(*attributes: tuple[str, str]) -> AttributePrompt:
    return AttributePrompt("mouth-0000", Category.MOUTH, attributes, "lips", 1)


def test_missing_slots_take_their_usual_value(editor: PortraitEditor, tracked_astronaut: TrackedPortrait) -> None:
    edited = editor.edit(tracked_astronaut, mouth(("color", "red")))
    assert (edited.image != tracked_astronaut.image).any()
    assert edited.prompt.attributes == (("color", "red"),)


def test_strict_editor_refuses_missing_slots(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> None:
    strict = ProceduralEditor(ProceduralEditorConfig(complete_prompts=False), head_model)
    with pytest.raises(PromptError, match="fullness, width"):
        strict.edit(tracked_astronaut, mouth(("color", "red")))


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (mouth(), "free text.*fullness: full"),
        (mouth(("color", "octarine")), "'octarine'.*plum"),
        (mouth(("teeth", "gold")), "slot 'teeth'.*width"),
    ],
)
def test_unknown_wishes_are_answered_with_what_is_known(
    editor: PortraitEditor, tracked_astronaut: TrackedPortrait, prompt: AttributePrompt, told: str
) -> None:
    with pytest.raises(PromptError, match=told):
        editor.edit(tracked_astronaut, prompt)

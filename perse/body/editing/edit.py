"""Editing of a person: one prompt in, one edited person out."""

from __future__ import annotations

from perse.attributes import Category
from perse.body.editing.edited import EditedPerson
from perse.body.editing.garments import wear_garment
from perse.body.editing.worn import HEAD_CATEGORIES, edit_head
from perse.body.fitting.face import TrackedFace
from perse.body.fitting.person import FittedPerson
from perse.data import AttributePrompt
from perse.errors import PromptError

BODY_CATEGORIES: tuple[Category, ...] = (Category.CLOTHES, *HEAD_CATEGORIES)
"""What makes sense where a face is a few dozen pixels wide."""


def edit_person(person: FittedPerson, face: TrackedFace | None, prompt: AttributePrompt) -> EditedPerson:
    """The person with the prompt's attribute.

    Args:
        face: the tracked face; None where there is none, and only clothes can be changed.

    Raises:
        PromptError: a slot or value that is not in the vocabulary, or an edit of a head that is not tracked.
    """
    if prompt.category is Category.CLOTHES:
        return wear_garment(person, prompt)
    if face is None:
        raise PromptError(
            f"the face is too small or turned away, so {prompt.category.value} cannot be changed; "
            f"leave {prompt.category.value} out, or give a larger picture"
        )
    return edit_head(person, face, prompt)

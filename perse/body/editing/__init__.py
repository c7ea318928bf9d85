"""Edits of a photographed person: what the head's categories mean on a body.

::

    hat, headphones, hair ─► the head's own 3D attachments, carried over to the body's head      worn.py, head_frame.py
    beard, eyebrows, mouth ─► painted into the photographed face by the head's editor            worn.py
    clothes ─► another garment on the body: cut, colours, how far it stands off                  garments.py

Each makes an `EditedPerson`: a dressed person that any `BodyAnimator` can film, and which of the points it may change.
"""

from perse.body.editing.edit import BODY_CATEGORIES, edit_person
from perse.body.editing.edited import EditedPerson
from perse.body.editing.wishes import body_prompts, checked_prompts

__all__ = ["BODY_CATEGORIES", "EditedPerson", "body_prompts", "checked_prompts", "edit_person"]

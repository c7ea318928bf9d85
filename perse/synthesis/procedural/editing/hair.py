"""Edits of the hair: another style in 3D, a bald head, or the portrait's own hair in another colour."""

from __future__ import annotations

import numpy as np

from perse.attributes import Part
from perse.data import AttributePrompt, PartMasks, TrackedPortrait
from perse.head import HeadModel
from perse.synthesis.procedural.attachments.hair import build_hair
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.editing.hair_dye import dye_hair
from perse.synthesis.procedural.editing.head_view import HeadView
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.shortcut import remove_hair
from perse.synthesis.procedural.editing.worn import put_on

OWN_STYLE = "natural"
"""The style of a prompt that leaves the hair as it is and only asks for a colour."""

_SHOULDER_FRONT_M = -0.012
"""Where clothes are taken to stand, before the skull's centre: hair from the temples falls over them, hair from the
back of the head behind them."""


def style_hair(portrait: TrackedPortrait, prompt: AttributePrompt, head_model: HeadModel) -> PaintedEdit:
    """Portrait with the hair that the prompt describes.

    Returns:
        For a style: the old hair removed (P 4.2, the shortcut step) and 3D hair put on. For a bald head: a painted
        edit without any hair. For a colour alone: a painted edit of the portrait's own hair.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    if prompt.get("style") == OWN_STYLE:
        return dye_hair(portrait, prompt)
    view = HeadView.of(portrait, head_model)
    bald = remove_hair(portrait, head_model, view=view)
    skull = Skull.fit(head_model, portrait.head)
    hair = build_hair(skull, prompt)
    if not hair:
        return _without_traces(bald)
    shoulders = skull.centre + np.array([0.0, 0.0, _SHOULDER_FRONT_M * skull.scale])
    return put_on(portrait, bald, hair, view, seed=prompt.seed, body_depth_m=view.depth_m(shoulders))


def _without_traces(bald: PaintedEdit) -> PaintedEdit:
    """A bald head has no hair in its masks either, not even where an ear or a brow kept a wisp from being painted."""
    soft = bald.masks.soft.copy()
    traces = soft[Part.HAIR] > 0
    together = soft[Part.SKIN].astype(np.uint16) + soft[Part.HAIR]
    soft[Part.SKIN] = np.minimum(together, 255).astype(np.uint8)
    soft[Part.HAIR] = 0
    edit_mask = np.where(traces, np.uint8(255), bald.edit_mask)
    return PaintedEdit(bald.image, PartMasks(soft, bald.masks.person), edit_mask)

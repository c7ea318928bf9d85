"""The person without what a new attribute replaces: bald, without the old garment, with hair only below the hat."""

from __future__ import annotations

import numpy as np

from perse.attributes import Category, Part
from perse.data import TrackedPortrait
from perse.head import HeadModel
from perse.shapes import SoftMask
from perse.synthesis.compositing import put_part
from perse.synthesis.procedural.attachments.hat_models import RimPlane, rim_shares
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.editing.canvas import blur, fill_hole, finish
from perse.synthesis.procedural.editing.clothes import take_off_clothes
from perse.synthesis.procedural.editing.head_view import HeadView
from perse.synthesis.procedural.editing.painted import PaintedEdit, unchanged
from perse.synthesis.procedural.editing.shortcut import remove_hair, trim_hair_under_hat

_HAT_CUFF_M = 0.012
"""How far a hat of a photograph is taken to stand off the head at its rim."""

_USUAL_RIM = (0.55, 0.1)
"""Heights of a hat's rim at forehead and back of the head; what a front view does not show is taken from here."""

_USUAL_WEIGHT = 0.2
"""How much the usual rim counts beside the rim that is seen."""


def make_room(portrait: TrackedPortrait, category: Category, coverage: SoftMask, head_model: HeadModel) -> PaintedEdit:
    """Portrait with what is in the way removed.

    Args:
        coverage: [h, w] in [0, 1], where the new attribute will lie.
    """
    if category is Category.HAIR:
        return remove_hair(portrait, head_model)
    if category is Category.CLOTHES:
        return take_off_clothes(portrait, coverage)
    if category is Category.HAT:
        view, skull = HeadView.of(portrait, head_model), Skull.fit(head_model, portrait.head)
        plane = rim_of(coverage, view, skull)
        return trim_hair_under_hat(portrait, head_model, plane, view=view, skull=skull)
    if category in ON_SKIN:
        return _as_skin(portrait, ON_SKIN[category])
    return unchanged(portrait)


ON_SKIN = {Category.BEARD: Part.BEARD, Category.EYEBROWS: Part.BROWS}
"""Hair that lies on skin."""


def _as_skin(portrait: TrackedPortrait, part: Part) -> PaintedEdit:
    """A part that lies on skin, painted over with the skin around it."""
    width = portrait.face_width_px
    cover = np.clip(1.5 * blur(portrait.masks[part], 0.012 * width), 0, 1).astype(np.float32)
    picture = fill_hole(portrait.image.astype(np.float32), cover, 0.02 * width)
    return finish(portrait, picture, cover, put_part(portrait.masks, Part.SKIN, cover, (part,)))


def rim_of(hat: SoftMask, view: HeadView, skull: Skull) -> RimPlane:
    """The plane in which a hat ends, from the lower edge of its mask [h, w] on the head.

    Least squares over the columns of the picture; the back of the rim, which a front view hardly shows, leans on a
    usual hat's.
    """
    heights, shares = [], []
    for column in np.nonzero((hat > 0.5).any(0))[0]:
        below = int(np.nonzero(hat[:, column] > 0.5)[0][-1]) + 2
        if below < len(hat) and view.coverage[below, column] > 0.9:
            height, share = rim_shares(skull, view.rest_px[below, column])
            heights.append(height)
            shares.append(share)
    front, back = np.array(_USUAL_RIM)
    if len(heights) >= 8:
        share = np.array(shares)
        weight = np.sqrt(_USUAL_WEIGHT * len(share))
        rows = np.concatenate([np.stack([share, 1 - share], 1), weight * np.eye(2)])
        front, back = np.linalg.lstsq(rows, np.concatenate([heights, weight * np.array(_USUAL_RIM)]), rcond=None)[0]
    return RimPlane(float(np.clip(front, 0.2, 0.9)), float(np.clip(back, -0.4, 0.6)), _HAT_CUFF_M)

"""Background that a photograph shows where hair or skin was fitted: through loose strands, beside an arm."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import map_coordinates
from torch import Tensor

from perse.body.fitting.bare_skin import nearest
from perse.body.fitting.fill import LEAST, ODD, PALE, WELL_SEEN, alike, lab_of
from perse.body.model.covers import Cover
from perse.shapes import Picture, SoftMask

BACKGROUND = 0.05
"""Of the person's mask, below which a pixel shows none of the person."""
BLUR_SHARE, NEAR = 0.008, 0.02
"""Deviation of the background's mean, in the photograph's longer side, and the share of it from which on it is near: up
to two deviations inside the outline."""


def background_seen(
    image: Picture,
    mask: SoftMask,
    photo_px: Float[Tensor, "n 2"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    covers: Int[Tensor, " n"],
) -> Bool[Tensor, " n"]:
    """Places of hair and skin [n], near the outline, whose colour is nearer to the background's beside them than to
    hair's or skin's: a wall between strands was a bright stripe along the hair's rim from every other side, one beside
    an elbow a white patch on the arm. Of cloth this cannot be told: it may have any colour.

    Args:
        mask: the person in the photograph.
        photo_px: where each point is in the photograph; colors: in [0, 1], what that has there; seen: in [0, 1].
        covers: values of `Cover`.
    """
    outside = (mask < BACKGROUND).astype(np.float32)
    deviation = BLUR_SHARE * max(mask.shape)
    share = cv2.GaussianBlur(outside, (0, 0), deviation)
    carried = cv2.GaussianBlur(image.astype(np.float32) * outside[..., None], (0, 0), deviation)
    places = [photo_px[:, 1].numpy() - 0.5, photo_px[:, 0].numpy() - 0.5]
    around = [map_coordinates(one, places, order=1, mode="nearest") for one in (*np.moveaxis(carried, -1, 0), share)]
    values = torch.from_numpy(np.stack(around, 1).astype(np.float32))
    near = values[:, 3] > NEAR
    background = (values[:, :3] / values[:, 3:].clamp(min=NEAR) / 255).clamp(0, 1)
    lab, shown = lab_of(colors), torch.zeros_like(near)
    from_background = (lab - lab_of(background)).norm(dim=-1)
    for cover, odd in ((Cover.HAIR, ODD), (Cover.SKIN, PALE)):
        own = covers == cover
        inner, beside = own & (seen > WELL_SEEN) & ~near, own & near
        if int(inner.sum()) >= LEAST:
            known = lab[inner & alike(colors, inner, odd=odd)]
            shown[beside] = from_background[beside] < nearest(known, lab[beside])
    return shown

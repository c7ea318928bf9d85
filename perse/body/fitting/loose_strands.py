"""Background that a photograph shows through loose strands of hair."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import map_coordinates
from torch import Tensor

from perse.body.fitting.bare_skin import nearest
from perse.body.fitting.fill import LEAST, WELL_SEEN, alike, lab_of
from perse.body.model.covers import Cover
from perse.shapes import Picture, SoftMask

BACKGROUND = 0.05
"""Of the person's mask, below which a pixel shows none of the person."""
BLUR_SHARE, NEAR = 0.008, 0.02
"""Deviation of the background's mean, in the photograph's longer side, and the share of it from which on it is near: up
to two deviations inside the outline."""


def background_in_hair(
    image: Picture,
    mask: SoftMask,
    photo_px: Float[Tensor, "n 2"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    covers: Int[Tensor, " n"],
) -> Bool[Tensor, " n"]:
    """Places of hair [n], near its outline, whose colour is nearer to the background's beside it than to hair's: a wall
    between strands was a bright stripe along the hair's rim from every other side.

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
    near, hair = values[:, 3] > NEAR, covers == Cover.HAIR
    inner = hair & (seen > WELL_SEEN) & ~near
    if int(inner.sum()) < LEAST:
        return torch.zeros_like(hair)
    background = (values[:, :3] / values[:, 3:].clamp(min=NEAR) / 255).clamp(0, 1)
    lab, strands = lab_of(colors), lab_of(colors[inner & alike(colors, inner)])
    return hair & near & ((lab - lab_of(background)).norm(dim=-1) < nearest(strands, lab))

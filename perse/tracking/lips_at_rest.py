"""Lips that touch at rest: identity offsets that close a head's mouth where its template or its fit leaves it parted.

The embedded head's lips stand 2 mm apart, and the residual of a fit to a wide open mouth parts them further. At rest
the teeth then show as a grey line in every portrait.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from perse.head import HeadModel, HeadParameters, Joint, Region, pose_head
from perse.tracking.landmarks import LIPS_LOWER_INNER, LIPS_UPPER_INNER
from perse.tracking.residual import spread

CONTACT_M = 0.0002
"""Lips this near to each other touch: a tenth of a pixel in a portrait."""
RADIUS_M = 0.006
"""How far the closing reaches into each lip, standard deviation: half the height of its red."""
APART_RAD = 0.4
"""Jaw angle at which upper and lower lip are so far apart that none is moved along with the other."""
_STIFFNESS = 0.1


def close_lips(model: HeadModel, betas: Float[Tensor, " b"], offsets: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Offsets [v, 3] metres with which the inner lips meet half-way at rest; lips that overlap stay as they are.

    Args:
        model: a head whose landmarks may lack the inner lips (nothing changes then); its dtype is the arguments'.
        offsets: [v, 3] metres, the identity's so far.
    """
    place = {mark: index for index, mark in enumerate(model.landmark_ids.tolist())}
    pairs = [
        (place[upper], place[lower])
        for upper, lower in zip(LIPS_UPPER_INNER[1:-1], LIPS_LOWER_INNER[1:-1], strict=True)
        if upper in place and lower in place
    ]
    if not pairs:
        return offsets
    upper, lower = (torch.tensor(side) for side in zip(*pairs, strict=True))
    marks = model.landmarks(_posed(model, betas, offsets, 0.0))
    gap = (marks[upper, 1] - marks[lower, 1] - CONTACT_M).clamp_min(0)
    half = torch.zeros(len(gap), 3, dtype=gap.dtype)
    half[:, 1] = gap / 2
    opened = _posed(model, betas, offsets, APART_RAD)
    ends = model.landmarks(opened)
    field = spread(ends[torch.cat([upper, lower])], torch.cat([-half, half]), opened, RADIUS_M, _STIFFNESS)
    field[model.regions != Region.SKIN] = 0
    return offsets + field


def lips_closed(model: HeadModel) -> Float[Tensor, "n 3"]:
    """Offsets [v, 3] metres, float64, that close the mouth of the average head: where a fit starts."""
    average = torch.zeros(model.n_shape, dtype=torch.float64)
    still = torch.zeros(model.n_vertices, 3, dtype=torch.float64)
    return close_lips(model.to("cpu", torch.float64), average, still)


def _posed(
    model: HeadModel, betas: Float[Tensor, " b"], offsets: Float[Tensor, "n 3"], jaw: float
) -> Float[Tensor, "n 3"]:
    pose = torch.zeros(model.n_joints, 3, dtype=offsets.dtype)
    pose[Joint.JAW, 0] = jaw
    neutral = torch.zeros(model.n_expression, dtype=offsets.dtype)
    return pose_head(model, HeadParameters(betas, offsets, neutral, pose)).vertices

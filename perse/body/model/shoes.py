"""Form of a shod foot: without toes.

A body model's feet are bare. Under a shoe they would show toes in the shoe's colour.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull
from torch import Tensor

from perse.body.model.joints import BodyJoint
from perse.head import HeadModel

OVER_M = 0.04
"""So far below the ankle's joint a foot is entirely a shoe; a leg is no part of it."""
AXIS = (0.3, 0.75)
"""The line inside a foot from which it grows: it ends so far along the foot, from the heel on."""


def shod(model: HeadModel, skin: Float[Tensor, "v 3"], shoes: Bool[Tensor, " v"]) -> Float[Tensor, "v 3"]:
    """A body in rest pose whose shod feet fill their convex hulls.

    Args:
        skin: metres; shoes: which vertices a shoe covers.
    """
    points = skin.double().numpy()
    joints = model.joint_regressor @ skin
    result = points.copy()
    for side, ankle in ((1, BodyJoint.LEFT_ANKLE), (-1, BodyJoint.RIGHT_ANKLE)):
        share = ((joints[ankle, 1] - skin[:, 1]) / OVER_M).clamp(0, 1).double().numpy()
        foot = np.flatnonzero((shoes & (side * skin[:, 0] > 0)).numpy() & (share > 0))
        if len(foot) >= 4:
            result[foot] += share[foot, None] * (_to_hull(points[foot]) - points[foot])
    return torch.from_numpy(result.astype(np.float32))


def _to_hull(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Points carried to their convex hull, each away from a line inside: neighbours stay neighbours,
    and the sides of toes lie below their tops."""
    low, high = points.min(0), points.max(0)
    along = np.clip((points[:, 2] - low[2]) / (high[2] - low[2]), *AXIS)
    across = np.polynomial.Polynomial.fit(points[:, 2], points[:, 0], 1)  # a foot points a little outwards
    depth = low[2] + along * (high[2] - low[2])
    middle = np.stack([across(depth), np.full(len(points), low[1] + 0.35 * (high[1] - low[1]) * (1 - along)), depth], 1)
    planes = ConvexHull(points).equations  # outward unit normal and offset: n · p + d <= 0 inside
    away = points - middle
    room, speed = -(middle @ planes[:, :3].T + planes[:, 3]), away @ planes[:, :3].T
    steps = np.where(speed > 1e-9, room / np.maximum(speed, 1e-9), np.inf).min(1)
    return np.asarray(middle + np.where(np.isfinite(steps), steps, 1.0)[:, None] * away)

"""Cloth that lags, swings and hangs: a damped spring a point, and gravity.

Every point of the dressed surface has a *looseness* λ in [0, 1] (0 is skin, 1 is a wide hem) and a *slack*, its
distance from the skin in metres. Where the skinned motion puts the point, p(t), is where its spring pulls:

    x'' = ω² (p − x) − 2 ζ ω x',    ω = OMEGA (1 − STIFFEST_TO_LOOSEST λ)

and it is drawn at p + λ (x − p), no further than MAX_LAG_M away. Before that, cloth hangs: where the surface faces the
floor it sags by λ · slack, where it faces up it lies down on the skin by as much. The first is what a fast motion
does, the second depends on the pose alone. There is no collision between cloth and cloth, and no stretching.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from perse.body.model.upsampling import unit_normals

OMEGA = 22.0
"""Of taut cloth, per second: it follows within 50 ms."""
STIFFEST_TO_LOOSEST = 0.6
DAMPING = 0.45
"""ζ: it overshoots about once."""
MAX_LAG_M = 0.07
SUBSTEPS = 4
LONGEST_STEP_S = 0.032
"""Of the integration: longer ones let the spring of taut cloth run away, which a motion filmed in few frames showed."""
SAG = 0.8
"""How much of its slack cloth sags."""


def hung(
    points: Float[Tensor, "f n 3"],
    faces: Int[Tensor, "t 3"],
    looseness: Float[Tensor, " n"],
    slack_m: Float[Tensor, " n"],
) -> Float[Tensor, "f n 3"]:
    """Posed points [f, n, 3] after cloth has sagged.

    Args:
        faces: [t, 3].
        looseness, slack_m: [n].
    """
    facing = unit_normals(points, faces)[..., 1]
    drop = SAG * looseness * slack_m * facing.abs()
    return torch.stack([points[..., 0], points[..., 1] - drop, points[..., 2]], -1)


def lagged(points: Float[Tensor, "f n 3"], looseness: Float[Tensor, " n"], seconds: float) -> Float[Tensor, "f n 3"]:
    """Cycle of posed points [f, n, 3], `seconds` long, whose cloth lags behind.

    The cycle is run twice and the second one kept, so that the first frame follows the last.
    """
    loose = looseness.numpy() > 0.01
    if not loose.any() or len(points) < 2:
        return points
    goal = points[:, loose].numpy().astype(np.float64)
    share = looseness.numpy()[loose, None].astype(np.float64)
    omega = OMEGA * (1 - STIFFEST_TO_LOOSEST * share)
    substeps = max(SUBSTEPS, math.ceil(seconds / len(points) / LONGEST_STEP_S))
    step = seconds / len(points) / substeps
    place, speed = goal[0].copy(), np.zeros_like(goal[0])
    out = points.clone()
    for lap in range(2):
        for frame in range(len(points)):
            before, after = goal[frame - 1], goal[frame]
            for part in range(substeps):
                wanted = before + (after - before) * (part + 1) / substeps
                speed += step * (omega**2 * (wanted - place) - 2 * DAMPING * omega * speed)
                place += step * speed
            if lap:
                out[frame, loose] = torch.from_numpy(after + share * _short(place - after)).to(points)
    return out


def _short(lag: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.maximum(np.linalg.norm(lag, axis=1, keepdims=True), 1e-9)
    return np.asarray(lag * np.minimum(1, MAX_LAG_M / length))

"""Arms and legs: which vertices they are, and how far along each lies."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from perse.body.model import BodyJoint, BodyRegion

Chain = tuple[BodyJoint, BodyJoint, BodyJoint]
"""Where a limb begins, bends and ends."""

ARMS: tuple[Chain, Chain] = (
    (BodyJoint.LEFT_SHOULDER, BodyJoint.LEFT_ELBOW, BodyJoint.LEFT_WRIST),
    (BodyJoint.RIGHT_SHOULDER, BodyJoint.RIGHT_ELBOW, BodyJoint.RIGHT_WRIST),
)
LEGS: tuple[Chain, Chain] = (
    (BodyJoint.LEFT_HIP, BodyJoint.LEFT_KNEE, BodyJoint.LEFT_ANKLE),
    (BodyJoint.RIGHT_HIP, BodyJoint.RIGHT_KNEE, BodyJoint.RIGHT_ANKLE),
)


def of_limb(
    template: Float[Tensor, "v 3"], joints: Float[Tensor, "55 3"], regions: Int[Tensor, " v"], chain: Chain,
    near: BodyRegion, far: BodyRegion,
) -> Bool[Tensor, " v"]:  # fmt: skip
    """[v], vertices of one limb of a pair, whose two regions are `near` and `far`."""
    same_side = template[:, 0] * joints[int(chain[1]), 0] > 0
    return same_side & ((regions == near) | (regions == far))


def along_limb(
    template: Float[Tensor, "v 3"], joints: Float[Tensor, "55 3"], chain: Chain, far: Bool[Tensor, " v"]
) -> Float[Tensor, " v"]:
    """[v], places along a limb: 0 where it begins, 1 at elbow or knee, 2 at wrist or ankle; `far` is what lies beyond
    elbow or knee."""
    first, middle, last = (joints[int(joint)] for joint in chain)
    upper, lower = middle - first, last - middle
    above = ((template - first) @ upper / upper.square().sum()).clamp(-1, 1)
    below = 1 + ((template - middle) @ lower / lower.square().sum()).clamp(0, 2)
    return torch.where(far, below, above)


def on_limb(joints: Float[Tensor, "55 3"], chain: Chain, along: float) -> Float[Tensor, "3"]:
    """The place on a limb's bones so far along."""
    first, middle, last = (joints[int(joint)] for joint in chain)
    return first.lerp(middle, along) if along < 1 else middle.lerp(last, along - 1)

"""Arms and legs: which vertices they are, and how far along each lies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from perse.body.model import BodyJoint, BodyRegion


@dataclass(frozen=True)
class Chain:
    """Joints and regions of a limb.

    Attributes:
        joints: where it begins, bends and ends.
        near, far: regions before and beyond the bend.
    """

    joints: tuple[BodyJoint, BodyJoint, BodyJoint]
    near: BodyRegion
    far: BodyRegion

    def places(self, joints: Float[Tensor, "55 3"]) -> tuple[Float[Tensor, "3"], ...]:
        """Where the limb begins, bends and ends."""
        return tuple(joints[int(joint)] for joint in self.joints)


_ARM, _LEG = (BodyRegion.UPPER_ARM, BodyRegion.FOREARM), (BodyRegion.UPPER_LEG, BodyRegion.LOWER_LEG)
ARMS = (
    Chain((BodyJoint.LEFT_SHOULDER, BodyJoint.LEFT_ELBOW, BodyJoint.LEFT_WRIST), *_ARM),
    Chain((BodyJoint.RIGHT_SHOULDER, BodyJoint.RIGHT_ELBOW, BodyJoint.RIGHT_WRIST), *_ARM),
)
LEGS = (
    Chain((BodyJoint.LEFT_HIP, BodyJoint.LEFT_KNEE, BodyJoint.LEFT_ANKLE), *_LEG),
    Chain((BodyJoint.RIGHT_HIP, BodyJoint.RIGHT_KNEE, BodyJoint.RIGHT_ANKLE), *_LEG),
)


@dataclass(frozen=True)
class Limb:
    """Vertices of an arm or a leg.

    Attributes:
        chain: which one.
        own: [v] bool, which vertices are its own.
        along: [v], places along it: 0 where it begins, 1 at elbow or knee, 2 at wrist or ankle.
    """

    chain: Chain
    own: Bool[Tensor, " v"]
    along: Float[Tensor, " v"]


def limb_of(
    template: Float[Tensor, "v 3"], joints: Float[Tensor, "55 3"], regions: Int[Tensor, " v"], chain: Chain
) -> Limb:
    """One limb of a body at rest.

    Args:
        template: rest pose, metres; joints: rest positions.
        regions: values of `BodyRegion`.
    """
    first, middle, last = chain.places(joints)
    same_side = template[:, 0] * middle[0] > 0
    upper, lower = middle - first, last - middle
    above = ((template - first) @ upper / upper.square().sum()).clamp(-1, 1)
    below = 1 + ((template - middle) @ lower / lower.square().sum()).clamp(0, 2)
    far = regions == chain.far
    return Limb(chain, same_side & ((regions == chain.near) | far), torch.where(far, below, above))


def on_limb(joints: Float[Tensor, "55 3"], chain: Chain, along: float) -> Float[Tensor, "3"]:
    """The place on a limb's bones so far along."""
    first, middle, last = chain.places(joints)
    return first.lerp(middle, along) if along < 1 else middle.lerp(last, along - 1)

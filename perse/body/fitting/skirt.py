"""A skirt: cloth that hangs around both legs at once, not around each.

The dressed surface is a layer over the body, so a dress was two legs of cloth and looked like shorts in a wide step.
Where the photograph shows a skirt, the inner halves of the two legs of cloth are unrolled into a sheet before the legs
and one behind them, which meet in the middle, and both legs carry what lies between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.body.fitting.bare_skin import LEAST
from perse.body.fitting.limbs import LEGS, Limb, limb_of, on_limb
from perse.body.model import BodyJoint
from perse.body.model.covers import Cover
from perse.curves import smoothstep
from perse.geometry import Camera
from perse.shapes import SoftMask

FLARED_M = 0.018
"""Cloth that stands off the legs by more than this near its hem may be a skirt: of four photographed people a dress
stood off by 20 to 30 mm, shorts and trousers by 6 to 12. Wide trousers did by 29, and show what is between the legs."""
HEMS = 0.97
NEAR_HEM = 0.3
LONGEST = 1.85
"""A hem lower than this, 2 being the ankle, may be trousers whose legs touch."""
LOOKS = 8
"""Places between the legs, from the hips to the hem, at which the photograph has to show cloth."""
ABOVE_HEM = 0.05
BEGINS, WHOLE = 0.0, 0.25
"""Along a thigh, from where to where two legs of cloth become one skirt."""


@dataclass(frozen=True)
class Skirt:
    """Cloth around both legs.

    Attributes:
        skin: [v, 3], what the layer stands on, rest pose, metres: legs below, sheets where the skirt is.
        normals: [v, 3], in which direction it stands off.
        share: [v] in [0, 1], how much of a vertex is skirt.
    """

    skin: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    share: Float[Tensor, " v"]


def cloth_of_legs(
    template: Float[Tensor, "v 3"], joints: Float[Tensor, "55 3"], regions: Int[Tensor, " v"],
    covers: Int[Tensor, " v"],
) -> tuple[Limb, ...]:  # fmt: skip
    """The two legs, of which only what cloth covers.

    Args:
        template: rest pose, metres; joints: rest positions.
        regions: values of `BodyRegion`; covers: values of `Cover`.
    """
    cloth = (covers == Cover.UPPER) | (covers == Cover.LOWER)
    legs = (limb_of(template, joints, regions, leg) for leg in LEGS)
    return tuple(replace(leg, own=leg.own & cloth) for leg in legs)


def is_skirt(
    legs: Sequence[Limb],
    thickness_m: Float[Tensor, " v"],
    posed_joints: Float[Tensor, "55 3"],
    camera: Camera,
    mask: SoftMask,
) -> bool:
    """Whether the cloth on the legs is one skirt: it stands off them near its hem, and the photograph shows nothing
    else between the legs down to there.

    Args:
        legs: of cloth; thickness_m: of the layer.
        posed_joints: as photographed, metres.
        mask: the person in the photograph.
    """
    hems = []
    for leg in legs:
        if int(leg.own.sum()) < LEAST:
            return False
        hem = float(leg.along[leg.own].quantile(HEMS))
        if hem > LONGEST or float(thickness_m[leg.own & (leg.along > hem - NEAR_HEM)].mean()) < FLARED_M:
            return False
        hems.append(hem)
    return _filled(posed_joints, min(hems) - ABOVE_HEM, camera, mask)


def _filled(joints: Tensor, hem: float, camera: Camera, mask: SoftMask) -> bool:
    """Whether all places between the legs, down to the hem, belong to the person."""
    places = []
    for along in np.linspace(0.1, max(hem, 0.1), LOOKS):
        sides = [on_limb(joints, leg, float(along)) for leg in LEGS]
        places.append((sides[0] + sides[1]) / 2)
    pixels = camera.project(torch.stack(places))[0].long()
    height, width = mask.shape
    inside = (pixels >= 0).all(1) & (pixels < torch.tensor([width, height])).all(1)
    return bool(inside.all()) and bool((mask[pixels[:, 1].numpy(), pixels[:, 0].numpy()] > 0.5).all())


def unrolled(
    legs: Sequence[Limb], skin: Float[Tensor, "v 3"], normals: Float[Tensor, "v 3"], joints: Float[Tensor, "55 3"]
) -> Skirt:
    """The skirt's own surface: what of each leg faces the other becomes a sheet before and one behind both legs.

    A quarter of a leg's circumference, from its front (or back) to where it faces the other leg, becomes the way from
    the leg's middle to the middle between the legs.

    Args:
        legs: of cloth.
        skin, joints: of the fitted person, rest pose.
    """
    place, facing, share = skin.clone(), normals.clone(), torch.zeros(len(skin))
    for leg in legs:
        own, along = leg.own, leg.along[leg.own]
        middle = torch.stack([on_limb(joints, leg.chain, float(one)) for one in along.clamp(0, 2)])
        off, side = skin[own] - middle, math.copysign(1.0, float(leg.chain.places(joints)[0][0]))
        outwards, depth = side * off[:, 0], off[:, 2]
        angle = torch.atan2(depth.abs(), -outwards)  # 0 towards the other leg, π/2 in front and behind
        inner = (outwards < 0).float()
        reach = middle[:, 0] * (angle / (math.pi / 2))
        sheet = torch.stack([reach, skin[own, 1], middle[:, 2] + depth.sign() * off[:, [0, 2]].norm(dim=1)], 1)
        ahead = torch.stack([torch.zeros_like(depth), torch.zeros_like(depth), depth.sign()], 1)
        amount = torch.from_numpy(smoothstep(along.numpy(), BEGINS, WHOLE)).float()
        turned = (amount * inner)[:, None]
        place[own] = skin[own].lerp(sheet, turned)
        facing[own] = torch.nn.functional.normalize(normals[own].lerp(ahead, turned), dim=1)
        share[own] = amount
    return Skirt(place, facing, share)


def carried_by_both(
    skinning: Float[Tensor, "n 55"],
    rest: Float[Tensor, "n 3"],
    joints: Float[Tensor, "55 3"],
    share: Float[Tensor, " n"],
) -> Float[Tensor, "n 55"]:
    """Skinning weights of a skirt's points: what the legs carry of them, both thighs carry, each its side and both the
    middle, and no knee bends it.

    Args:
        share: in [0, 1], how much of a point is skirt.
    """
    legs = [int(joint) for leg in LEGS for joint in leg.joints]
    half = float(joints[int(BodyJoint.LEFT_HIP), 0])
    left = torch.from_numpy(smoothstep(rest[:, 0].numpy(), -half, half)).float()
    carried = skinning.clone()
    whole = skinning[:, legs].sum(1)
    carried[:, legs] = 0
    carried[:, int(BodyJoint.LEFT_HIP)], carried[:, int(BodyJoint.RIGHT_HIP)] = whole * left, whole * (1 - left)
    return skinning.lerp(carried, share[:, None])


def no_skirt(skin: Float[Tensor, "v 3"], normals: Float[Tensor, "v 3"]) -> Skirt:
    """Trousers, or bare legs: the surface as it is."""
    return Skirt(skin, normals, torch.zeros(len(skin)))

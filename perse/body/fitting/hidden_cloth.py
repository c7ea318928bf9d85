"""Cloth that a hand before it hides from the photograph."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.fitting.bare_skin import nearest
from perse.body.fitting.fill import LEAST, WELL_SEEN, alike, lab_of
from perse.body.model import BodyRegion, in_regions
from perse.body.model.covers import Cover
from perse.geometry import Camera

REACH_M, TOUCH_M = 0.06, 0.012
"""So near to a fitted hand, across the picture, a hand may be seen in place of cloth: fingers are fitted to 2 or 3 cm;
and so near its outline mixes the two."""

BARE = (BodyRegion.HAND, BodyRegion.FOREARM)
COVERED = (BodyRegion.TORSO, BodyRegion.HIP, BodyRegion.UPPER_LEG)


def beside_hands(
    photo_m: Float[Tensor, "v 2"], seen: Float[Tensor, " v"], regions: Int[Tensor, " v"]
) -> Bool[Tensor, " v"]:
    """Vertices of trunk and thighs that the photograph may show a hand or a bare forearm instead of: they say nothing
    of what is worn there. Shorts had holes on both hips.

    Args:
        photo_m, seen: as for `hand_before_cloth`.
        regions: values of `BodyRegion`.
    """
    hands, other = in_regions(regions, *BARE), in_regions(regions, *COVERED)
    hands, beside = hands & (seen > 0), torch.zeros(len(regions), dtype=torch.bool)
    if bool(hands.any()):
        distances, _ = cKDTree(photo_m[hands].numpy()).query(photo_m[other].numpy())
        beside[other] = torch.from_numpy(distances < REACH_M)
    return beside


def px_per_m(camera: Camera, posed: Float[Tensor, "n 3"]) -> float:
    """Pixels of a photograph for a metre at the mean distance of posed points."""
    return float(camera.intrinsics[0, 0] / camera.to_camera(posed)[:, 2].mean())


def hand_before_cloth(
    photo_m: Float[Tensor, "n 2"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    covers: Int[Tensor, " n"],
    hands: Bool[Tensor, " n"],
) -> Bool[Tensor, " n"]:
    """Places of cloth [n] beside a hand that show the hand: of two people with their arms down, trousers and shorts had
    a second hand painted on the hip.

    Args:
        photo_m: places in the photograph, in metres at the person's distance.
        colors: in [0, 1], what the photograph has there; seen: in [0, 1], how well.
        covers: values of `Cover`; hands: which points are a hand's.
    """
    cloth = (covers == Cover.UPPER) | (covers == Cover.LOWER)
    hidden, shown = torch.zeros_like(cloth), hands & (seen > 0)
    skin = (covers == Cover.SKIN) & (seen > WELL_SEEN)
    if not bool(cloth.any()) or int(shown.sum()) < LEAST or int(skin.sum()) < LEAST:
        return hidden
    distances, _ = cKDTree(photo_m[shown].numpy()).query(photo_m[cloth].numpy())
    away = torch.full((len(cloth),), float("inf"))
    away[cloth] = torch.from_numpy(distances).float()
    own = cloth & (seen > WELL_SEEN) & (away > REACH_M)
    if int(own.sum()) < LEAST:
        return hidden
    beside = cloth & (away <= REACH_M)
    lab = lab_of(colors)
    hidden[beside] = nearest(lab[skin & alike(colors, skin)], lab[beside]) < nearest(lab[own], lab[beside])
    return hidden | (cloth & (away <= TOUCH_M))

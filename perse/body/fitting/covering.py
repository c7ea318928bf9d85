"""Covers of the body's vertices: skin, hair, an upper garment, a lower one or shoes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.body.fitting.bare_skin import LEAST, LIGHTNESS_SHARE, SEEN, nearest, skin_likeness
from perse.body.fitting.fill import lab_of
from perse.body.fitting.limb_hems import bare_below_hems
from perse.body.fitting.long_hair import hanging_hair
from perse.body.model import BodyRegion, in_regions
from perse.body.model.covers import Cover
from perse.body.model.upsampling import unit_normals, vertex_areas
from perse.head.mesh_tools import neighbour_average, smooth_values
from perse.shapes import ByteMask, HardMask

SMOOTHING = 4
ONE_GARMENT = 10.0
"""Distance in Lab, lightness halved, of the middle colours of chest and thighs below which both are one garment: a
dress, overalls. A dress in the light from above had 5, tops and trousers of four others 18 and more."""
COLLAR_M = 0.008
"""Heights of a neck that differ less are the same."""


def vertex_covers(
    template: Float[Tensor, "n 3"],
    joints: Float[Tensor, "55 3"],
    faces: Int[Tensor, "t 3"],
    regions: Int[Tensor, " n"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    hair: Float[Tensor, " n"] | None,
) -> Int[Tensor, " n"]:
    """Covers [v] of the body's vertices.

    Args:
        template: [v, 3], rest pose; heights are compared on it. joints: [55, 3] of it.
        regions: [v] values of `BodyRegion`.
        colors: [v, 3] in [0, 1], what the photograph has where each vertex is; seen: [v], how well it shows it.
        hair: [v] in [0, 1], the tracked portrait's hair mask at each vertex; None if the face was not tracked.
    """
    lab = lab_of(colors)
    average = neighbour_average(faces.numpy(), len(template))
    hanging = torch.zeros(len(template), dtype=torch.bool)
    if hair is not None:
        hanging = hanging_hair(template, unit_normals(template, faces), regions, seen, hair)
    likeness, shown = skin_likeness(lab, regions, seen, hanging, vertex_areas(template, faces)), seen * ~hanging
    bare = _spread(likeness, shown, average)
    bare = torch.where(regions == BodyRegion.NECK, _by_height(template[:, 1], likeness, shown, regions, bare), bare)
    bare = bare_below_hems(template, joints, regions, likeness, shown > SEEN, bare)

    def of(*chosen: BodyRegion) -> Tensor:
        return in_regions(regions, *chosen)

    covers = torch.full((len(template),), int(Cover.SKIN))
    arms, trunk = of(BodyRegion.UPPER_ARM, BodyRegion.FOREARM), of(BodyRegion.TORSO)
    legs = of(BodyRegion.HIP, BodyRegion.UPPER_LEG, BodyRegion.LOWER_LEG)
    covers[(arms | of(BodyRegion.NECK)) & (bare < 0.5)] = int(Cover.UPPER)
    # What is not seen of a trunk is dressed unless all around it is bare: a nape came down into a collar's back.
    covers[trunk & (bare < torch.where(shown > SEEN, 0.6, 0.8))] = int(Cover.UPPER)
    covers[legs & (bare < 0.6)] = int(Cover.LOWER)
    covers[of(BodyRegion.FOOT) & (bare < 0.7)] = int(Cover.SHOES)
    cloth = (shown > SEEN) & (likeness < 0.5)
    hem = _hem(template[:, 1], lab, cloth, trunk | of(BodyRegion.HIP, BodyRegion.UPPER_LEG), trunk)
    middle = (trunk | of(BodyRegion.HIP, BodyRegion.UPPER_LEG)) & (covers != Cover.SKIN)
    covers[middle] = torch.where(template[middle, 1] > hem, int(Cover.UPPER), int(Cover.LOWER))
    scalp = of(BodyRegion.SCALP)
    hairy = (bare < 0.5) if hair is None else hair > 0.5
    covers[scalp & hairy] = int(Cover.HAIR)
    if hair is not None:
        covers[of(BodyRegion.FACE) & (hair > 0.8)] = int(Cover.HAIR)
    covers[hanging] = int(Cover.HAIR)
    return covers


def _spread(values: Tensor, seen: Tensor, average: object) -> Tensor:
    """Seen values smoothed over the surface and carried to what is not seen."""
    weight = (seen > SEEN).numpy().astype(np.float64)
    stack = np.stack([values.numpy() * weight, weight], 1)
    sums = stack
    for rounds in (SMOOTHING, 12, 40, 120):  # wider where nothing is near
        smoothed = smooth_values(stack, average, rounds)  # type: ignore[arg-type]
        sums = np.where(sums[:, 1:] < 0.05, smoothed, smoothed if rounds == SMOOTHING else sums)
    return torch.from_numpy((sums[:, 0] / np.maximum(sums[:, 1], 1e-6)).astype(np.float32))


def _by_height(height: Tensor, values: Tensor, seen: Tensor, regions: Tensor, otherwise: Tensor) -> Tensor:
    """[v]: of the neck, what is seen at the same height or somewhere below: a collar goes around, and ends once.
    Elsewhere nothing that is meant."""
    sources = (regions == BodyRegion.NECK) & (seen > SEEN)
    if int(sources.sum()) < LEAST:
        return otherwise
    levels = torch.linspace(float(height[sources].min()), float(height[regions == BodyRegion.NECK].max()), 64)
    near = torch.exp(-0.5 * ((levels[:, None] - height[sources][None]) / COLLAR_M) ** 2)
    weight = near.sum(1)
    bare = torch.where(weight > 0.5, (near @ values[sources]) / weight.clamp(min=1e-6), torch.zeros(len(levels)))
    highest_so_far = bare.cummax(0).values
    return highest_so_far[torch.searchsorted(levels, height.contiguous()).clamp(max=len(levels) - 1)]


def _hem(height: Tensor, lab: Tensor, cloth: Tensor, middle: Tensor, trunk: Tensor) -> float:
    """Height of the line between upper and lower garment: the one that separates their colours best. `cloth` is what
    is seen and no skin, `middle` trunk, hips and thighs."""
    waist, top = float(height[trunk].min()), float(height[trunk].max())
    upper = cloth & trunk & (height > waist + 0.4 * (top - waist))
    if int((cloth & middle).sum()) < LEAST or int(upper.sum()) < LEAST:
        return waist
    low = float(height[cloth & middle].quantile(0.05))
    lower = cloth & middle & (height < low + 0.45 * max(waist - low, 0.0))
    band = cloth & middle & ~upper & ~lower
    if int(lower.sum()) < LEAST or int(band.sum()) < LEAST:
        return waist
    apart = (lab[upper].median(0).values - lab[lower].median(0).values) * torch.tensor([LIGHTNESS_SHARE, 1.0, 1.0])
    if float(apart.norm()) < ONE_GARMENT:
        return -float("inf")
    is_upper = nearest(lab[lower], lab[band]) > nearest(lab[upper], lab[band])
    candidates = torch.linspace(float(height[band].min()), float(height[band].max()), 60)
    wrong = torch.stack([((height[band] > line) != is_upper).float().mean() for line in candidates])
    return float(candidates[wrong.argmin()])


def nearest_labels(labels: ByteMask, mask: HardMask) -> ByteMask:
    """Labels [h, w] carried from where there are any (> 0) to the rest of a mask; 0 outside it."""
    from scipy.ndimage import distance_transform_edt

    _, (rows, columns) = distance_transform_edt(labels == 0, return_indices=True)
    return np.where(mask, labels[rows, columns], 0).astype(np.uint8)

"""Covers of the body's vertices: skin, hair, an upper garment, a lower one or shoes."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.model import BodyRegion
from perse.body.model.covers import Cover
from perse.head.mesh_tools import neighbour_average, smooth_values
from perse.shapes import ByteMask, HardMask

SKIN_CHROMA = 9.0
"""Distance in Lab's a and b that still counts as the face's colour."""
SKIN_LIGHTNESS = 32.0
SEEN = 0.4
NEIGHBOURS = 5
SMOOTHING = 4
COLLAR_M = 0.008
"""Heights of a neck that differ less are the same."""
LEAST = 12
"""Fewer seen vertices than this say nothing."""


def vertex_covers(
    template: Float[Tensor, "n 3"],
    faces: Int[Tensor, "t 3"],
    regions: Int[Tensor, " n"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    hair: Float[Tensor, " n"] | None,
) -> Int[Tensor, " n"]:
    """Covers [v] of the body's vertices.

    Args:
        template: [v, 3], rest pose; heights are compared on it.
        regions: [v] values of `BodyRegion`.
        colors: [v, 3] in [0, 1], what the photograph has where each vertex is; seen: [v], how well it shows it.
        hair: [v] in [0, 1], of vertices of the head in the tracked portrait's hair mask; None if it was not tracked.
    """
    lab = torch.from_numpy(cv2.cvtColor(colors.numpy()[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0])
    average = neighbour_average(faces.numpy(), len(template))
    likeness = _skin_likeness(lab, regions, seen)
    bare = _spread(likeness, seen, average)
    bare = torch.where(regions == BodyRegion.NECK, _by_height(template[:, 1], likeness, seen, regions, bare), bare)

    def of(*chosen: BodyRegion) -> Tensor:
        return torch.isin(regions, torch.tensor([int(one) for one in chosen]))

    covers = torch.full((len(template),), int(Cover.SKIN))
    arms, trunk = of(BodyRegion.UPPER_ARM, BodyRegion.FOREARM), of(BodyRegion.TORSO)
    legs = of(BodyRegion.HIP, BodyRegion.UPPER_LEG, BodyRegion.LOWER_LEG)
    covers[(arms | of(BodyRegion.NECK)) & (bare < 0.5)] = int(Cover.UPPER)
    covers[trunk & (bare < 0.8)] = int(Cover.UPPER)
    covers[legs & (bare < 0.6)] = int(Cover.LOWER)
    covers[of(BodyRegion.FOOT) & (bare < 0.7)] = int(Cover.SHOES)
    hem = _hem(template[:, 1], lab, seen, trunk | of(BodyRegion.HIP, BodyRegion.UPPER_LEG), trunk)
    middle = (trunk | of(BodyRegion.HIP, BodyRegion.UPPER_LEG)) & (covers != Cover.SKIN)
    covers[middle] = torch.where(template[middle, 1] > hem, int(Cover.UPPER), int(Cover.LOWER))
    scalp = of(BodyRegion.SCALP)
    hairy = (bare < 0.5) if hair is None else hair > 0.5
    covers[scalp & hairy] = int(Cover.HAIR)
    if hair is not None:
        covers[of(BodyRegion.FACE) & (hair > 0.8)] = int(Cover.HAIR)
    return covers


def _skin_likeness(lab: Tensor, regions: Tensor, seen: Tensor) -> Tensor:
    """[v], 1 where the colour is the face's."""
    face = (regions == BodyRegion.FACE) & (seen > SEEN)
    if int(face.sum()) < LEAST:
        return torch.zeros(len(lab))
    middle = lab[face].median(0).values
    near = (lab[:, 1:] - middle[1:]).norm(dim=-1) < SKIN_CHROMA
    return (near & ((lab[:, 0] - middle[0]).abs() < SKIN_LIGHTNESS)).float()


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


def _hem(height: Tensor, lab: Tensor, seen: Tensor, middle: Tensor, trunk: Tensor) -> float:
    """Height of the line between upper and lower garment: the one that separates their colours best."""
    low, high = float(height[middle & ~trunk].min()), float(height[trunk].max())
    waist = float(height[trunk].min())
    good = seen > SEEN
    upper = good & trunk & (height > waist + 0.4 * (high - waist))
    lower = good & middle & (height < low + 0.45 * (waist - low))
    if int(upper.sum()) < LEAST or int(lower.sum()) < LEAST:
        return waist
    band = good & middle & ~upper & ~lower
    if int(band.sum()) < LEAST:
        return waist
    is_upper = _nearest(lab[lower], lab[band]) > _nearest(lab[upper], lab[band])
    candidates = torch.linspace(float(height[band].min()), float(height[band].max()), 60)
    wrong = torch.stack([((height[band] > line) != is_upper).float().mean() for line in candidates])
    return float(candidates[wrong.argmin()])


def _nearest(samples: Tensor, asked: Tensor) -> Tensor:
    distances, _ = cKDTree(samples.numpy()).query(asked.numpy(), k=NEIGHBOURS)
    return torch.from_numpy(np.asarray(distances).mean(1))


def nearest_labels(labels: ByteMask, mask: HardMask) -> ByteMask:
    """Labels [h, w] carried from where there are any (> 0) to the rest of a mask; 0 outside it."""
    from scipy.ndimage import distance_transform_edt

    _, (rows, columns) = distance_transform_edt(labels == 0, return_indices=True)
    return np.where(mask, labels[rows, columns], 0).astype(np.uint8)

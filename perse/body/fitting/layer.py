"""Thickness of clothes and hair over the body: read at the person's outline, spread over the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.sparse import diags
from scipy.sparse.linalg import cg
from torch import Tensor

from perse.body.model import BodyRegion
from perse.body.model.upsampling import unit_normals
from perse.geometry import Camera
from perse.head.mesh_tools import neighbour_average, smooth_values

DEEPEST_M, FURTHEST_M = -0.03, 0.09
SIDEWAYS = 0.35
"""Largest cosine between normal and line of sight of a vertex on the outline."""
CLEAR_M = 0.012
"""So far outside a vertex of the outline there is no body."""
STEP_M = 0.003
SHRINK_M = 0.004
NOTHING_KNOWN = 2e-3
"""How firmly what is far from any observation is held to the bare skin."""
TRUST = 0.25
"""Of an observation, beside the smoothness between neighbours."""
_BARE = torch.tensor([int(one) for one in (BodyRegion.FACE, BodyRegion.EYE, BodyRegion.HAND)])
THIN_GARMENT_M = 0.012
"""What of the distance is no flesh, wherever that can be said only on average."""
LEAST_OBSERVED = 60
OUTLINE_WEIGHT = 60.0
"""Of all outline vertices together, beside one row of the others."""
JOINTS_HELD = 1.0
SHAPE_HELD_M = 0.012
"""A coefficient's standard deviation weighs as much as so many metres."""
LARGEST_CHANGE = 1.5

Floats = NDArray[np.float32]


def smooth_normals(skin: Float[Tensor, "n 3"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, "n 3"]:
    """Unit normals [v, 3] without the skin's small forms, so that a layer over them does not fold."""
    average = neighbour_average(faces.numpy(), len(skin))
    rough = unit_normals(skin, faces).numpy().astype(np.float64)
    return torch.nn.functional.normalize(torch.from_numpy(smooth_values(rough, average, 4).astype(np.float32)), dim=-1)


@dataclass(frozen=True)
class Outline:
    """Readings of the person's outline at vertices of the fitted body.

    Attributes:
        distance_m: [v], from the vertex along its normal to the edge of the person's mask; negative inside the body.
        observed: [v] bool, which vertices lie on the outline and have a distance.
    """

    distance_m: Float64[NDArray[np.float64], " v"]
    observed: Bool[NDArray[np.bool_], " v"]


def read_outline(
    posed: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    regions: Int[Tensor, " n"],
    camera: Camera,
    mask: Float[NDArray[np.float32], "h w"],
    body_mask: Float[NDArray[np.float32], "h w"],
) -> Outline:
    """Comparison of the fitted body's outline with the person's.

    Args:
        posed: [v, 3], the fitted body; normals: [v, 3], smooth ones, posed.
        mask, body_mask: [h, w], the person in the photograph and the fitted body's drawing.
    """
    eye = -camera.world_to_camera[:3, :3].T @ camera.world_to_camera[:3, 3]
    sight = torch.nn.functional.normalize(posed - eye, dim=-1)
    sideways = (normals * sight).sum(-1, keepdim=True)
    across = torch.nn.functional.normalize(normals - sideways * sight, dim=-1)
    candidates = torch.nonzero((sideways[:, 0].abs() < SIDEWAYS) & ~torch.isin(regions, _BARE))[:, 0]
    steps = torch.arange(DEEPEST_M, FURTHEST_M, STEP_M)
    places = posed[candidates, None] + steps[None, :, None] * across[candidates, None]
    pixels = camera.project(places.reshape(-1, 3))[0].reshape(len(candidates), len(steps), 2).numpy()

    def looked_up(values: Floats) -> NDArray[np.bool_]:
        places = [pixels[..., 1] - 0.5, pixels[..., 0] - 0.5]
        return np.asarray(map_coordinates(values, places, order=1, mode="constant", cval=0) > 0.5)

    inside, own = looked_up(mask), looked_up(body_mask)
    clear = round((CLEAR_M - DEEPEST_M) / STEP_M)
    height, width = mask.shape
    within = ((pixels > 2) & (pixels < np.array([width - 2, height - 2]))).all((1, 2))
    good = ~own[:, clear:].any(1) & within & inside[:, 0] & ~inside[:, -1]
    distance, observed = np.zeros(len(posed)), np.zeros(len(posed), bool)
    distance[candidates] = steps.numpy()[np.where(inside, 0, 1).argmax(1)] - STEP_M / 2
    observed[candidates] = good
    return Outline(distance, observed)


def shape_towards(
    basis: Float[Tensor, "v 3 s"],
    placed_basis: Float[Tensor, "j 3 s"],
    turns: Float[Tensor, "v 3 3"],
    normals: Float[Tensor, "v 3"],
    outline: Outline,
) -> Float[Tensor, " s"]:
    """Change [s] of the shape coefficients that brings the body's outline to the person's less a thin garment.

    A linear problem: how far each outline vertex moves along its normal; joints and face, which landmarks have placed,
    should stay.

    Args:
        basis: [v, 3, s], metres; placed_basis: [j, 3, s], of what should stay.
        turns: [v, 3, 3], rest pose to posed; normals: [v, 3], posed.
    """
    rows = torch.from_numpy(np.flatnonzero(outline.observed))
    if len(rows) < LEAST_OBSERVED:
        return torch.zeros(basis.shape[-1])
    moved = torch.einsum("vc,vcd,vds->vs", normals[rows], turns[rows], basis[rows])
    wanted = torch.from_numpy(outline.distance_m).float()[rows] - THIN_GARMENT_M
    share = (OUTLINE_WEIGHT / len(rows)) ** 0.5
    held = JOINTS_HELD * placed_basis.flatten(0, 1)
    prior = SHAPE_HELD_M * torch.eye(basis.shape[-1])
    system = torch.cat([share * moved, held, prior])
    goal = torch.cat([share * wanted, torch.zeros(len(held) + len(prior))])
    return torch.linalg.lstsq(system, goal[:, None]).solution[:, 0].clamp(-LARGEST_CHANGE, LARGEST_CHANGE)


def layer_thickness(outline: Outline, regions: Int[Tensor, " n"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, " n"]:
    """Thickness [v] of what the person wears, metres: read at the outline, spread over the surface, nothing on face
    and hands."""
    bare = torch.isin(regions, _BARE).numpy()
    spread = _spread(outline.distance_m, outline.observed, bare, faces.numpy())
    return torch.from_numpy(spread.astype(np.float32))


def within_mask(
    thickness: Float[Tensor, " n"],
    posed: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    regions: Int[Tensor, " n"],
    camera: Camera,
    mask: Float[NDArray[np.float32], "h w"],
) -> Float[Tensor, " n"]:
    """Thickness [v] made smaller where the layer would be seen outside of the person: between the legs, under an arm.

    What the photograph does not reach is left as it is.
    """
    result = thickness.clone()
    bare = torch.isin(regions, _BARE) | (regions == BodyRegion.FOOT)  # toes are thinner than what is taken away
    height, width = mask.shape
    for _ in range(round((FURTHEST_M - DEEPEST_M) / SHRINK_M)):
        pixels = camera.project(posed + result[:, None] * normals)[0].numpy()
        inside = map_coordinates(mask, [pixels[:, 1] - 0.5, pixels[:, 0] - 0.5], order=1, mode="constant", cval=0) > 0.5
        on_picture = ((pixels > 1) & (pixels < np.array([width - 1, height - 1]))).all(1)
        outside = torch.from_numpy(~inside & on_picture) & ~bare & (result > DEEPEST_M)
        if not outside.any():
            break
        result[outside] -= SHRINK_M
    return result


def _spread(
    found: NDArray[np.floating], observed: NDArray[np.bool_], bare: NDArray[np.bool_], faces: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The smoothest field [v] that is near the observations and zero where the skin is bare."""
    average = neighbour_average(faces, len(found))
    trust = np.where(observed, TRUST, 0.0) + np.where(bare, 100.0, 0.0) + NOTHING_KNOWN
    wanted = np.where(observed, TRUST * np.clip(found, DEEPEST_M, FURTHEST_M), 0.0)
    system = diags(1 + trust) - 0.5 * (average + average.T)
    solved, _ = cg(system, wanted, maxiter=400, rtol=1e-6)
    return np.where(bare, 0.0, np.clip(solved, DEEPEST_M, FURTHEST_M))

"""How far clothes and hair stand off the body: read at the person's outline, spread over the surface."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.sparse import diags
from scipy.sparse.linalg import cg
from torch import Tensor

from perse.body.model import BodyRegion
from perse.body.model.upsampling import unit_normals
from perse.geometry import Camera
from perse.head.mesh_tools import neighbour_average, smooth_values

DEEPEST_M, FURTHEST_M = -0.02, 0.11
SIDEWAYS = 0.35
"""Largest cosine between normal and line of sight of a vertex on the outline."""
CLEAR_M = 0.012
"""So far outside a vertex of the outline there is no body."""
STEP_M = 0.003
TRUST = 0.25
"""Of an observation, beside the smoothness between neighbours."""
BARE = (BodyRegion.FACE, BodyRegion.EYE, BodyRegion.HAND)


def smooth_normals(skin: Tensor, faces: Tensor) -> Tensor:
    """Unit normals [v, 3] without the skin's small forms, so that a layer over them does not fold."""
    average = neighbour_average(faces.numpy(), len(skin))
    rough = unit_normals(skin, faces).numpy().astype(np.float64)
    return torch.nn.functional.normalize(torch.from_numpy(smooth_values(rough, average, 4).astype(np.float32)), dim=-1)


def layer_thickness(
    posed: Tensor,
    normals: Tensor,
    faces: Tensor,
    regions: Tensor,
    camera: Camera,
    mask: NDArray[np.float32],
    body_mask: NDArray[np.float32],
) -> Tensor:
    """Thickness [v] of what the person wears, metres; nothing on face and hands.

    Args:
        posed: [v, 3], the fitted body; normals: [v, 3], smooth ones, posed.
        mask, body_mask: [h, w], the person in the photograph and the fitted body's drawing.
    """
    eye = -camera.world_to_camera[:3, :3].T @ camera.world_to_camera[:3, 3]
    sight = torch.nn.functional.normalize(posed - eye, dim=-1)
    across = torch.nn.functional.normalize(normals - (normals * sight).sum(-1, keepdim=True) * sight, dim=-1)
    steps = torch.arange(DEEPEST_M, FURTHEST_M, STEP_M)
    places = posed[:, None] + steps[None, :, None] * across[:, None]
    pixels = camera.project(places.reshape(-1, 3))[0].reshape(len(posed), len(steps), 2).numpy()

    def looked_up(values: NDArray[np.float32]) -> NDArray[np.float32]:
        found = map_coordinates(values, [pixels[..., 1] - 0.5, pixels[..., 0] - 0.5], order=1, mode="constant", cval=0)
        return np.asarray(found)

    inside = looked_up(mask) > 0.5
    own = looked_up(body_mask) > 0.5
    clear = round((CLEAR_M - DEEPEST_M) / STEP_M)
    height, width = mask.shape
    within = ((pixels > 2) & (pixels < np.array([width - 2, height - 2]))).all((1, 2))
    outline = ((normals * sight).sum(-1).abs().numpy() < SIDEWAYS) & ~own[:, clear:].any(1) & within
    leaves = inside[:, 0] & ~inside[:, -1]
    first_out = np.where(inside, 0, 1).argmax(1)
    found = steps.numpy()[first_out] - STEP_M / 2
    bare = torch.isin(regions, torch.tensor([int(one) for one in BARE])).numpy()
    observed = outline & leaves & ~bare
    return torch.from_numpy(_spread(found, observed, bare, faces.numpy()).astype(np.float32))


def _spread(
    found: NDArray[np.floating], observed: NDArray[np.bool_], bare: NDArray[np.bool_], faces: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The smoothest field [v] that is near the observations and zero where the skin is bare."""
    average = neighbour_average(faces, len(found))
    trust = np.where(observed, TRUST, 0.0) + np.where(bare, 100.0, 0.0) + 1e-4
    wanted = np.where(observed, TRUST * np.clip(found, DEEPEST_M, FURTHEST_M), 0.0)
    system = diags(1 + trust) - 0.5 * (average + average.T)
    solved, _ = cg(system, wanted, maxiter=400, rtol=1e-6)
    return np.where(bare, 0.0, np.clip(solved, DEEPEST_M, FURTHEST_M))

"""Points of the body's back: as deep as its silhouette is wide, in the colours of its garment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from perse.attributes import Category, Part
from perse.avatar.backs.joining import WIDTH, joined, looks_of
from perse.avatar.backs.records import Backs, SeenFront, SubjectBack
from perse.avatar.backs.silhouettes import inside_m
from perse.avatar.observation import WatchedFrames
from perse.avatar.points import IdentityMesh, Layer, MeshPrior
from perse.geometry import Camera

BODY_FILL = 0.65
"""Share of the box around a body that it fills."""

TORSO_SHARE, TORSO_M = 1.1, 0.13
"""Depth of a body: this share of half its width at the same height, at most so many metres."""

OUTLINE_SIZES, EDGE_M = 3.2, 0.08
"""Backs end so many sizes of a Gaussian before the outline, and the body's is as deep as it gets so far inside."""

GAP_M = 0.012
"""From the front of a body to its back where it is thinnest: a training moves the front a little."""

CLEARANCE_M = 0.006
"""The body's back stays this far behind the head model's neck and shoulders."""


def body_back(
    mesh: IdentityMesh, watched: WatchedFrames, seen: SeenFront, categories: Sequence[int], count: int, seed: int
) -> Backs | None:
    """Body points repeated further along their camera rays, so that whatever hides the front there hides them too. The
    back is as deep as the silhouette is wide there, like a cushion, and ends before its outline."""
    body = np.flatnonzero((seen.layers == Layer.BODY).numpy())
    if not len(body) or count < 1:
        return None
    insides = {
        subject: inside_m(watched, subject, seen.prior.rest[body])
        for subject, k in enumerate(categories) if subject == 0 or k == Category.CLOTHES.index
    }  # fmt: skip
    rest = seen.prior.rest.numpy().astype(np.float64)
    area = np.ptp(rest[body, 0]) * np.ptp(rest[body, 1]) * BODY_FILL
    spacing = float(np.sqrt(area / count))
    least = OUTLINE_SIZES * WIDTH * spacing
    slope = np.clip((np.max(list(insides.values()), axis=0) - least) / EDGE_M, 0, 1)
    picked = _spread(slope, count, seed)
    if not len(picked):
        return None
    chosen, flat = body[picked], 1 - slope[picked]
    middle, half = _extent(rest[body], rest[chosen, 1])
    rays = _rays(watched.camera, rest[chosen])
    depth = np.minimum(TORSO_SHARE * half, TORSO_M) * np.sqrt(1 - flat**2)
    depth = np.maximum(depth, _behind_mesh(mesh, rest[chosen]) * (flat < 0.7))
    means = rest[chosen] + (GAP_M + depth)[:, None] * rays
    across = np.clip((rest[chosen, 0] - middle) / half, -1, 1)
    outer = middle + half * np.sign(across + 1e-9) * (0.35 + 0.6 * np.abs(across))  # no tie and no zip at the back

    def look(subject: int) -> SubjectBack:
        there = seen.present[subject][chosen] & (insides[subject][picked] > least)
        return SubjectBack(means, _garment(seen, subject, body, chosen, outer), there)

    walls = rays * np.sqrt(1 - flat**2)[:, None]
    walls[:, 0] += np.sign(across) * flat
    normals = torch.from_numpy(walls / np.linalg.norm(walls, axis=1, keepdims=True)).float()
    changing = (Category.CLOTHES,)
    rows = torch.from_numpy(chosen)
    looks = looks_of(look, categories, changing)
    return joined(looks, categories, changing, normals, spacing, lambda m, kept: _still(m, seen.prior[kept]), rows)


def _spread(slope: Float64[np.ndarray, " n"], count: int, seed: int) -> Int64[np.ndarray, " m"]:
    """At most `count` of the points whose slope [n] is above 0, more where the surface is steep and so larger than it
    looks from the front."""
    able = np.flatnonzero(slope > 0)
    steep = 1 / np.sqrt(1 - (1 - slope[able]) ** 2 + 0.05)
    chance = steep / max(float(steep.sum()), 1e-9)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(able, min(count, len(able)), replace=False, p=chance) if len(able) else able
    return np.asarray(np.sort(chosen))


def _rays(camera: Camera, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Unit directions [n, 3] from the camera to points [n, 3]."""
    eye = (-camera.world_to_camera[:3, 3] @ camera.world_to_camera[:3, :3]).double().numpy()
    rays = points - eye
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def _garment(
    seen: SeenFront,
    subject: int,
    body: Int64[np.ndarray, " m"],
    chosen: Int64[np.ndarray, " c"],
    outer: Float64[np.ndarray, " c"],
) -> Float32[np.ndarray, "c 3"]:
    """Colours [n, 3] of a subject's back behind the chosen points: of clothes farther out at the same height, where
    garments are plain; the neck's are its own."""
    rest, parts = seen.prior.rest.numpy(), seen.observation.parts[subject]
    present = body[seen.present[subject][body]]
    dressed = present[parts[present] == Part.CLOTHES]
    colors = np.zeros((len(chosen), 3), np.float32)
    neck = parts[chosen] == Part.NECK
    wanted = np.stack([np.where(neck, rest[chosen, 0], outer), rest[chosen, 1]], 1)
    for own, points in ((neck, present), (~neck, dressed if len(dressed) > 3 else present)):
        if len(points) and own.any():
            _, nearest = cKDTree(rest[points, :2]).query(wanted[own])
            colors[own] = seen.observation.colors[subject][points[nearest]]
    return colors


def _still(means: Float[Tensor, "n 3"], front: MeshPrior) -> MeshPrior:
    """Points that are skinned as those in front of them."""
    return MeshPrior(means, means.clone(), front.normals, front.blend_basis, front.skinning)


def _behind_mesh(mesh: IdentityMesh, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
    """How far behind points the head model reaches at the same height and side, metres [n]; 0 where it does not."""
    rest = mesh.at_vertices.rest.numpy().astype(np.float64)
    near = cKDTree(rest[:, :2]).query_ball_point(points[:, :2], 0.015)
    lowest = [rest[own, 2].min() - CLEARANCE_M if own else np.inf for own in near]
    return np.maximum(points[:, 2] - np.asarray(lowest), 0)


def _extent(
    points: Float64[np.ndarray, "m 3"], heights: Float64[np.ndarray, " n"], reach_m: float = 0.012
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Middle and half width [n] of a set of points [m, 3] at heights [n]."""
    order = np.argsort(points[:, 1])
    levels, across = points[order, 1], points[order, 0]
    first, last = np.searchsorted(levels, heights - reach_m), np.searchsorted(levels, heights + reach_m)
    ends = [np.quantile(across[a:b], (0.01, 0.99)) for a, b in zip(first, last, strict=True)]
    low, high = np.asarray(ends).T
    return (low + high) / 2, np.maximum((high - low) / 2, 0.01)

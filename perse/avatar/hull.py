"""Photo hulls of the things that a head model lacks: hair, hats, headphones, earrings, beards.

Every *piece* (a part of one subject, such as the hat of subject 12) has a silhouette in every frame: the pixels with
its label. A voxel in rest space, carried through the motion, belongs to the piece if it keeps falling inside that
silhouette whenever the head does not hide it; and it is likely to lie on the piece's *surface* if it shows the same
colour all the time, because what lies before or behind the surface slides over the texture as the head turns.

All subjects share motion and camera, so a voxel falls on the same pixels for all of them: it is projected once and
looked up in every piece's picture. From clips alone: nothing here knows of meshes that an editor attached, and it
works for pictures painted by diffusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import CATEGORIES, CATEGORY_PARTS, Part
from perse.avatar.observation import WatchedFrames
from perse.avatar.points import IdentityMesh
from perse.avatar.projection import visible_pixels
from perse.render.compiled import parallel_exact_kernel
from perse.render.threads import limited_threads, thread_count

SHELL_PARTS = (Part.HAIR, Part.BEARD, Part.HEADWEAR, Part.HEADPHONES, Part.EARRINGS)
"""Parts that stand off the head mesh."""

COARSE_VOXELS = 3
"""Before the real carving, voxels this many times larger are carved with grown silhouettes of all pieces together;
most of the space is empty and need not be looked at closely."""

LABEL_SHARE, SILHOUETTE_SHARE = 0.65, 0.95
"""A voxel belongs to a piece if it falls on the piece's label in the first share of the frames in which it is seen
(pieces also hide one another), and inside the whole person's silhouette in the second (nothing hides that)."""

OUTLINE_PX = 1
"""Labels and silhouettes grow by this much: a brim seen from its edge is one pixel thick, and the centre of a voxel
would miss it."""

MINIMUM_SEEN, MINIMUM_FRAMES = 0.25, 3
"""And if it is seen in this share of all frames, and in so many: what two silhouettes have in common reaches far beyond
what both show, and eight watched frames made a cloud beside the head of it."""

COLOR_TOLERANCE = 0.10
"""Standard deviation of colour over the frames, of 1, at which a voxel counts e^-½ as much. Light moves over hair."""


@dataclass(frozen=True)
class HullPart:
    """A part of one subject that stands off the head."""

    subject: int
    part: Part


@dataclass(frozen=True, kw_only=True)
class HullConfig:
    """Resolution and limits of the carving."""

    voxel_m: float = 0.005
    """Edge of a voxel."""
    margin_m: float = 0.20
    """How far around the head mesh to look."""
    clearance_m: float = 0.002
    """Voxels that are not at least this far outside the mesh are its own business."""


@dataclass(frozen=True)
class PhotoHull:
    """Voxels outside the head that belong to some piece.

    Attributes:
        centres: [v, 3], rest space, metres.
        likelihood: [p, v] float32: how likely voxel v is on the surface of piece p; 0 outside its silhouettes.
    """

    centres: Float[Tensor, "v 3"]
    likelihood: Float32[np.ndarray, "p v"]


def standing_off(watched: WatchedFrames, categories: Sequence[int]) -> list[HullPart]:
    """The pieces that are worth carving: the reference's, and those of each edit that it changes."""
    pieces = [HullPart(0, part) for part in SHELL_PARTS if (watched.parts[0] == part).any()]
    for subject, category in enumerate(categories):
        parts = CATEGORY_PARTS[CATEGORIES[category]] if category >= 0 else ()
        pieces += [HullPart(subject, p) for p in parts if p in SHELL_PARTS and (watched.parts[subject] == p).any()]
    return pieces


def carve(mesh: IdentityMesh, watched: WatchedFrames, pieces: Sequence[HullPart], config: HullConfig) -> PhotoHull:
    """Carve all pieces."""
    masks = _grown(np.stack([watched.parts[piece.subject] == piece.part for piece in pieces]), OUTLINE_PX)
    coarse_m = COARSE_VOXELS * config.voxel_m
    coarse = _grid(mesh, coarse_m, config.margin_m)
    everything = _grown(np.any(masks, axis=0, keepdims=True), _half_diagonal_px(watched, mesh, coarse_m))
    subjects = np.array([piece.subject for piece in pieces])
    silhouettes = _grown(watched.alphas > 127, OUTLINE_PX)[subjects]
    kept = _likelihood(mesh, coarse, watched, everything, np.ones_like(everything), subjects[:1])[0] > 0
    centres = _children(coarse[torch.from_numpy(kept)], config.voxel_m)
    centres = centres[mesh.height_above(centres) > config.clearance_m]
    likelihood = _likelihood(mesh, centres, watched, masks, silhouettes, subjects)
    owned = likelihood.any(0)
    return PhotoHull(centres[torch.from_numpy(owned)], likelihood[:, owned])


def _likelihood(
    mesh: IdentityMesh, centres: Tensor, watched: WatchedFrames, labels: Bool[np.ndarray, "p f h w"],
    silhouettes: Bool[np.ndarray, "p f h w"], subjects: NDArray[np.int64],
) -> NDArray[np.float32]:  # fmt: skip
    """Likelihood [p, v] of voxels [v, 3] for pieces with label and silhouette masks [p, f, h, w]."""
    skinning = mesh.near(centres, rigid=True).skinning
    pixels = visible_pixels(centres[None], skinning, watched.motion, watched.camera, watched.occluder)
    p, f = labels.shape[:2]
    masks = (labels.astype(np.uint8) + 2 * silhouettes).reshape(p, f, -1)
    out = np.zeros((p, len(centres)), np.float32)
    images = watched.images.reshape(*watched.images.shape[:2], -1, 3)
    least_seen = min(f, max(MINIMUM_FRAMES, round(MINIMUM_SEEN * f)))
    with limited_threads(thread_count(None)):
        _weigh(pixels, masks, images, subjects, least_seen, out)
    return out


def _grown(masks: Bool[np.ndarray, "p f h w"], radius_px: int) -> Bool[np.ndarray, "p f h w"]:
    """Masks [p, f, h, w], each picture grown by a disc."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    grown = [[cv2.dilate(frame.astype(np.uint8), brush) for frame in piece] for piece in masks]
    return np.asarray(grown) > 0


def _half_diagonal_px(watched: WatchedFrames, mesh: IdentityMesh, voxel_m: float) -> int:
    """Half a voxel's diagonal in pixels, where it is largest: looking at the centre then cannot lose a corner."""
    nearest = float(watched.camera.to_camera(mesh.at_vertices.rest)[:, 2].min())
    px_per_m = float(watched.camera.intrinsics[0, 0]) / max(0.8 * nearest, 0.1)
    return int(np.ceil(px_per_m * voxel_m * np.sqrt(3) / 2))


def _grid(mesh: IdentityMesh, voxel_m: float, margin_m: float) -> Tensor:
    rest = mesh.at_vertices.rest
    low, high = rest.min(0).values - margin_m, rest.max(0).values + margin_m
    axes = [torch.arange(float(a), float(b), voxel_m) for a, b in zip(low, high, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def _children(centres: Tensor, voxel_m: float) -> Tensor:
    """The fine voxels of coarse ones."""
    steps = (torch.arange(COARSE_VOXELS) - (COARSE_VOXELS - 1) / 2) * voxel_m
    offsets = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    return (centres[:, None] + offsets).reshape(-1, 3)


@parallel_exact_kernel
def _weigh(pixels, masks, images, subjects, least_seen, out):  # type: ignore[no-untyped-def]
    """Likelihood of every voxel for every piece, from its share of hits and the variance of its colour in them.
    Masks have bit 1 on the piece's label and bit 2 inside the silhouette."""
    n_frames, n = pixels.shape
    for i in numba.prange(n):
        seen = 0
        for f in range(n_frames):
            seen += pixels[f, i] >= 0
        if seen < least_seen:
            continue
        for p in range(masks.shape[0]):
            hits = 0
            inside = 0
            total = np.zeros(3)
            square = 0.0
            for f in range(n_frames):
                at = pixels[f, i]
                if at < 0:
                    continue
                inside += masks[p, f, at] >= 2
                if masks[p, f, at] & 1:
                    hits += 1
                    for c in range(3):
                        value = images[subjects[p], f, at, c] / 255.0
                        total[c] += value
                        square += value * value
            if hits < LABEL_SHARE * seen or inside < SILHOUETTE_SHARE * seen:
                continue
            mean_square = (total[0] ** 2 + total[1] ** 2 + total[2] ** 2) / (hits * hits)
            variance = max(square / hits - mean_square, 0.0) / 3
            out[p, i] = np.exp(-0.5 * variance / COLOR_TOLERANCE**2)

"""A visual hull for the things that a head model lacks: hair, hats, headphones, earrings.

Voxels in rest space are carried through the motion by the skinning of the nearest mesh vertices and kept for a
subject while they stay inside its silhouette in every frame. All subjects share motion and camera, so a voxel falls
on the *same* pixel for all of them: silhouettes become one word of bits a pixel, and one pass over voxels and frames
carves up to 64 subjects at once by a bitwise and.

From clips alone: it knows nothing of meshes that an editor attached, and works for pictures painted by diffusion.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.avatar.deformation import skin
from perse.avatar.motion import FrameMotion
from perse.avatar.points import IdentityMesh
from perse.geometry import Camera

_WORD_BITS = 64

COARSE_VOXELS = 3
"""Before the real carving, voxels this many times larger are carved with grown silhouettes of everybody together;
four fifths of the space is empty and need not be looked at closely."""


@dataclass(frozen=True)
class VisualHull:
    """Voxels outside the head that belong to somebody.

    Attributes:
        centres: [v, 3], rest space, metres.
        inside: [s, v] bool, whether the voxel may be part of subject s.
    """

    centres: Tensor
    inside: NDArray[np.bool_]


def carve(
    mesh: IdentityMesh, motion: FrameMotion, camera: Camera, silhouettes: NDArray[np.bool_],
    *, voxel_m: float = 0.006, margin_m: float = 0.20, clearance_m: float = 0.003,
) -> VisualHull:  # fmt: skip
    """Carve all subjects.

    Args:
        mesh: the identity.
        motion: f frames.
        camera: the clips' camera, at the silhouettes' size.
        silhouettes: [s, f, h, w].
        voxel_m: edge of a voxel.
        margin_m: how far around the head mesh to look.
        clearance_m: voxels closer to the mesh than this are its own business.
    """
    coarse_m = COARSE_VOXELS * voxel_m
    coarse = _grid(mesh, coarse_m, margin_m)
    somebody = _dilated(np.any(silhouettes, axis=0, keepdims=True), camera, mesh, coarse_m)
    centres = _children(coarse[torch.from_numpy(_carve_all(mesh, coarse, motion, camera, somebody)[0])], voxel_m)
    centres = centres[mesh.height_above(centres) > clearance_m]
    inside = _carve_all(mesh, centres, motion, camera, silhouettes)
    owned = inside.any(0)
    return VisualHull(centres[torch.from_numpy(owned)], inside[:, owned])


def _carve_all(
    mesh: IdentityMesh, centres: Tensor, motion: FrameMotion, camera: Camera, silhouettes: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether voxel v may be part of subject s, [s, v]."""
    pixels = project_to_pixels(centres, mesh.near(centres, rigid=True).skinning, motion, camera)
    inside = np.empty((len(silhouettes), len(centres)), np.bool_)
    for first in range(0, len(silhouettes), _WORD_BITS):
        block = silhouettes[first : first + _WORD_BITS]
        words = _carve_words(pixels, pack_subjects(block))
        for offset in range(len(block)):
            inside[first + offset] = (words >> np.uint64(offset)) & np.uint64(1)
    return inside


def _dilated(masks: NDArray[np.bool_], camera: Camera, mesh: IdentityMesh, voxel_m: float) -> NDArray[np.bool_]:
    """Masks [s, f, h, w] grown by half a voxel's diagonal, so that carving its centre cannot lose its corners."""
    depth = float(camera.to_camera(mesh.at_vertices.rest)[:, 2].min()) - 0.1
    radius = int(np.ceil(float(camera.intrinsics[0, 0]) / max(depth, 0.1) * voxel_m * np.sqrt(3) / 2)) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown = [[cv2.dilate(frame.astype(np.uint8), brush) for frame in subject] for subject in masks]
    return np.asarray(grown) > 0


def _children(centres: Tensor, voxel_m: float) -> Tensor:
    """The fine voxels of coarse ones."""
    steps = (torch.arange(COARSE_VOXELS) - (COARSE_VOXELS - 1) / 2) * voxel_m
    offsets = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    return (centres[:, None] + offsets).reshape(-1, 3)


def project_to_pixels(points: Tensor, skinning: Tensor, motion: FrameMotion, camera: Camera) -> NDArray[np.int32]:
    """Pixel index y · w + x of points [n, 3] in every frame, [f, n] int32; -1 outside the picture."""
    pixels = np.empty((len(motion), len(points)), np.int32)
    for frame in range(len(motion)):
        posed = skin(points[None], skinning, motion[frame : frame + 1])[0]
        at, depth = camera.project(posed)
        x, y = at[:, 0].floor().long(), at[:, 1].floor().long()
        seen = (depth > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
        pixels[frame] = torch.where(seen, y * camera.width + x, -1).numpy()
    return pixels


def pack_subjects(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Masks [s ≤ 64, f, h, w] to words [f, h · w]: bit s tells about subject s."""
    words = np.zeros(masks.shape[1:], np.uint64)
    for subject, mask in enumerate(masks):
        words |= mask.astype(np.uint64) << np.uint64(subject)
    return words.reshape(len(words), -1)


def _grid(mesh: IdentityMesh, voxel_m: float, margin_m: float) -> Tensor:
    rest = mesh.at_vertices.rest
    low, high = rest.min(0).values - margin_m, rest.max(0).values + margin_m
    axes = [torch.arange(float(a), float(b), voxel_m) for a, b in zip(low, high, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


@numba.njit(parallel=True, cache=True, nogil=True)
def _carve_words(pixels, words):  # type: ignore[no-untyped-def]
    """And of the words that a voxel falls on, [v] uint64. Outside the picture nothing is known and nothing carved,
    but a voxel that is never seen at all is dropped."""
    n_frames, n = pixels.shape
    out = np.zeros(n, np.uint64)
    for i in numba.prange(n):
        kept = ~np.uint64(0)
        seen = False
        for f in range(n_frames):
            p = pixels[f, i]
            if p >= 0:
                seen = True
                kept &= words[f, p]
                if kept == 0:
                    break
        if seen:
            out[i] = kept
    return out

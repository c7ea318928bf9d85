"""Colours of points in the clips: in every subject, and how often the subject differs there.

All subjects share motion and camera. Once a point's pixels are known, looking it up in another subject's clip is one
read; and the same pixel of an edited clip and of the reference clip shows the same place of the head, so their
difference *is* the edit. The region prior of the part bases rests on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64, UInt8

from perse.attributes import Part
from perse.avatar.deformation import displace, skin
from perse.avatar.motion import FrameMotion
from perse.avatar.points import IdentityMesh, MeshPrior
from perse.avatar.projection import UNSEEN, visible_pixels
from perse.data import UNRECORDED, PortraitClip
from perse.errors import StageError
from perse.geometry import Camera
from perse.render.compiled import parallel_exact_kernel
from perse.render.mesh import project_vertices, rasterize_mesh
from perse.render.threads import limited_threads, thread_count

CHANGED_LEVELS = 12
"""A pixel belongs to an edit where some channel differs from the reference by more than this (of 255). Encoded clips
and resampling differ by 2 or 3; a visible edit by dozens."""


@dataclass(frozen=True)
class WatchedFrames:
    """Sample of frames of all clips, spread over the motion.

    Attributes:
        images: [s, f, h, w, 3] uint8; alphas: [s, f, h, w] uint8; parts: [s, f, h, w] uint8. Subject 0 is the
            reference.
        motion: f frames.
        camera: of all clips.
        occluder: [f, h, w] float32, camera depth of the head mesh, metres; +inf beside it.
    """

    images: UInt8[np.ndarray, "s f h w 3"]
    alphas: UInt8[np.ndarray, "s f h w"]
    parts: UInt8[np.ndarray, "s f h w"]
    motion: FrameMotion
    camera: Camera
    occluder: Float32[np.ndarray, "f h w"]


@dataclass(frozen=True)
class Observation:
    """Colours of n points, over the frames in which the head does not hide them.

    Attributes:
        colors: [s, n, 3] float32 in [0, 1], mean.
        inside: [s, n] float32, share of frames inside the silhouette.
        changed: [s, n] float32, share of frames in which the subject differs from the reference.
        parts: [s, n] uint8, the most frequent part.
        seen: [n] int64, number of frames.
    """

    colors: Float32[np.ndarray, "s n 3"]
    inside: Float32[np.ndarray, "s n"]
    changed: Float32[np.ndarray, "s n"]
    parts: UInt8[np.ndarray, "s n"]
    seen: Int64[np.ndarray, " n"]


def watch(clips: Sequence[PortraitClip], motion: FrameMotion, mesh: IdentityMesh, n_frames: int) -> WatchedFrames:
    """Pick frames, evenly over the clips.

    Raises:
        StageError: the clips do not show the same frames through the same camera.
    """
    reference = clips[0]
    for clip in clips:
        same = np.array_equal(clip.frame_numbers, reference.frame_numbers)
        if not same or clip.images.shape != reference.images.shape:
            raise StageError(
                f"clip {clip.key} has {len(clip)} frames of {clip.images.shape[1:3]}, the reference has "
                f"{len(reference)} of {reference.images.shape[1:3]}; animate all subjects along one motion at one size"
            )
    picked = np.unique(np.linspace(0, len(reference) - 1, min(n_frames, len(reference))).round().astype(int))
    chosen = motion[torch.from_numpy(picked)]
    return WatchedFrames(
        np.stack([clip.images[picked] for clip in clips]),
        np.stack([clip.alphas[picked] for clip in clips]),
        np.stack([clip.parts[picked] for clip in clips]),
        chosen,
        reference.camera,
        head_depth(mesh, chosen, reference.camera),
    )


def head_depth(mesh: IdentityMesh, motion: FrameMotion, camera: Camera) -> Float32[np.ndarray, "f h w"]:
    """Camera depth of the head mesh in every frame, [f, h, w] metres; +inf beside it."""
    vertices = mesh.at_vertices
    displaced, _ = displace(vertices.rest, vertices.blend_basis, motion)
    posed = skin(displaced, vertices.skinning, motion).numpy()
    faces = mesh.faces.numpy().astype(np.int32)
    drawn = [rasterize_mesh(project_vertices(one, camera), faces, camera.width, camera.height) for one in posed]
    return np.stack([fragments.depth for fragments in drawn])


def observe(prior: MeshPrior, watched: WatchedFrames) -> Observation:
    """Look up n points in all subjects and watched frames."""
    displaced, _ = displace(prior.rest, prior.blend_basis, watched.motion)
    pixels = visible_pixels(displaced, prior.skinning, watched.motion, watched.camera, watched.occluder)
    _leave_out_unrecorded(pixels, watched.parts[0])
    s, f = watched.parts.shape[:2]
    n = len(prior)
    colors = np.zeros((s, n, 3), np.float32)
    inside, changed = np.zeros((s, n), np.float32), np.zeros((s, n), np.float32)
    parts = np.zeros((s, n), np.uint8)
    with limited_threads(thread_count(None)):
        _look_up(
            pixels, watched.images.reshape(s, f, -1, 3), watched.alphas.reshape(s, f, -1),
            watched.parts.reshape(s, f, -1), len(Part), colors, inside, changed, parts,
        )  # fmt: skip
    return Observation(colors, inside, changed, parts, (pixels >= 0).sum(0))


def _leave_out_unrecorded(pixels: Int32[np.ndarray, "f n"], parts: UInt8[np.ndarray, "f h w"]) -> None:
    """Take points for unseen, in place, where the reference's recording did not show their pixel."""
    for row, labels in zip(pixels, parts.reshape(len(parts), -1), strict=True):
        row[(row >= 0) & (labels[np.maximum(row, 0)] == UNRECORDED)] = UNSEEN


@parallel_exact_kernel
def _look_up(  # type: ignore[no-untyped-def]
    pixels, images, alphas, parts, n_parts, colors, inside, changed, strongest
):
    n_subjects = images.shape[0]
    n_frames, n = pixels.shape
    for i in numba.prange(n):
        votes = np.zeros(n_parts, np.int64)
        total = np.zeros(3, np.float32)
        for s in range(n_subjects):
            votes[:] = 0
            total[:] = 0
            seen = 0
            within = 0
            different = 0
            for f in range(n_frames):
                p = pixels[f, i]
                if p < 0:
                    continue
                seen += 1
                largest = 0
                for c in range(3):
                    total[c] += np.float32(images[s, f, p, c])
                    gap = abs(int(images[s, f, p, c]) - int(images[0, f, p, c]))
                    largest = max(largest, gap)
                different += largest > CHANGED_LEVELS
                within += alphas[s, f, p] > 127
                votes[parts[s, f, p]] += 1
            if seen == 0:
                continue
            for c in range(3):
                colors[s, i, c] = total[c] / np.float32(255 * seen)
            inside[s, i] = within / seen
            changed[s, i] = different / seen
            strongest[s, i] = np.argmax(votes)

"""Check of a finished clip before it is filed: a faulty one would stop each build that trains on it.

An animator may be anybody's, and a diffusion model answers with black or with NaN when it is out of its depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from perse.attributes import Part
from perse.data import PortraitClip
from perse.errors import GenerationError
from perse.shapes import ByteMask, Picture
from perse.synthesis.seams import Shot

OPAQUE = 128
"""Alpha from which a pixel counts as the person's."""

LEAST_SHARE = 0.005
"""Of a frame that the person covers at least."""

MOVES_RAD = 0.02
"""A pose that changes by more must change some pixel."""

SAME = 1e-5
"""Between parameters that were asked for and those that came: what float32 loses in a file of one's own."""


def check_clip(clip: PortraitClip, shot: Shot) -> None:
    """Refuse a clip that cannot be trained on.

    Raises:
        GenerationError: its frames are others than asked for, its parameters are not finite or not the motion's, or a
            frame is of one colour, without a person, or the same as all others; says which.
    """
    _check_frames(clip, shot)
    _check_parameters(clip, shot)
    _check_pictures(clip, shot)


def _check_frames(clip: PortraitClip, shot: Shot) -> None:
    expected = np.asarray(shot.frame_numbers)
    if not np.array_equal(clip.frame_numbers, expected):
        raise GenerationError(f"the animator was asked for {len(expected)} frames and returned {len(clip)} others")
    frames, size = len(expected), shot.size_px
    wanted = {"images": (frames, size, size, 3), "alphas": (frames, size, size), "parts": (frames, size, size)}
    for name, shape in wanted.items():
        found = getattr(clip, name)
        if tuple(found.shape) != shape or np.asarray(found[0]).dtype != np.uint8:
            raise GenerationError(f"the clip's {name} are {found.shape}, expected uint8 of {shape}")


def _check_parameters(clip: PortraitClip, shot: Shot) -> None:
    head, camera = clip.parameters, clip.camera
    values = {
        "betas": head.betas, "vertex offsets": head.vertex_offsets, "expression": head.expression, "pose": head.pose,
        "camera": torch.cat([camera.world_to_camera.flatten(), camera.intrinsics.flatten()]),
    }  # fmt: skip
    for name, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise GenerationError(f"the clip's {name} holds numbers that are not finite")
    for name in ("expression", "pose"):
        asked, came = getattr(shot.motion, name).cpu(), getattr(head, name).cpu()
        if asked.shape != came.shape or not torch.allclose(asked, came, atol=SAME, rtol=0.0):
            raise GenerationError(f"the clip's {name} is not that of the motion it was asked to perform")


def _check_pictures(clip: PortraitClip, shot: Shot) -> None:
    _refuse(clip, [i for i in range(len(clip)) if np.mean(clip.alphas[i] >= OPAQUE) < LEAST_SHARE], "nobody is in")
    _refuse(clip, [i for i in range(len(clip)) if _is_flat(clip.images[i], clip.alphas[i])], "one colour fills")
    _refuse(clip, [i for i in range(len(clip)) if int(np.max(clip.parts[i])) >= len(Part)], "unknown parts are in")
    if _moves(shot) and all(np.array_equal(clip.images[i], clip.images[0]) for i in range(1, len(clip))):
        raise GenerationError("the clip shows one picture in every frame although the head should move")


def _refuse(clip: PortraitClip, frames: Sequence[int], what: str) -> None:
    if frames:
        raise GenerationError(f"{what} frame {clip.frame_numbers[frames[0]]} ({len(frames)} of {len(clip)} frames)")


def _is_flat(image: Picture, alpha: ByteMask) -> bool:
    """Whether the person is of one colour."""
    pixels = np.asarray(image)[np.asarray(alpha) >= OPAQUE]
    return bool((pixels == pixels[0]).all())


def _moves(shot: Shot) -> bool:
    pose = shot.motion.pose
    return len(pose) > 1 and float((pose - pose[:1]).abs().max()) > MOVES_RAD

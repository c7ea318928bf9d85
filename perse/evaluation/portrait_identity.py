"""Identity of the avatar with the person in the photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.avatar import Avatar
from perse.evaluation.viewing import Viewer
from perse.geometry import Camera
from perse.head import HeadParameters, Joint
from perse.identity import FaceEmbedder, identity_distance
from perse.render import Rasterizer
from perse.shapes import Picture

YAWS_DEG = (-15.0, 0.0, 15.0)


@dataclass(frozen=True)
class PortraitIdentity:
    """Distances of face descriptors to the photograph; below 0.6 is the same person. None: no face was found.

    Attributes:
        yaws_deg: turns of the head.
        rendered: distance of the rendered reference, at each turn.
        ceiling: distance of the nearest training frame of the reference clip: what the avatar was taught.
        impostors: distances from the photograph to portraits of other people.
    """

    yaws_deg: tuple[float, ...]
    rendered: tuple[float | None, ...]
    ceiling: float | None
    impostors: tuple[float | None, ...]


def portrait_identity(
    avatar: Avatar,
    photograph: Picture,
    pose: HeadParameters,
    camera: Camera,
    *,
    rasterizer: Rasterizer,
    embedder: FaceEmbedder,
    clip_images: Sequence[UInt8[NDArray[np.uint8], "_ _ 3"]] = (),
    impostors: Sequence[UInt8[NDArray[np.uint8], "_ _ 3"]] = (),
) -> PortraitIdentity:
    """Distances of the rendered reference, frontal and turned, from the photograph.

    Args:
        photograph: [h, w, 3] the portrait's crop.
        pose: the portrait's own expression and pose, a single frame; the neck is turned to `YAWS_DEG`.
        clip_images: frames of the reference clip, for the ceiling.
        impostors: portraits of other people.
    """
    target = embedder.embed(photograph)

    def distance(image: NDArray[np.uint8]) -> float | None:
        found = embedder.embed(image)
        return None if found is None or target is None else identity_distance(found, target)

    motion = avatar.skeleton(_turned(pose).to(avatar.device))
    pictures = Viewer(avatar, motion, camera, rasterizer).pictures(avatar.latents.reference)
    rendered = tuple(distance((p * 255 + 0.5).to(torch.uint8).numpy()) for p in pictures)
    frames = [d for d in map(distance, clip_images) if d is not None]
    return PortraitIdentity(YAWS_DEG, rendered, min(frames, default=None), tuple(distance(i) for i in impostors))


def _turned(pose: HeadParameters) -> HeadParameters:
    turns = pose.pose.repeat(len(YAWS_DEG), 1, 1)
    turns[:, Joint.NECK] = 0
    turns[:, Joint.NECK, 1] = torch.tensor([math.radians(yaw) for yaw in YAWS_DEG])
    expression = pose.expression.repeat(len(YAWS_DEG), 1)
    return HeadParameters(pose.betas, pose.vertex_offsets, expression, turns)

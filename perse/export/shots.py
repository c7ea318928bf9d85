"""Camera paths and poses to film (turntables, interpolations, reenactments), and filming them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from perse.avatar import Avatar, interpolate
from perse.export.views import orbit, orbit_centre
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.render import Rasterizer, rasterize

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class AvatarView:
    """One view of an avatar: its edits, its pose and the camera.

    Attributes:
        code: [k, d], the edit state. Neighbouring shots that share the same tensor share the work.
        frame: expression and pose of a single frame.
        camera: of one view, on the CPU.
    """

    code: Float[Tensor, "k d"]
    frame: HeadParameters
    camera: Camera


def at_rest(avatar: Avatar) -> HeadParameters:
    """Parameters of a single frame without expression, facing the portrait's camera."""
    joints = len(avatar.card.joint_names)
    return HeadParameters(
        torch.zeros(0), torch.zeros(0, 3), torch.zeros(avatar.skeleton.n_expression), torch.zeros(joints, 3)
    )  # fmt: skip


def turntable(
    avatar: Avatar, code: Float[Tensor, "k d"], camera: Camera, *, frames: int, reach_deg: float, frame: HeadParameters
) -> list[AvatarView]:
    """Views around the head: all around with 180, otherwise from side to side and back.

    Avatars learn from views that differ by about 40° at most, and only some are closed from behind:
    `perse.export.views.good_reach_deg` says how far is good.
    """
    centre = orbit_centre(avatar)
    phase = 2 * math.pi * torch.arange(frames) / frames
    yaws = (phase if reach_deg >= 180 else math.radians(reach_deg) * torch.sin(phase)).tolist()
    return [AvatarView(code, frame, orbit(camera, centre, yaw)) for yaw in yaws]


def interpolation(
    start: Float[Tensor, "k d"],
    end: Float[Tensor, "k d"],
    camera: Camera,
    *,
    steps: int,
    frame: HeadParameters,
    there_and_back: bool = False,
) -> list[AvatarView]:
    """Views from one edit state to another in equal steps (Eq. 13), both ends included."""
    alphas = np.linspace(0, 1, steps) if steps > 1 else np.zeros(1)
    codes = [interpolate(start, end, float(alpha)) for alpha in alphas]
    if there_and_back:
        codes += codes[-2:0:-1]
    return [AvatarView(code, frame, camera) for code in codes]


def reenactment(code: Float[Tensor, "k d"], camera: Camera, motion: HeadParameters) -> list[AvatarView]:
    """Views of a motion of f frames, performed."""
    return [AvatarView(code, motion.frame(index), camera) for index in range(len(motion))]


def film(
    avatar: Avatar,
    shots: Sequence[AvatarView],
    rasterizer: Rasterizer,
    *,
    background: tuple[float, float, float] | None = WHITE,
    supersampling: int = 1,
) -> Iterator[UInt8[NDArray[np.uint8], "h w c"]]:
    """Take the pictures one after another.

    Args:
        background: RGB in [0, 1], or None for transparent pictures.
        supersampling: pixels drawn for each pixel and side; 2 is smoother and four times the work.

    Yields:
        [h, w, 3], or [h, w, 4] without a background (not premultiplied).
    """
    device = avatar.latents.reference.device
    canonical, drawn_code = None, None
    for shot in shots:
        with torch.inference_mode():
            if canonical is None or shot.code is not drawn_code:
                canonical, drawn_code = avatar.canonicalise(shot.code.to(device)), shot.code
            gaussians = avatar.pose(canonical, shot.frame)[0]
            camera = shot.camera.resized(shot.camera.width * supersampling, shot.camera.height * supersampling).to(
                device
            )
            ground = None if background is None else torch.tensor(background, device=device)
            drawn = rasterize(avatar.seen_from(camera, gaussians), camera, background=ground, rasterizer=rasterizer)
            colors = drawn.colors if background is not None else torch.cat([drawn.colors, drawn.alphas[..., None]], -1)
            picture = _halved(colors, supersampling).clamp(0, 1)
            if background is None:
                picture = torch.cat([picture[..., :3] / picture[..., 3:].clamp_min(1e-6), picture[..., 3:]], -1)
            yield (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _halved(picture: Float[Tensor, "..."], factor: int) -> Float[Tensor, "..."]:
    """[h · s, w · s, c] to [h, w, c] by averages."""
    h, w, c = picture.shape
    return picture.reshape(h // factor, factor, w // factor, factor, c).mean((1, 3))

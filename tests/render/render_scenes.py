"""Scenes for the rasterizers' tests."""

from __future__ import annotations

import math

import torch

from perse.gaussians import Gaussians
from perse.geometry import Camera

FIELDS = ("means", "quats", "scales", "opacities", "colors")


def random_gaussians(
    count: int,
    *,
    channels: int = 3,
    frames: int = 1,
    seed: int = 0,
    spread: float = 1.0,
    opacity: tuple[float, float] = (0.05, 1.0),
) -> Gaussians:
    """A head-sized cloud around the origin, float32 with a leading [frames]; thin, flat and round ones."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(frames, count, *shape, generator=generator)

    low, high = opacity
    return Gaussians(
        means=0.06 * spread * normal(3),
        quats=normal(4),
        scales=0.008 * torch.exp(0.7 * normal(3)),
        opacities=low + (high - low) * torch.rand(frames, count, generator=generator),
        colors=torch.rand(frames, count, channels, generator=generator),
    )


def cameras_around(frames: int, width: int, height: int) -> Camera:
    """Cameras a metre away that see half a head's width more than the head, at different yaws; leading [frames]."""
    views = []
    for frame in range(frames):
        yaw = 0.4 * frame - 0.2
        turn = torch.tensor([
            [math.cos(yaw), 0.0, math.sin(yaw), 0.01],
            [0.0, 1.0, 0.0, -0.02],
            [-math.sin(yaw), 0.0, math.cos(yaw), 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ])  # fmt: skip
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
        flip[2, 3] = 1.0
        views.append(flip @ turn)
    focal = 3.2 * min(width, height)
    intrinsics = torch.tensor([[focal, 0.0, width / 2 + 0.7], [0.0, 1.05 * focal, height / 2 - 0.4], [0.0, 0.0, 1.0]])
    return Camera(torch.stack(views), intrinsics.expand(frames, 3, 3).clone(), width, height)

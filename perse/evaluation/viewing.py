"""Rendering for evaluation: codes in, pictures out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perse.avatar import Avatar, FrameMotion
from perse.geometry import Camera
from perse.render import Rasterizer, rasterize


@dataclass(frozen=True)
class Viewer:
    """An avatar in front of a camera, on white.

    Attributes:
        avatar: who.
        motion: f frames, from `avatar.skeleton`.
        camera: static.
        rasterizer: who draws.
    """

    avatar: Avatar
    motion: FrameMotion
    camera: Camera
    rasterizer: Rasterizer

    @torch.no_grad()
    def pictures(self, code: Tensor) -> Tensor:
        """All frames of one code [k, d], or of one code per frame [f, k, d]: float32 [f, h, w, 3] in [0, 1]."""
        canonical = self.avatar.canonicalise(code)
        of_frame = torch.arange(len(code), device=code.device) if code.ndim == 3 else None
        gaussians = self.avatar.pose(canonical, self.motion, of_frame)
        white = torch.ones(3, device=code.device)
        drawn = rasterize(gaussians, self.camera.to(code.device), background=white, rasterizer=self.rasterizer)
        return drawn.colors.clamp(0, 1).cpu()

    def at(self, frames: list[int]) -> Viewer:
        """The same, some frames only."""
        return Viewer(self.avatar, self.motion[torch.tensor(frames)], self.camera, self.rasterizer)

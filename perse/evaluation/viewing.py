"""Rendering for evaluation: from latent codes to pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from perse.avatar import Avatar, CanonicalGaussians, FrameMotion
from perse.geometry import Camera
from perse.render import Rasterizer

FRAMES_AT_ONCE = 16
"""Frames that are posed together: at the paper's sizes MLP_pose alone takes 70 MB for each."""


@dataclass(frozen=True)
class Viewer:
    """Avatar in front of a camera, on white.

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
    def pictures(self, code: Float[Tensor, "*f k d"]) -> Float[Tensor, "_ h w 3"]:
        """Pictures [f, h, w, 3] float32 in [0, 1], on the host, of all frames of one code [k, d] or of one code per
        frame [f, k, d]. Memory does not grow with the number of frames, but for the pictures'."""
        canonical = self.avatar.canonicalise(code)
        of_frame = torch.arange(len(self.motion), device=code.device)
        of_frame = of_frame if code.ndim == 3 else torch.zeros_like(of_frame)
        few = [slice(begin, begin + FRAMES_AT_ONCE) for begin in range(0, len(self.motion), FRAMES_AT_ONCE)]
        return torch.cat([self._drawn(canonical, self.motion[frames], of_frame[frames]) for frames in few])

    def _drawn(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Tensor) -> Tensor:
        camera = self.camera.to(of_frame.device)
        drawn = self.avatar.draw(canonical, motion, of_frame, camera, self.rasterizer)
        return drawn.colors.clamp(0, 1).cpu()

    def at(self, frames: list[int]) -> Viewer:
        """Viewer of some of the frames only."""
        chosen = torch.tensor(frames, device=self.motion.coefficients.device)
        return Viewer(self.avatar, self.motion[chosen], self.camera, self.rasterizer)

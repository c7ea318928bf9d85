"""Compilation of every kernel of training and serving before it is needed: ``python -m perse.training.warm_up``.

Compiled kernels are kept on disk, so that this costs a minute once and a second later: in an image's build, say.
"""

from __future__ import annotations

import torch

from perse.avatar import CanonicalGaussians
from perse.avatar.activations import softplus_100
from perse.avatar.canonical import N_ATTRIBUTES
from perse.avatar.motion import FrameMotion
from perse.avatar.posing import N_RESPONSES, pose_fused
from perse.losses import picture_loss
from perse.render.warm_up import warm_up as warm_up_rasterizer


def warm_up(threads: int | None = None) -> None:
    """Draw, pose, activate and compare something small, forward and backward."""
    warm_up_rasterizer(threads)
    canonical = CanonicalGaussians(
        torch.zeros(1, 1, N_ATTRIBUTES).requires_grad_(), torch.zeros(1, 3, 2), torch.ones(1, 1),
        torch.zeros(1, N_RESPONSES),
    )  # fmt: skip
    still = FrameMotion(torch.zeros(1, 2), torch.eye(4)[None, None], torch.tensor([[[1.0, 0, 0, 0]]]))
    pose_fused(canonical, still, torch.zeros(1, dtype=torch.long)).means.sum().backward()
    softplus_100(0 * torch.ones(16).requires_grad_()).sum().backward()
    image = torch.zeros(1, 16, 16, 3).requires_grad_()
    black = torch.zeros(1, 16, 16)
    picture_loss(
        image, black, image.detach().to(torch.uint8), black.to(torch.uint8), threads=threads
    ).total.backward()  # fmt: skip


if __name__ == "__main__":
    warm_up()

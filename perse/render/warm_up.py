"""Compilation of the CPU kernels before they are needed: ``python -m perse.render.warm_up``.

Compiled kernels are kept on disk, so that this costs half a minute once and under a second later.
`python -m perse.training.warm_up` compiles those of training as well.
"""

from __future__ import annotations

import torch

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render.cpu import CpuRasterizer
from perse.render.rasterization import rasterize


def warm_up(threads: int | None = None) -> None:
    """Draw one small picture, forward and backward."""
    leaves = [
        torch.zeros(1, 3), torch.ones(1, 4), torch.full((1, 3), 0.01), torch.ones(1), torch.ones(1, 3)
    ]  # fmt: skip
    view = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    view[2, 3] = 1.0
    intrinsics = torch.tensor([[16.0, 0.0, 8.0], [0.0, 16.0, 8.0], [0.0, 0.0, 1.0]])
    gaussians = Gaussians(*(leaf.requires_grad_() for leaf in leaves))
    drawn = rasterize(gaussians, Camera(view, intrinsics, 16, 16), rasterizer=CpuRasterizer(threads))
    drawn.colors.sum().backward()


if __name__ == "__main__":
    warm_up()

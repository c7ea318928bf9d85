"""A set of 3D Gaussians with gsplat's names and conventions."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Gaussians:
    """Gaussians in world space, activated (nothing here is a logit or a logarithm).

    Leading dimensions are shared by all fields and may be empty, [b] or [b, f].

    Attributes:
        means: [..., n, 3], metres.
        quats: [..., n, 4], wxyz; normalised by the rasterizer.
        scales: [..., n, 3], standard deviations along the local axes, metres, > 0.
        opacities: [..., n], in [0, 1].
        colors: [..., n, c], usually RGB in [0, 1]; any number of feature channels.
    """

    means: Float[Tensor, "... n 3"]
    quats: Float[Tensor, "... n 4"]
    scales: Float[Tensor, "... n 3"]
    opacities: Float[Tensor, "... n"]
    colors: Float[Tensor, "... n c"]

    def __post_init__(self) -> None:
        lead = self.means.shape[:-1]
        shapes = {f.name: tuple(getattr(self, f.name).shape) for f in fields(self)}
        expected = {"means": (*lead, 3), "quats": (*lead, 4), "scales": (*lead, 3), "opacities": tuple(lead)}
        for name, shape in expected.items():
            if shapes[name] != shape:
                raise ValueError(f"{name} must have shape {shape}, got {shapes[name]}")
        if shapes["colors"][:-1] != tuple(lead):
            raise ValueError(f"colors must have shape {(*lead, 'c')}, got {shapes['colors']}")

    def __len__(self) -> int:
        """Number of Gaussians n."""
        return self.means.shape[-2]

    def __getitem__(self, index: int | slice) -> Gaussians:
        """Select along the first leading dimension of a batch."""
        return Gaussians(*(getattr(self, f.name)[index] for f in fields(self)))

    def detach(self) -> Gaussians:
        return Gaussians(*(getattr(self, f.name).detach() for f in fields(self)))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Gaussians:
        return Gaussians(*(getattr(self, f.name).to(device=device, dtype=dtype) for f in fields(self)))

"""Parameters of a head: identity, expression and pose, in FLAME's order."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


@dataclass(frozen=True)
class HeadParameters:
    """Parameters of a `HeadModel` for one frame or, with a leading [f] in expression and pose, for many.

    The neck carries the head's absolute rotation relative to the camera; the global joint turns head and body
    together and stays at zero in our own fits, because the body stays still while the head moves.

    Attributes:
        betas: [s], identity coefficients; shared by all frames.
        vertex_offsets: [v, 3], metres; the identity's residual on top of the shape basis, rest pose. Zeros if unknown.
        expression: [..., e].
        pose: [..., j, 3], axis-angle in radians, joints as in `HeadModel.joint_names` (global, neck, jaw, eyes).
    """

    betas: Float[Tensor, " s"]
    vertex_offsets: Float[Tensor, "v 3"]
    expression: Float[Tensor, "... e"]
    pose: Float[Tensor, "... j 3"]

    def __post_init__(self) -> None:
        if self.betas.ndim != 1 or self.vertex_offsets.ndim != 2 or self.pose.shape[-1] != 3:
            raise ValueError("betas must be [s], vertex_offsets [v, 3], pose [..., j, 3]")
        if self.expression.shape[:-1] != self.pose.shape[:-2]:
            raise ValueError(
                f"expression {tuple(self.expression.shape)} and pose {tuple(self.pose.shape)} differ in their frames"
            )

    def __len__(self) -> int:
        """Number of frames f."""
        if self.expression.ndim != 2:
            raise TypeError("these parameters describe a single frame")
        return self.expression.shape[0]

    def frame(self, index: int | slice | Shaped[Tensor, "*n"]) -> HeadParameters:
        """Parameters of one frame (without the leading dimension) or of several."""
        return HeadParameters(self.betas, self.vertex_offsets, self.expression[index], self.pose[index])

    def with_identity(self, other: HeadParameters) -> HeadParameters:
        """Parameters of this motion, performed by the other's head."""
        return HeadParameters(other.betas, other.vertex_offsets, self.expression, self.pose)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> HeadParameters:
        return HeadParameters(*(getattr(self, f.name).to(device=device, dtype=dtype) for f in fields(self)))

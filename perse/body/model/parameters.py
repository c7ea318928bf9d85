"""Parameters of a body: identity, expression, pose and place."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from perse.head import HeadParameters


@dataclass(frozen=True)
class BodyParameters:
    """Parameters of a body for one frame or, with a leading [f] in the last three, for many.

    Attributes:
        betas: [s], identity coefficients; shared by all frames.
        vertex_offsets: [v, 3], metres, rest pose: head and silhouette on top of the shape basis.
        expression: [..., e].
        pose: [..., 55, 3], axis-angle in radians relative to the parent.
        translation: [..., 3], metres, added after posing.
    """

    betas: Float[Tensor, " s"]
    vertex_offsets: Float[Tensor, "v 3"]
    expression: Float[Tensor, "... e"]
    pose: Float[Tensor, "... 55 3"]
    translation: Float[Tensor, "... 3"]

    def __post_init__(self) -> None:
        if self.pose.shape[:-2] != self.translation.shape[:-1] or self.expression.shape[:-1] != self.pose.shape[:-2]:
            raise ValueError(
                f"pose {tuple(self.pose.shape)}, translation {tuple(self.translation.shape)} and expression "
                f"{tuple(self.expression.shape)} differ in their frames"
            )

    def __len__(self) -> int:
        """Number of frames f."""
        if self.pose.ndim != 3:
            raise TypeError("these parameters describe a single frame")
        return self.pose.shape[0]

    def frame(self, index: int | slice) -> BodyParameters:
        """Parameters of one frame (without the leading dimension) or of several."""
        return replace(
            self, expression=self.expression[index], pose=self.pose[index], translation=self.translation[index]
        )

    @property
    def surface(self) -> HeadParameters:
        """Head parameters that the shared blendshape and skinning code takes; the translation is not in them."""
        return HeadParameters(self.betas, self.vertex_offsets, self.expression, self.pose)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> BodyParameters:
        return BodyParameters(*(getattr(self, f.name).to(device=device, dtype=dtype) for f in fields(self)))

"""Rigid and blended 4×4 transforms."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def transform_points(transforms: Float[Tensor, "... 4 4"], points: Float[Tensor, "... 3"]) -> Float[Tensor, "... 3"]:
    """Points moved by one transform each; leading dimensions broadcast."""
    return (transforms[..., :3, :3] @ points[..., None])[..., 0] + transforms[..., :3, 3]

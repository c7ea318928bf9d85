"""The pinhole camera, in OpenCV's convention: x right, y down, z forward; pixel centres at half-integers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """One pinhole camera, or a batch of them with one image size.

    Attributes:
        world_to_camera: [..., 4, 4] rigid transform, metres.
        intrinsics: [..., 3, 3], pixels; the centre of the top-left pixel is at (0.5, 0.5).
        width, height: image size, pixels.
    """

    world_to_camera: Float[Tensor, "... 4 4"]
    intrinsics: Float[Tensor, "... 3 3"]
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.world_to_camera.shape[-2:] != (4, 4) or self.intrinsics.shape[-2:] != (3, 3):
            raise ValueError(
                f"world_to_camera must be [..., 4, 4] and intrinsics [..., 3, 3], "
                f"got {tuple(self.world_to_camera.shape)} and {tuple(self.intrinsics.shape)}"
            )

    def to_camera(self, points: Float[Tensor, "... n 3"]) -> Float[Tensor, "... n 3"]:
        """Points of the world, metres, in camera space."""
        rotation, translation = self.world_to_camera[..., :3, :3], self.world_to_camera[..., :3, 3]
        return points @ rotation.transpose(-1, -2) + translation[..., None, :]

    def project(self, points: Float[Tensor, "... n 3"]) -> tuple[Float[Tensor, "... n 2"], Float[Tensor, "... n"]]:
        """Pixels of points of the world, and their depths in metres (valid where depth > 0)."""
        in_camera = self.to_camera(points)
        depth = in_camera[..., 2]
        homogeneous = in_camera @ self.intrinsics.transpose(-1, -2)
        return homogeneous[..., :2] / depth[..., None], depth

    def resized(self, width: int, height: int) -> Camera:
        """The same view at another resolution."""
        scale = torch.tensor([width / self.width, height / self.height, 1.0]).to(self.intrinsics)
        return replace(self, intrinsics=scale[:, None] * self.intrinsics, width=width, height=height)

    def cropped(self, left_px: float, top_px: float, width: int, height: int) -> Camera:
        """The view through a window of the image plane whose top-left corner is at (left_px, top_px)."""
        shift = torch.eye(3).to(self.intrinsics)
        shift[0, 2], shift[1, 2] = -left_px, -top_px
        return replace(self, intrinsics=shift @ self.intrinsics, width=width, height=height)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Camera:
        return replace(
            self,
            world_to_camera=self.world_to_camera.to(device=device, dtype=dtype),
            intrinsics=self.intrinsics.to(device=device, dtype=dtype),
        )

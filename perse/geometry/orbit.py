"""A camera that walks around a point."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from perse.geometry.camera import Camera


def orbit(camera: Camera, centre: Float[Tensor, "3"], yaw: float, pitch: float = 0.0, zoom: float = 1.0) -> Camera:
    """The camera turned around a point, which stays where it is in the picture.

    Args:
        centre: [3], metres, world.
        yaw: radians, towards the person's left.
        pitch: radians, upwards.
        zoom: magnification.
    """
    about_y = torch.tensor([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
    about_x = torch.tensor([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    around = torch.eye(4)
    around[:3, :3] = about_x @ about_y
    around[:3, 3] = centre - around[:3, :3] @ centre
    intrinsics = camera.intrinsics.clone()
    if zoom != 1.0:
        seen = intrinsics @ (camera.world_to_camera[:3, :3] @ centre + camera.world_to_camera[:3, 3])
        intrinsics[:2] *= zoom
        intrinsics[:2, 2] += seen[:2] / seen[2] * (1 - zoom)
    return Camera(camera.world_to_camera @ around, intrinsics, camera.width, camera.height)

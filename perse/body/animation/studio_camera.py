"""Cameras that show the whole person."""

from __future__ import annotations

import torch

from perse.geometry import Camera

FACING = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
"""World axes (x the person's left, y up, z towards the camera) to camera axes."""
FOCAL_HEIGHTS = 1.9
"""Focal length in picture heights: about 30° of view, a person photographed from four metres."""
MARGIN = 1.32
"""Height of the picture in heights of the person: room for raised arms."""


def looking_at(
    centre: tuple[float, float, float], distance_m: float, focal_px: float, width: int, height: int
) -> Camera:
    """A level camera before a place, which it sees in the middle of its picture."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor(FACING)
    pose[:3, 3] = -pose[:3, :3] @ torch.tensor([centre[0], centre[1], centre[2] + distance_m])
    intrinsics = torch.tensor([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1.0]])
    return Camera(pose, intrinsics, width, height)


def whole_person(lowest_m: float, highest_m: float, x_m: float, z_m: float, size_px: int) -> Camera:
    """A square picture of a person between two heights, at a place on the floor."""
    focal = FOCAL_HEIGHTS * size_px
    tall = MARGIN * (highest_m - lowest_m)
    middle = (lowest_m + highest_m) / 2 + 0.06 * tall  # arms go up, nothing goes down
    return looking_at((x_m, middle, z_m), FOCAL_HEIGHTS * tall, focal, size_px, size_px)

"""The camera obeys OpenCV's conventions and its own resizing."""

from __future__ import annotations

import pytest
import torch
from tolerances import PIXELS, SINGLE_SUM

from perse.geometry import Camera, axis_angle_to_matrix


def _camera() -> Camera:
    pose = torch.eye(4)
    pose[:3, :3] = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    pose[2, 3] = 2.0
    return Camera(pose, torch.tensor([[500.0, 0, 128], [0, 500, 128], [0, 0, 1]]), 256, 256)


def test_up_in_the_world_is_up_in_the_picture() -> None:
    pixels, depth = _camera().project(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.1, 0.0, 0.0]]))
    assert torch.allclose(pixels[0], torch.tensor([128.0, 128.0]), atol=PIXELS)
    assert pixels[1, 1] < pixels[0, 1]
    assert pixels[2, 0] > pixels[0, 0]
    assert torch.allclose(depth, torch.full((3,), 2.0), atol=SINGLE_SUM)


def test_resizing_scales_pixels_and_nothing_else() -> None:
    points = torch.randn(20, 3) * 0.1
    pixels, depth = _camera().project(points)
    half, half_depth = _camera().resized(128, 64).project(points)
    assert torch.allclose(half, pixels * torch.tensor([0.5, 0.25]), atol=PIXELS)
    assert torch.equal(half_depth, depth)


def test_cropping_moves_the_origin() -> None:
    points = torch.randn(20, 3) * 0.1
    pixels, _ = _camera().project(points)
    cropped, _ = _camera().cropped(30, -10, 64, 64).project(points)
    assert torch.allclose(cropped, pixels - torch.tensor([30.0, -10.0]), atol=PIXELS)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="world_to_camera"):
        Camera(torch.eye(3), torch.eye(3), 8, 8)

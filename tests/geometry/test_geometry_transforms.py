"""Points moved by transforms."""

from __future__ import annotations

import torch

from perse.geometry import axis_angle_to_matrix, transform_points


def test_points_are_turned_and_then_moved_each_by_its_own_transform() -> None:
    transforms = torch.eye(4).repeat(2, 3, 1, 1)  # two frames of three points
    transforms[1, :, :3, :3] = axis_angle_to_matrix(torch.tensor([0.0, 0.0, torch.pi / 2]))
    transforms[1, :, 0, 3] = 5.0
    points = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    moved = transform_points(transforms, points)
    assert torch.equal(moved[0], points)
    torch.testing.assert_close(moved[1], torch.tensor([[5.0, 1, 0], [4, 0, 0], [5, 0, 1]]))

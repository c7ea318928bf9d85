"""Rotations agree with each other and with their definitions."""

from __future__ import annotations

import torch
from tolerances import DOUBLE, EXACT_DOUBLE

from perse.geometry import (
    axis_angle_to_matrix,
    matrix_to_quaternion,
    nearest_rotation,
    quaternion_multiply,
    quaternion_to_matrix,
)


def test_axis_angle_is_the_matrix_exponential() -> None:
    vectors = torch.randn(50, 3, dtype=torch.float64)
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    assert torch.allclose(axis_angle_to_matrix(vectors), torch.linalg.matrix_exp(skew), atol=EXACT_DOUBLE)


def test_axis_angle_has_a_gradient_at_zero() -> None:
    assert torch.autograd.gradcheck(axis_angle_to_matrix, torch.zeros(2, 3, dtype=torch.float64, requires_grad=True))


def test_quaternion_round_trip_covers_every_branch() -> None:
    half_turns = torch.eye(3, dtype=torch.float64) * (torch.pi - 1e-6)
    vectors = torch.cat([torch.randn(200, 3, dtype=torch.float64) * 2, half_turns])
    matrix = axis_angle_to_matrix(vectors)
    assert torch.allclose(quaternion_to_matrix(matrix_to_quaternion(matrix)), matrix, atol=DOUBLE)


def test_quaternion_product_is_composition() -> None:
    a, b = torch.randn(2, 30, 4, dtype=torch.float64)
    composed = quaternion_to_matrix(quaternion_multiply(a, b))
    assert torch.allclose(composed, quaternion_to_matrix(a) @ quaternion_to_matrix(b), atol=EXACT_DOUBLE)


def test_nearest_rotation_is_a_rotation_and_leaves_rotations_alone() -> None:
    blend = torch.randn(40, 3, 3, dtype=torch.float64)
    rotation = nearest_rotation(blend)
    identity = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(rotation @ rotation.transpose(-1, -2), identity.expand_as(rotation), atol=DOUBLE)
    assert torch.allclose(torch.det(rotation), torch.ones(40, dtype=torch.float64))
    assert torch.allclose(nearest_rotation(rotation), rotation, atol=DOUBLE)
    nudged = axis_angle_to_matrix(torch.randn(40, 3, dtype=torch.float64) * 0.1) @ rotation
    assert ((rotation - blend).norm(dim=(1, 2)) <= (nudged - blend).norm(dim=(1, 2)) + 1e-12).all()

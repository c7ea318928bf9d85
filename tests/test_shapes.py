"""Shapes in signatures are checked while tests run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from perse.export.scene import canonical_quaternions
from perse.geometry import Camera
from perse.geometry.rotations import axis_angle_to_matrix
from perse.head.skinning import blend_transforms
from perse.losses.images import l1
from perse.synthesis.procedural.editing.canvas import to_rgb
from perse.tracking.colors import guided_filter


def test_the_checker_is_on() -> None:
    assert axis_angle_to_matrix(torch.zeros(2, 5, 3)).shape == (2, 5, 3, 3)
    with pytest.raises(TypeCheckError, match=r"\*batch 3"):
        axis_angle_to_matrix(torch.zeros(5, 4))
    with pytest.raises(TypeCheckError, match="weights"):
        blend_transforms(torch.zeros(5, 4, 4), torch.zeros(7, 6))  # six weights a point, five joints


def test_two_arguments_must_agree() -> None:
    with pytest.raises(TypeCheckError, match="mask"):
        l1(torch.zeros(8, 9, 3), torch.zeros(8, 9, 3), torch.zeros(9, 8))
    with pytest.raises(TypeCheckError, match="points"):
        Camera(torch.eye(4), torch.eye(3), 8, 8).project(torch.zeros(5, 2))


def test_the_packages_above_are_held_too() -> None:
    with pytest.raises(TypeCheckError, match="mask"):
        guided_filter(np.zeros((8, 9), np.float32), np.zeros((9, 8), np.float32), 2, 1e-4)
    assert canonical_quaternions(torch.ones(2, 5, 4)).shape == (2, 5, 4)
    with pytest.raises(TypeCheckError, match="quats"):
        canonical_quaternions(torch.ones(5, 3))
    with pytest.raises(TypeCheckError, match="lab"):
        to_rgb(np.zeros((8, 9), np.float32))

"""Cameras and rotations."""

from perse.geometry.camera import Camera
from perse.geometry.orbit import orbit
from perse.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_quaternion,
    nearest_rotation,
    quaternion_multiply,
    quaternion_to_matrix,
)

__all__ = [
    "Camera",
    "axis_angle_to_matrix",
    "matrix_to_quaternion",
    "nearest_rotation",
    "orbit",
    "quaternion_multiply",
    "quaternion_to_matrix",
]

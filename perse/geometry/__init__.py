"""Cameras, rotations and transforms."""

from perse.geometry.camera import Camera
from perse.geometry.orbit import orbit
from perse.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_quaternion,
    nearest_rotation,
    quaternion_multiply,
    quaternion_to_matrix,
)
from perse.geometry.transforms import transform_points

__all__ = [
    "Camera",
    "axis_angle_to_matrix",
    "matrix_to_quaternion",
    "nearest_rotation",
    "orbit",
    "quaternion_multiply",
    "quaternion_to_matrix",
    "transform_points",
]

"""Hinge of the jaw from an artist's "jaw open" displacement: axis, angle, skinning weights, pose correctives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Hinge:
    """A rotation about an axis parallel to x.

    Attributes:
        centre: [3], a point of the axis on the symmetry plane, in the unit of the vertices.
        angle: radians, positive opens the mouth (y down to the front, as axis-angle +x does).
    """

    centre: Float64[np.ndarray, "3"]
    angle: float

    def matrix(self, fraction: float = 1.0) -> Float64[np.ndarray, "3 3"]:
        """Rotation [3, 3] by a fraction of the angle."""
        c, s = np.cos(self.angle * fraction), np.sin(self.angle * fraction)
        return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])

    def motion(self, vertices: Float64[np.ndarray, "v 3"]) -> Float64[np.ndarray, "v 3"]:
        """Displacement [v, 3] of points carried along fully."""
        arm = vertices - self.centre
        return arm @ (self.matrix() - np.eye(3)).T


def fit_hinge(rigid_part: Float64[np.ndarray, "n 3"], displacement: Float64[np.ndarray, "n 3"]) -> Hinge:
    """The hinge that moves a rigid part, such as the lower teeth, by the given displacement (both [n, 3])."""
    before, after = rigid_part[:, 1:], rigid_part[:, 1:] + displacement[:, 1:]
    a, b = before - before.mean(0), after - after.mean(0)
    angle = float(np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum()))
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s], [s, c]])
    shift = after.mean(0) - rotation @ before.mean(0)
    centre = np.linalg.solve(np.eye(2) - rotation, shift)
    return Hinge(np.array([0.0, *centre]), angle)


def hinge_weights(
    hinge: Hinge, vertices: Float64[np.ndarray, "v 3"], displacement: Float64[np.ndarray, "v 3"], softness: float
) -> Float64[np.ndarray, " v"]:
    """Weights [v] in [0, 1] of the hinge's motion at each vertex: least squares.

    Args:
        softness: displacements well below this (unit of the vertices) count as none; near the axis the quotient
            would otherwise be noise.
    """
    full = hinge.motion(vertices)
    weights = (displacement * full).sum(1) / ((full * full).sum(1) + softness**2)
    return np.clip(weights, 0.0, 1.0)


def hinge_corrective(
    hinge: Hinge,
    vertices: Float64[np.ndarray, "v 3"],
    displacement: Float64[np.ndarray, "v 3"],
    weights: Float64[np.ndarray, " v"],
) -> Float64[np.ndarray, "v 3"]:
    """Corrective [v, 3] of the rest pose with which skinning by the hinge gives exactly the displacement."""
    blended = np.eye(3) + weights[:, None, None] * (hinge.matrix() - np.eye(3))
    goal = vertices + displacement - hinge.centre
    return np.linalg.solve(blended, goal[..., None])[..., 0] + hinge.centre - vertices

"""Map from the tracked head's rest space to the body's: attachments are made for the first and worn on the second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray

from perse.body.fitting.head_transfer import head_vertex_pairs
from perse.body.model import BodyJoint, BodyParameters, shaped_body
from perse.head import HeadModel, HeadParameters, Region, rest_vertices

CARRIED = 0.9
"""Vertices that follow the head joint at least so much belong to the skull."""


@dataclass(frozen=True)
class HeadFrame:
    """Similarity between the two rest spaces: body = scale · turn · head + shift.

    Attributes:
        scale: body metres in a metre of the tracked head, which knows no size.
        turn: [3, 3]; shift: [3].
    """

    scale: float
    turn: Float64[NDArray[np.float64], "3 3"]
    shift: Float64[NDArray[np.float64], "3"]

    def to_body(self, points: Float[NDArray[np.floating], "*n 3"]) -> Float[NDArray[np.float64], "*n 3"]:
        """Points [..., 3] of the head's rest space in the body's."""
        return np.asarray(self.scale * np.asarray(points, float) @ self.turn.T + self.shift)

    def to_head(self, points: Float[NDArray[np.floating], "*n 3"]) -> Float[NDArray[np.float64], "*n 3"]:
        """Points [..., 3] of the body's rest space in the head's."""
        return np.asarray((np.asarray(points, float) - self.shift) @ self.turn / self.scale)


def head_frame(body: HeadModel, person: BodyParameters, head: HeadModel, tracked: HeadParameters) -> HeadFrame:
    """Similarity fitted on the skull's vertices, which tracked head and body share (Umeyama 1991)."""
    pairs = head_vertex_pairs()
    skull = (head.regions[pairs[:, 0]] == int(Region.SKIN)) & (
        body.skinning_weights[pairs[:, 1], BodyJoint.HEAD] > CARRIED
    )
    pairs = pairs[skull]
    return similarity(
        rest_vertices(head, tracked)[pairs[:, 0]].double().numpy(),
        shaped_body(body, person)[pairs[:, 1]].double().numpy(),
    )


def similarity(source: Float[NDArray[np.float64], "n 3"], target: Float[NDArray[np.float64], "n 3"]) -> HeadFrame:
    """The similarity that brings points [n, 3] nearest to their partners [n, 3], least squares."""
    mean, goal = source.mean(0), target.mean(0)
    centred, wanted = source - mean, target - goal
    left, values, right = np.linalg.svd(wanted.T @ centred)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = left @ np.diag(signs) @ right
    scale = float((values * signs).sum() / np.square(centred).sum())
    return HeadFrame(scale, turn, goal - scale * turn @ mean)

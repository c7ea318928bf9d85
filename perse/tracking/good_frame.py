"""Choice of the frame that can stand for the person: the first one that shows the face straight, still and at rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.head import HeadModel
from perse.tracking import landmarks as marks
from perse.tracking.landmark_model import LandmarkModel
from perse.tracking.landmark_problem import rotation_from_depths

Points = NDArray[np.float32]

MOST_TURN = 0.21
"""Radians from straight ahead, 12 degrees."""
MOST_SPEED = 0.03
"""Face widths that a landmark moves from a frame to the next: of what moves faster the picture is blurred."""
LEAST_OPEN = 0.85
"""Of the eyes' usual opening."""
MOST_MOUTH = 0.03
"""Face widths between the lips."""


def good_frames(points_px: Float32[np.ndarray, "f 478 d"], model: HeadModel) -> list[int]:
    """Frames in which the face is seen, the first good one first: those that keep all limits in their order, then the
    others by how far they miss them.

    Args:
        points_px: [f, 478, 3], NaN where the face is not seen.
        model: with embedded landmarks; only tells which way a face looks.
    """
    seen = np.flatnonzero(np.isfinite(points_px[:, 0, 0]))
    if not len(seen):
        return []
    misses = np.stack(list(_misses(points_px, seen, model))).max(0)
    keep = misses <= 1
    return [int(n) for n in [*seen[keep], *seen[~keep][np.argsort(misses[~keep], kind="stable")]]]


def _misses(points_px: Points, seen: NDArray[np.intp], model: HeadModel) -> Iterator[NDArray[np.float64]]:
    """How far each seen frame is from each limit, as a share of it: 1 is on it."""
    points = points_px[seen].astype(np.float64)
    width = np.ptp(points[:, : marks.N_SURFACE, 0], axis=1)
    rest, ids = LandmarkModel(model, 1.0, (0.0, 0.0)).average.numpy(), model.landmark_ids.numpy()
    turns = np.array([rotation_from_depths(rest, frame[ids]) for frame in points])
    yield np.linalg.norm(turns, axis=1) / MOST_TURN
    yield _speed(points_px, seen) / MOST_SPEED
    opening = _gap(points, marks.RIGHT_UPPER_LID, marks.RIGHT_LOWER_LID) + _gap(
        points, marks.LEFT_UPPER_LID, marks.LEFT_LOWER_LID
    )
    opening /= width
    yield LEAST_OPEN * np.median(opening) / np.maximum(opening, 1e-6)
    yield _gap(points, marks.LIPS_UPPER_INNER, marks.LIPS_LOWER_INNER) / width / MOST_MOUTH


def _gap(points: NDArray[np.float64], upper: tuple[int, ...], lower: tuple[int, ...]) -> NDArray[np.float64]:
    """Distance [f] of the middles of two lids or lips, pixels."""
    above, below = (points[:, list(loop)[len(loop) // 2], :2] for loop in (upper, lower))
    return np.linalg.norm(above - below, axis=1)


def _speed(points_px: Points, seen: NDArray[np.intp]) -> NDArray[np.float64]:
    """Face widths [f] that the landmarks move between a frame and the nearer of its neighbours' places, mean over
    landmarks; 0 where no neighbour is seen."""
    surface = points_px[:, : marks.N_SURFACE, :2].astype(np.float64)
    width = np.ptp(surface[..., 0], axis=1)
    moved = np.linalg.norm(np.diff(surface, axis=0), axis=2).mean(1)
    before = np.concatenate([[np.nan], moved])
    after = np.concatenate([moved, [np.nan]])
    return np.nan_to_num(np.fmax(before, after)[seen] / width[seen])

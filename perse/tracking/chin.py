"""Opening of the jaw that the chin allows: a grin parts the lips with the teeth together.

A fit of the whole face takes the parted lips of a grin for an open jaw by half (10° in a video of a grinning man, whose
chin sank by a quarter of what 10° would do). Landmarks have depth, so lengths between them need no pose.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray

from perse.tracking.landmarks import CHIN
from perse.tracking.narrowed_lips import CHEEKS

BRIDGE = 168
"""Of the nose, between the eyes: it keeps still."""
PER_RADIAN = 0.46
"""Face widths by which an opening jaw takes the chin from the bridge of the nose (the embedded head: .053 for .1,
.24 for .5)."""
ANSWERED = 0.5
"""Share of it that the landmark network shows (see `response`)."""
SURE_RAD = 0.03
"""Jaw that is believed without a chin: its tremor of .007 face widths."""


def chin_height(points: Float[np.ndarray, "478 3"]) -> float:
    """Distance of the chin from the bridge of the nose in face widths, of landmarks [478, 3]."""
    width = np.linalg.norm(points[CHEEKS[0]] - points[CHEEKS[1]])
    return float(np.linalg.norm(points[CHIN] - points[BRIDGE]) / width)


def widest_jaw(height: float, at_rest: float) -> float:
    """Largest opening of a jaw, radians, whose chin hangs so low."""
    return SURE_RAD + max(height - at_rest, 0.0) / (PER_RADIAN * ANSWERED)


def widest_jaws(
    points: Float[np.ndarray, "f 478 3"], seen: NDArray[np.bool_], resting: NDArray[np.intp]
) -> Float64[NDArray[np.float64], " f"]:
    """Largest openings of the jaw in all frames of a film; no limit where a face is not seen.

    Args:
        seen: [f], whether a frame has landmarks.
        resting: frames at rest.
    """
    rest = float(np.median([chin_height(points[frame]) for frame in resting]))
    limits = np.full(len(points), np.inf)
    for frame in np.flatnonzero(seen):
        limits[frame] = widest_jaw(chin_height(points[frame]), rest)
    return limits

"""Rest of a face: the frames in which the person does nothing.

Expressions are changes. A face that is fitted without knowing its rest shows half a dozen actions all the time that
are really its shape. People return to rest between expressions, which gives it away: it is the frame that all others
are, on average, nearest to.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import NDArray

from perse.tracking.landmark_model import FitLayout

MAX_TURN_RAD = 0.35
"""Rest is judged where the face is seen from the front."""
JAW_WEIGHT = 4.0
"""One radian of the jaw counts like this much of an action."""
LIPS_WEIGHT = 8.0
"""Lips that are an eighth narrower or wider count like one action. A fit that does not know rest hardly sees a pucker:
the longest one of a film was taken for rest."""


def rest_frames(
    layout: FitLayout,
    vectors: Float[NDArray[np.float64], "f p"],
    lips: Float[NDArray[np.float64], " f"],
    count: int,
) -> Integer[NDArray[np.intp], " r"]:
    """The medoid of the frames that face the camera, and those [≤ count] most like it.

    Args:
        vectors: [f, size] of a first fit without a known rest.
        lips: [f], widths of the lips, in any unit.
    """
    width = LIPS_WEIGHT * (lips / np.median(lips) - 1)
    jaw = JAW_WEIGHT * vectors[:, layout.jaw]
    activity = np.column_stack([vectors[:, layout.expression], jaw, width])
    apart = np.abs(activity[:, None] - activity).sum(-1)
    turn = np.linalg.norm(vectors[:, layout.rotation], axis=1)
    # A head that never faces the camera rests where it faces it most.
    turned = turn > max(MAX_TURN_RAD, float(np.quantile(turn, 0.1)))
    medoid = int(np.where(turned, np.inf, apart.mean(1)).argmin())
    order = np.argsort(np.where(turned, np.inf, apart[medoid]), kind="stable")
    return order[: min(count, int((~turned).sum()))]

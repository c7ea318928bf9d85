"""Rest of a face: the frames in which the person does nothing.

Expressions are changes. A face that is fitted without knowing its rest shows half a dozen actions all the time that
are really its shape. People return to rest between expressions, which gives it away: among the frames with the lips
closed it is the one that all others are, on average, nearest to. Without the lips a grin that is held for most of a
video was its rest, and rest a sad face.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import NDArray

from perse.tracking.landmark_model import FitLayout
from perse.tracking.narrowed_lips import Lips

MAX_TURN_RAD = 0.35
"""Rest is judged where the face is seen from the front."""
JAW_WEIGHT = 4.0
"""One radian of the jaw counts like this much of an action."""
LIPS_WEIGHT = 8.0
"""Lips that are an eighth narrower or wider count like one action. A fit that does not know rest hardly sees a pucker:
the longest one of a film was taken for rest."""
CLOSED = 0.02
"""Lips this much farther apart, in face widths, than where they are nearly closest are open: three pixels of a
portrait. Where somebody never closes them, rest is looked for where they are closest."""
NEARLY_CLOSEST = 0.1
"""Quantile of the frames."""


def rest_frames(
    layout: FitLayout, vectors: Float[NDArray[np.float64], "f p"], lips: Sequence[Lips], count: int
) -> Integer[NDArray[np.intp], " r"]:
    """Numbers of the rest frames: the medoid of the frames that face the camera with closed lips, and those [≤ count]
    most like it.

    Args:
        vectors: [f, size] of a first fit without a known rest.
        lips: of the f frames.
    """
    widths, openings = np.array([[lip.width, lip.opening] for lip in lips]).T
    width = LIPS_WEIGHT * (widths / np.median(widths) - 1)
    jaw = JAW_WEIGHT * vectors[:, layout.jaw]
    activity = np.column_stack([vectors[:, layout.expression], jaw, width])
    apart = np.abs(activity[:, None] - activity).sum(-1)
    turn = np.linalg.norm(vectors[:, layout.rotation], axis=1)
    # A head that never faces the camera rests where it faces it most.
    frontal = turn <= max(MAX_TURN_RAD, float(np.quantile(turn, 0.1)))
    restful = frontal & (openings <= float(np.quantile(openings[frontal], NEARLY_CLOSEST)) + CLOSED)
    medoid = int(np.where(restful, apart[:, restful].mean(1), np.inf).argmin())
    order = np.argsort(np.where(restful, apart[medoid], np.inf), kind="stable")
    return order[: min(count, int(restful.sum()))]

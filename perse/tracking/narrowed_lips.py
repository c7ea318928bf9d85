"""Pucker and funnel by the lips themselves: how much narrower than at rest they are, and how far open.

In small pictures a fit of the whole face explains both by other actions: a raised upper lip, a mouth pushed aside. The
landmarks show them all the same: 16 % narrower lips for a funnel and 8 % for a pucker, a third of what the head's own
actions do, and 2 % of tremor and turning (a rendered film of 192 px; `benchmarks.live_tracking`). Landmarks have depth,
so these lengths need no pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer
from numpy.typing import NDArray

from perse.curves import smoothstep

CORNERS = ((61, 291), (78, 308))
"""Of the outer and of the inner lips."""
MIDDLE = (13, 14)
"""Of the inner lips, upper and lower."""
CHEEKS = (234, 454)

SURE, WHOLE = 0.03, 0.12
"""Narrowing that is no tremor any more, and that counts as an action at full strength."""
JAW_NARROWS = 0.2
"""Share of the lips' opening by which a dropping jaw narrows them."""
PARTED = (0.03, 0.10)
"""Opening of the lips, shares of the face's width, below which they pucker, and above which they form a funnel."""
TAKEN_FOR_OTHERS = (
    "mouthShrug", "mouthLeft", "mouthRight", "mouthFrown", "mouthLowerDown", "mouthUpperUp", "mouthRoll",
)  # fmt: skip
"""By the beginning of the name, what the fit explains narrowed lips by."""


@dataclass(frozen=True)
class Lips:
    """Width and opening of the lips, shares of the face's width."""

    width: float
    opening: float


def lips_of(points: Float[np.ndarray, "478 d"]) -> Lips:
    """Width and opening of the lips of landmarks [478, 3], pixels."""

    def length(a: int, b: int) -> float:
        return float(np.linalg.norm(points[a] - points[b]))

    face = length(*CHEEKS)
    return Lips(sum(length(*pair) for pair in CORNERS) / len(CORNERS) / face, length(*MIDDLE) / face)


def pucker_and_funnel(lips: Lips, rest: Lips) -> tuple[float, float]:
    """Strengths, 0 to 1, of pucker and funnel for lips that had another width at rest."""
    narrower = 1 - lips.width / rest.width - JAW_NARROWS * max(lips.opening - rest.opening, 0)
    strength = float(np.clip((narrower - SURE) / (WHOLE - SURE), 0, 1))
    parted = float(smoothstep(np.array([lips.opening], np.float32), *PARTED)[0])
    return strength * (1 - parted), strength * parted


def with_narrowed_lips(
    actions: Float64[np.ndarray, " e"], names: Sequence[str], pucker: float, funnel: float
) -> Float64[np.ndarray, " e"]:
    """Strengths of actions [n] with pucker and funnel, and less of those that they were taken for."""
    out = actions.copy()
    for column, name in enumerate(names):
        if name.startswith(TAKEN_FOR_OTHERS):
            out[column] *= 1 - (pucker + funnel)
        elif name in ("mouthPucker", "mouthFunnel"):
            out[column] = pucker if name == "mouthPucker" else funnel
    return out


def with_narrowed_lips_of_frames(
    actions: Float[NDArray[np.float64], "f e"],
    names: Sequence[str],
    points: Float[NDArray[np.float64], "f 478 d"],
    seen: Bool[NDArray[np.bool_], " f"],
    resting: Integer[NDArray[np.intp], " r"],
) -> Float[NDArray[np.float64], "f e"]:
    """Strengths with pucker and funnel of all frames of a film; see `with_narrowed_lips`.

    Args:
        actions: [f, e], strengths of actions.
        names: of the actions.
        points: [f, 478, 3], landmarks, pixels.
        seen: [f], whether a frame has landmarks; the others' actions stay.
        resting: frames at rest.
    """
    rest = lips_of(points[resting].mean(axis=0))
    out = actions.copy()
    for frame in np.flatnonzero(seen):
        out[frame] = with_narrowed_lips(actions[frame], names, *pucker_and_funnel(lips_of(points[frame]), rest))
    return out

"""Response of the landmark network: how much of a movement it shows, and how to make up for it.

Measured on a film of a tracked portrait along a known motion: the network answers a fully closed eye with lids that
are two thirds closed, and an open jaw with a chin that follows half way. See docs/motion_from_video.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.tracking.landmark_model import FitLayout
from perse.tracking.landmark_problem import Floats, is_action

JAW_GAIN = 1.7
ACTION_GAINS = {"eyeBlink": 1.75, "mouthSmile": 1.6, "browInnerUp": 1.6, "browOuterUp": 1.6, "browDown": 1.6}
"""By the beginning of the name."""

WINK = (0.15, 0.4)
"""Share of the other lid's closing, below which an eye is open, and above which both close."""


def from_rest(
    layout: FitLayout,
    vectors: Float[NDArray[np.float64], "f p"],
    expression_names: Sequence[str],
    rest: Integer[NDArray[np.intp], " r"],
) -> Float[NDArray[np.float64], "f p"]:
    """Parameter vectors [f, size] whose expression and jaw are zero at rest; actions reach as far as before.

    What the shape cannot express of a resting face, the fit shows as actions that cancel each other (a wide eye that
    squints); they are no movement.
    """
    out = vectors.copy()
    out[:, layout.jaw] = np.maximum(out[:, layout.jaw] - np.median(out[rest, layout.jaw]), 0)
    level = np.median(out[rest][:, layout.expression], 0)
    moved = out[:, layout.expression] - level
    stretched = np.clip(moved / (1 - np.clip(level, 0, 0.9)), 0, 1)
    out[:, layout.expression] = np.where(is_action(tuple(expression_names)), stretched, moved)
    return out


def with_level_eyes(
    layout: FitLayout, vectors: Float[NDArray[np.float64], "f p"], rest: Integer[NDArray[np.intp], " r"]
) -> Float[NDArray[np.float64], "f p"]:
    """Parameter vectors [f, size] whose eyes look neither up nor down at rest.

    Where an iris stands between the lids depends on lids that no shape fits exactly: in a rendered film eyes that look
    straight ahead were found 6° too low. To the sides there is no such fault, and people do look aside.
    """
    out = vectors.copy()
    gaze = out[:, layout.gaze].reshape(-1, 2, 2)
    gaze[..., 0] -= np.median(gaze[rest][..., 0])
    out[:, layout.gaze] = gaze.reshape(len(out), -1)
    return out


def answered(
    layout: FitLayout, vectors: Float[NDArray[np.float64], "f p"], expression_names: Sequence[str], jaw_limit: float
) -> Float[NDArray[np.float64], "f p"]:
    """Parameter vectors [f, size] with the network's answer undone; actions stay within 0 and 1."""
    out = vectors.copy()
    out[:, layout.jaw] = np.clip(JAW_GAIN * out[:, layout.jaw], 0, jaw_limit)
    expression = out[:, layout.expression]
    for column, name in enumerate(expression_names):
        gain = next((gain for start, gain in ACTION_GAINS.items() if name.startswith(start)), None)
        if gain is not None:
            expression[:, column] = np.clip(gain * expression[:, column], 0, 1)
    _blink_together(expression, expression_names)
    gaze = out[:, layout.gaze].reshape(-1, 2, 2)
    both = gaze.mean(1)  # the eyes look together; two measurements of it
    out[:, layout.gaze] = np.concatenate([both, both], 1)
    return out


def _blink_together(expression: Floats, names: Sequence[str]) -> None:
    """Lids close together unless one is clearly open, in place: of a turned or tilted head one eye is measured badly,
    and people wink seldom. A wink stays one while the open eye shows less than a seventh of it."""
    if "eyeBlinkLeft" not in names or "eyeBlinkRight" not in names:
        return
    both = [list(names).index("eyeBlinkLeft"), list(names).index("eyeBlinkRight")]
    weaker, stronger = expression[:, both].min(1), expression[:, both].max(1)
    together = smoothstep((weaker / np.maximum(stronger, 1e-6)).astype(np.float32), *WINK)
    expression[:, both] += together[:, None] * (stronger[:, None] - expression[:, both])

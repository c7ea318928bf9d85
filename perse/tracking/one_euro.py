"""One Euro filter (Casiez et al., CHI 2012): curves made calm as they come, without lag where they are fast."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from perse.tracking.smoothing import SmoothingConfig

Floats = NDArray[np.float64]

SPEED_HZ = 2.0
"""Cut-off of the speeds, which decide the cut-off of the values; a third of it is the authors' own."""


class OneEuro:
    """Low pass whose cut-off rises with speed, value by value; `smooth` is its twin for whole recordings.

    Args:
        config: cut-off at rest and its rise; `reach_s` is for recordings, whose next moment is known.
    """

    def __init__(self, config: SmoothingConfig) -> None:
        self._config = config
        self._time_s = 0.0
        self._values: Floats | None = None
        self._speeds: Floats | None = None

    def calm(self, values: Float[NDArray[np.float64], " c"], time_s: float) -> Float[NDArray[np.float64], " c"]:
        """Smoothed values [c] at a time later than the last; earlier ones leave everything as it was."""
        if self._values is None or self._speeds is None:
            self._values, self._speeds, self._time_s = values.copy(), np.zeros_like(values), time_s
            return self._values.copy()
        step_s = time_s - self._time_s
        if step_s > 0:
            seen = (values - self._values) / step_s
            self._speeds = self._speeds + _share(SPEED_HZ, step_s) * (seen - self._speeds)
            cutoff = self._config.still_hz + self._config.per_speed * np.abs(self._speeds)
            self._values = self._values + _share(cutoff, step_s) * (values - self._values)
            self._time_s = time_s
        return self._values.copy()


def _share(cutoff_hz: Floats | float, step_s: float) -> Floats:
    """How far a low pass goes towards a new value in one step."""
    return np.asarray(1 - np.exp(-2 * np.pi * np.asarray(cutoff_hz) * step_s))

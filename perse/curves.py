"""S-curves: soft borders of masks, and smooth ways of shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import ArrayLike, NDArray

Level = float | Float[NDArray[np.floating], "..."]


def ramp(x: ArrayLike) -> Float[NDArray[Any], "..."]:
    """Cubic ramp without corners, 0 below 0 and 1 above 1, in the precision of x; any shape."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def smoothstep(values: ArrayLike, low: Level = 0.0, high: Level = 1.0) -> Float32[NDArray[np.float32], "..."]:
    """Ramp from 0 at `low` to 1 at `high` in float32, of any shape; it falls where `low` > `high`."""
    return np.asarray(ramp((np.asarray(values) - low) / (high - low)), np.float32)

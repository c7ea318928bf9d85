"""A person's colours laid on white."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped, UInt8


def laid_on_white(
    colors: Shaped[np.ndarray, "*shape 3"], share: Float[np.ndarray, "*shape"]
) -> UInt8[np.ndarray, "*shape 3"]:
    """Colours [..., 3] in 0…255 where a share [...] in [0, 1] of each pixel is theirs, and white elsewhere, rounded."""
    own = share[..., None]
    return np.round(colors * own + 255 * (1 - own)).astype(np.uint8)

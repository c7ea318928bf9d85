"""Detail for hair that the photograph does not show, made by example from the hair that it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perse.synthesis.procedural.animator.by_example import Example, detail_like
from perse.synthesis.procedural.animator.strand_frame import ACROSS, ALONG, StrandFrame, on_strands

Array = NDArray[np.float32]


def borrowed_detail(frame: StrandFrame, example: Example, seed: int) -> Array:
    """Relative detail for every texel, [h, w], about zero."""
    return on_strands(frame, detail_like(example, ALONG, ACROSS, seed))

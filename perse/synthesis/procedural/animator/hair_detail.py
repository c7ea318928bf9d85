"""Detail for hair that the photograph does not show, made by example from the hair that it does."""

from __future__ import annotations

from perse.shapes import Field
from perse.synthesis.procedural.animator.by_example import Example, detail_like
from perse.synthesis.procedural.animator.strand_frame import ACROSS, ALONG, StrandFrame, on_strands


def borrowed_detail(frame: StrandFrame, example: Example, seed: int) -> Field:
    """Relative detail for every texel, [h, w], about zero."""
    return on_strands(frame, detail_like(example, ALONG, ACROSS, seed))

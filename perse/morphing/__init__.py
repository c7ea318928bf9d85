"""2D interpolation between two subjects, the teacher of stage 2 (P 4.3)."""

from perse.morphing.morpher import Morph, MorphEnd, Morpher
from perse.morphing.warp import WarpMorpher, WarpMorpherConfig

__all__ = ["Morph", "MorphEnd", "Morpher", "WarpMorpher", "WarpMorpherConfig"]

"""2D interpolation between two subjects, the teacher of stage 2 (P 4.3)."""

from perse.morphing.ends import ClipMorphs, morph_end
from perse.morphing.morpher import Morph, MorphEnd, Morpher
from perse.morphing.warp import WarpMorpher, WarpMorpherConfig

__all__ = ["ClipMorphs", "Morph", "MorphEnd", "Morpher", "WarpMorpher", "WarpMorpherConfig", "morph_end"]

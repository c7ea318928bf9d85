"""2D interpolation between two subjects, the teacher of stage 2 (P 4.3).

======================  ===========================  ==========================================
configuration           needs                        source
======================  ===========================  ==========================================
`WarpMorpherConfig`     nothing                      ours
`DiffMorpherConfig`     SD 2.1, an adapter a subject  the paper's: DiffMorpher, arXiv 2312.07409
`FreeMorphConfig`       SD 2.1                       in the manner of FreeMorph, arXiv 2507.01953
======================  ===========================  ==========================================
"""

from perse.morphing.diffmorpher import DiffMorpher, DiffMorpherConfig
from perse.morphing.ends import ClipMorphs, morph_end
from perse.morphing.freemorph import FreeMorph, FreeMorphConfig
from perse.morphing.morpher import FrameOrigin, Morph, MorphCost, MorphEnd, Morpher
from perse.morphing.subject_lora import SubjectLoraConfig
from perse.morphing.warp import WarpMorpher, WarpMorpherConfig

__all__ = [
    "ClipMorphs",
    "DiffMorpher",
    "DiffMorpherConfig",
    "FrameOrigin",
    "FreeMorph",
    "FreeMorphConfig",
    "Morph",
    "MorphCost",
    "MorphEnd",
    "Morpher",
    "SubjectLoraConfig",
    "WarpMorpher",
    "WarpMorpherConfig",
    "morph_end",
]

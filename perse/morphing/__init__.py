"""2D interpolation between two subjects, the teacher of stage 2 (P 4.3).

======================  ===========================  ==========================================
configuration           needs                        source
======================  ===========================  ==========================================
`WarpMorpherConfig`     nothing                      ours
`RedrawMorpherConfig`   edits with 3D attachments    ours; the warp for all others
`DiffMorpherConfig`     SD 2.1, an adapter a subject  the paper's: DiffMorpher, arXiv 2312.07409
`FreeMorphConfig`       SD 2.1                       in the manner of FreeMorph, arXiv 2507.01953
======================  ===========================  ==========================================
"""

from perse.morphing.diffmorpher import DiffMorpher, DiffMorpherConfig
from perse.morphing.ends import ClipMorphs, morph_end
from perse.morphing.freemorph import FreeMorph, FreeMorphConfig
from perse.morphing.morpher import FrameOrigin, FramePose, Morph, MorphCost, MorphEnd, Morpher
from perse.morphing.redrawn import RedrawMorpher, RedrawMorpherConfig
from perse.morphing.subject_lora import SubjectLoraConfig
from perse.morphing.warp import WarpMorpher, WarpMorpherConfig

__all__ = [
    "ClipMorphs",
    "DiffMorpher",
    "DiffMorpherConfig",
    "FrameOrigin",
    "FramePose",
    "FreeMorph",
    "FreeMorphConfig",
    "Morph",
    "MorphCost",
    "MorphEnd",
    "Morpher",
    "RedrawMorpher",
    "RedrawMorpherConfig",
    "SubjectLoraConfig",
    "WarpMorpher",
    "WarpMorpherConfig",
    "morph_end",
]

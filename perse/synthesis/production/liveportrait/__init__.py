"""LivePortrait (Guo et al., arXiv 2407.03168) as modules of our own that take the published weights.

F extracts appearance, M motion, W warps, G draws, S stitches. Written from the paper and from the names and shapes of
the published tensors; equal to its authors' networks under shared random weights (docs/animators.md).
"""

from perse.synthesis.production.liveportrait.animator import LivePortraitAnimator, LivePortraitConfig
from perse.synthesis.production.liveportrait.crop import CropFraming
from perse.synthesis.production.liveportrait.driving import RenderedDriving, VideoDriving
from perse.synthesis.production.liveportrait.keypoints import AbsoluteMotion, RelativeMotion
from perse.synthesis.production.liveportrait.networks import LivePortraitNetworks
from perse.synthesis.production.liveportrait.shape import LivePortraitShape

__all__ = [
    "AbsoluteMotion",
    "CropFraming",
    "LivePortraitAnimator",
    "LivePortraitConfig",
    "LivePortraitNetworks",
    "LivePortraitShape",
    "RelativeMotion",
    "RenderedDriving",
    "VideoDriving",
]

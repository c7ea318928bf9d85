"""The procedural portrait animator: textured head, hair volume, body layer, attachments."""

from perse.synthesis.animator.animator import ProceduralAnimator, ProceduralAnimatorConfig
from perse.synthesis.animator.hair_volume import HairVolumeConfig
from perse.synthesis.animator.lift import LiftConfig
from perse.synthesis.animator.lifted import LiftedPortrait

__all__ = ["HairVolumeConfig", "LiftConfig", "LiftedPortrait", "ProceduralAnimator", "ProceduralAnimatorConfig"]

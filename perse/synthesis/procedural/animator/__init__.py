"""The procedural portrait animator: textured head, hair volume, body layer, attachments."""

from perse.synthesis.procedural.animator.animator import ProceduralAnimator, ProceduralAnimatorConfig
from perse.synthesis.procedural.animator.hair_volume import HairVolumeConfig
from perse.synthesis.procedural.animator.lift import LiftConfig
from perse.synthesis.procedural.animator.lifted import LiftedPortrait

__all__ = ["HairVolumeConfig", "LiftConfig", "LiftedPortrait", "ProceduralAnimator", "ProceduralAnimatorConfig"]

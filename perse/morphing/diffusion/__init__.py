"""Common parts of the teachers with a diffusion model: the model, DDIM, adapters, attention."""

from perse.morphing.diffusion.adapters import Adapter, lerp_adapters
from perse.morphing.diffusion.model import LatentDiffusion, LatentDiffusionConfig

__all__ = ["Adapter", "LatentDiffusion", "LatentDiffusionConfig", "lerp_adapters"]

"""The record that the avatar makes and the rasterizers draw."""

from perse.gaussians.gaussians import Gaussians

__all__ = ["Gaussians"]

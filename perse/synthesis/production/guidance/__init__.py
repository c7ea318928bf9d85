"""Guidance maps of a motion: FLAME depth and normals by the mesh rasterizer, and keypoints."""

from perse.synthesis.production.guidance.keypoint_maps import (
    LandmarkKeypointMapsConfig,
    PictureKeypointMapsConfig,
    projected_landmarks,
)
from perse.synthesis.production.guidance.maps import KINDS, Guidance, GuidanceConfig, GuidanceDrawer

__all__ = [
    "KINDS",
    "Guidance",
    "GuidanceConfig",
    "GuidanceDrawer",
    "LandmarkKeypointMapsConfig",
    "PictureKeypointMapsConfig",
    "projected_landmarks",
]

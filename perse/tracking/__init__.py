"""Tracking of a photograph: head parameters, camera and part masks. mediapipe is imported when first used."""

from perse.tracking.crop import CropConfig
from perse.tracking.detection import detect_landmarks
from perse.tracking.fit import HeadFit, fit_head
from perse.tracking.landmark_problem import FitConfig
from perse.tracking.learned.parser import LearnedParser
from perse.tracking.parser import FaceParser, ProceduralParser
from perse.tracking.residual import ResidualConfig
from perse.tracking.selection import SelectionConfig
from perse.tracking.tracker import HeadTracker, MediapipeTracker, MediapipeTrackerConfig

__all__ = [
    "CropConfig",
    "FaceParser",
    "FitConfig",
    "HeadFit",
    "HeadTracker",
    "LearnedParser",
    "MediapipeTracker",
    "MediapipeTrackerConfig",
    "ProceduralParser",
    "ResidualConfig",
    "SelectionConfig",
    "detect_landmarks",
    "fit_head",
]

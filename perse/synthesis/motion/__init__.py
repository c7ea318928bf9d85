"""One motion for all subjects."""

from perse.synthesis.motion.motion import TEST_FRAMES, TRAIN_FRAMES, load_motion

__all__ = ["TEST_FRAMES", "TRAIN_FRAMES", "load_motion"]

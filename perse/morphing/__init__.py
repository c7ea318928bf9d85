"""2D interpolation between two subjects, the teacher of stage 2 (P 4.3)."""

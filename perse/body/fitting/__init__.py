"""Fitting of a body to a photograph: landmarks, mask, shape, pose, camera, covers and layer."""

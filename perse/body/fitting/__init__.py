"""From a photograph to a fitted body: landmarks, mask, shape, pose, camera, covers and layer."""

"""Gaussian rasterizers and the mesh z-buffer."""

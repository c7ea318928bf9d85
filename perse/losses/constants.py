"""Window of SSIM. Kernels are compiled again when this file changes."""

from __future__ import annotations

SSIM_SIGMA_PX = 1.5
SSIM_RADIUS_PX = 5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
"""Window and constants of Wang et al. 2004 for a data range of 1."""

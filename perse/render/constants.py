"""Cut-offs that all rasterizers share. Kernels are compiled again when this file changes."""

from __future__ import annotations

NEAR_M = 0.01
"""Gaussians whose centre is nearer to the camera plane than this (or behind it) are not drawn; gsplat's value."""

DILATION_PX2 = 0.3
"""Added to both variances of a projected Gaussian, so that none is thinner than a pixel (3DGS, gsplat)."""

MIN_ALPHA = 1 / 255
"""A Gaussian is skipped at the pixels where its alpha is smaller (3DGS, gsplat)."""

MAX_ALPHA = 0.999
"""Alpha is clamped here, with zero gradient beyond, so that light never reaches exactly zero (gsplat)."""

MIN_TRANSMITTANCE = 1e-4
"""A pixel is finished before the Gaussian that would leave less light than this (3DGS, gsplat)."""

FRUSTUM_MARGIN = 0.3
"""The local affine projection of a Gaussian is taken no farther outside of the image than this share of half its size
(3DGS, gsplat); beyond, the tangent would be meaningless."""

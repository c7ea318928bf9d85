"""Light of the photograph: second-order spherical harmonics, read off the skin.

Nine coefficients describe diffuse light to within a few per cent (Ramamoorthi & Hanrahan 2001). They are fitted to
the luminance of skin against the normals of the fitted head, and stay fixed in the photograph's frame while the head
turns. Everything happens in display values (the photograph's own 0…255), not in linear light: an attachment is then
as contrasty as the skin beside it, whatever the photograph's tone curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data.masks import PartMasks
from perse.shapes import Picture

_DARKEST, _BRIGHTEST = 0.14, 1.35
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601, as JPEG has it


def harmonics(normals: Float[NDArray[np.float32], "*n 3"]) -> Float[NDArray[np.float32], "*n 9"]:
    """Values [..., 9] of the nine polynomials at unit normals [..., 3]: 1, x, y, z, xy, yz, 3z² − 1, xz, x² − y²."""
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    columns = (np.ones_like(x), x, y, z, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y)
    return np.stack(columns, -1).astype(np.float32)


@dataclass(frozen=True)
class Light:
    """Diffuse light by direction of the surface.

    Attributes:
        coefficients: [9] float32 over `harmonics`, in the world's axes; 1 is the luminance of well-lit skin.
    """

    coefficients: Float32[NDArray[np.float32], "9"]

    def shade(self, normals: Float[NDArray[np.float32], "*n 3"]) -> Float[NDArray[np.float32], "*n"]:
        """Luminance on surfaces with unit normals [..., 3]: [...], clipped to a range that skin can show."""
        return np.clip(harmonics(normals) @ self.coefficients, _DARKEST, _BRIGHTEST).astype(np.float32)

    @property
    def direction(self) -> Float[NDArray[np.float32], "3"]:
        """Unit vector towards the key light, from the linear terms.

        Raised a little: chin and brow shade the skin that would show a high light, so a fit sees it too low.
        """
        towards = self.coefficients[1:4].astype(np.float64)
        length = float(np.linalg.norm(towards))
        if length < 1e-6:
            towards, length = np.array([0.2, 0.5, 1.0]), 1.0
        towards = towards / length + [0.0, 0.15, 0.0]
        return (towards / np.linalg.norm(towards)).astype(np.float32)

    @classmethod
    def studio(cls) -> Light:
        """Soft light from the upper front, for pictures that show too little skin to tell."""
        return cls(np.array([0.68, 0.04, 0.16, 0.26, 0, 0, 0, 0, 0], np.float32))


def fit_light(image: Picture, masks: PartMasks, normals_px: Float[NDArray[np.float32], "h w 3"]) -> Light:
    """The light under which the photograph's skin was taken.

    Args:
        image: [h, w, 3] uint8 RGB.
        masks: where skin and nose are.
        normals_px: [h, w, 3] float32, world normals of the fitted head seen at each pixel; zeros where it is not.

    Returns:
        Scaled so that the 90th percentile of the shading over the skin is 1: colour of lit skin × shade = skin.
        `Light.studio()` where fewer than 200 pixels of skin are seen.
    """
    weight = np.clip(masks[Part.SKIN] + masks[Part.NOSE], 0, 1)
    seen = (weight > 0.6) & (np.abs(normals_px).sum(-1) > 0.5)
    if seen.sum() < 200:
        return Light.studio()
    step = max(1, int(seen.sum()) // 8000)
    basis = harmonics(normals_px[seen])[::step].astype(np.float64)
    luminance = (image[seen] @ _LUMA)[::step].astype(np.float64) / 255
    coefficients = _robust_fit(basis, luminance)
    level = np.percentile(basis @ coefficients, 90)
    if not np.isfinite(level) or level < 0.02:
        return Light.studio()
    return Light((coefficients / level).astype(np.float32))


def _robust_fit(basis: NDArray[np.float64], luminance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cauchy-weighted ridge regression: moles, brows' edges, highlights and cast shadows lose their say.

    A face shows little more than a half sphere of normals, and few that point up: the fit is held to studio light, its
    second order harder than its first.
    """
    ridge = np.diag([0, 5e-3, 2e-2, 5e-3, 3e-2, 3e-2, 3e-2, 3e-2, 3e-2]) * len(basis)
    usual = Light.studio().coefficients * float(np.median(luminance))
    weights = np.ones(len(basis))
    coefficients = np.zeros(9)
    for _ in range(6):
        weighted = basis * weights[:, None]
        coefficients = np.linalg.solve(weighted.T @ basis + ridge, weighted.T @ luminance + ridge @ usual)
        residual = luminance - basis @ coefficients
        scale = max(1.5 * float(np.median(np.abs(residual))), 0.01)
        weights = 1 / (1 + (residual / scale) ** 2)
    return coefficients

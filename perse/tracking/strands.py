"""Hair that hangs over a garment of its colour: black on black is told apart by how it looks, not by tone alone.

Strands shine in streaks and a fabric does not. So colours at several scales, their shares of the lightness, and the
strength and the direction of fine structure are put together, and one linear discriminant (Fisher 1936) is learned from
this picture: hair from around the head, cloth from where no hair can hang.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import HardMask, SoftMask
from perse.tracking.colors import blur
from perse.tracking.frame import FaceCoordinates

Floats = NDArray[np.float32]

STRUCTURE_WIDTHS = (0.015, 0.035, 0.07)
"""Scales over which the strength of fine structure is averaged, face widths."""
DIRECTION_WIDTHS = (0.02, 0.05)
"""Scales over which its direction must agree."""
COLOR_WIDTHS = (0.03, 0.08)
"""Scales of colours and of their deviation, beside the pixel's own."""
DARK_L = 8.0
"""CIELAB lightness added before logarithms and ratios: the noise of black is no texture."""
SHRINKAGE = 0.1
"""Share of the identity in the correlation matrix: neighbouring scales say nearly the same."""
LEAST_SEEDS = 60
_BORDER = 1e-5  # weight of pixels at the outline, so that none is without a neighbour


def looks(lab: Float32[np.ndarray, "a b 3"], inside: HardMask, width_px: float) -> Float32[np.ndarray, "h w k"]:
    """Features [h, w, c] of what the surface at each pixel looks like, averaged over `inside` alone.

    Args:
        lab: [2h, 2w, 3] CIELAB at twice the size, where fine structure still is.
        inside: [h, w], without the outlines of what is looked at: an edge is no texture.
        width_px: of the face at the size of `inside`.
    """
    weight = inside + np.float32(_BORDER)

    def mean(values: Floats, sigma: float) -> Floats:
        total = blur(np.asarray(values * weight, np.float32), sigma)
        return np.asarray(total / np.maximum(blur(weight, sigma), _BORDER), np.float32)

    def shrink(values: Floats) -> Floats:
        return np.asarray(cv2.resize(values, inside.shape[::-1], interpolation=cv2.INTER_AREA), np.float32)

    tone = np.log(np.maximum(lab[..., 0], 0) + np.float32(DARK_L))
    across, down = (
        np.asarray(cv2.Sobel(tone, cv2.CV_32F, *step, ksize=3) / 8, np.float32) for step in ((1, 0), (0, 1))
    )
    tensor = [shrink(values) for values in (across * across, down * down, across * down)]
    small, small_tone = shrink(lab), shrink(tone)
    maps = [small_tone]
    for sigma in (0.8, *(share * width_px for share in COLOR_WIDTHS)):
        color = [mean(small[..., channel], sigma) for channel in range(3)]
        maps += [*color, color[1] / (color[0] + DARK_L), color[2] / (color[0] + DARK_L)]
    for share in COLOR_WIDTHS:
        middle = mean(small_tone, share * width_px)
        maps.append(_log(mean(small_tone * small_tone, share * width_px) - middle * middle))
    maps += [_log(mean(tensor[0] + tensor[1], share * width_px)) for share in STRUCTURE_WIDTHS]
    for share in DIRECTION_WIDTHS:
        xx, yy, xy = (mean(values, share * width_px) for values in tensor)
        maps.append(np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + np.float32(2e-4)))
    return np.stack(maps, -1).astype(np.float32)


def discriminant(values: Float32[np.ndarray, "h w k"], first: HardMask, second: HardMask) -> SoftMask:
    """Log-odds [h, w] of the first class, both Gaussian with one covariance [c, c].

    Args:
        values: [h, w, c]; first, second: [h, w], pixels that are certain.
    """
    samples = [values[seeds].astype(np.float64) for seeds in (first, second)]
    means = [own.mean(0) for own in samples]
    covariance = np.mean([np.cov(own.T) for own in samples], 0)
    scale = np.sqrt(np.diag(covariance) + 1e-9)
    correlation = (1 - SHRINKAGE) * covariance / np.outer(scale, scale) + SHRINKAGE * np.eye(len(scale))
    axis = np.linalg.solve(correlation, (means[0] - means[1]) / scale) / scale
    middle = 0.5 * float((means[0] + means[1]) @ axis)
    return np.asarray(values @ axis.astype(np.float32) - middle, np.float32)


def hair_or_cloth(
    lab: Float32[np.ndarray, "h2 w2 3"],
    hair: SoftMask,
    cloth: SoftMask,
    free: HardMask,
    curtain: SoftMask,
    place: tuple[SoftMask, SoftMask],
    frame: FaceCoordinates,
) -> SoftMask | None:
    """Log-odds [h, w] of hair against cloth by their looks; None where either shows too little to learn from.

    Args:
        lab: [2h, 2w, 3] CIELAB; everything else at half of its size.
        hair, cloth: [h, w], a first estimate.
        free: [h, w], the person without face and skin.
        curtain: [h, w] in [0, 1], where hair may hang.
        place: `across` and `down` [h, w]; frame: of the whole picture.
    """  # fmt: skip
    across, down = np.abs(place[0]), place[1]
    # Below the mouth hair is believed beside the jaw only: in front of the throat there may be a collar.
    beside = (across < 0.85) & ((down < frame.mouth - 0.05) | (across > 0.55))
    hair_seeds = free & (hair > 0.85) & (down < frame.chin) & beside
    cloth_seeds = free & (cloth > 0.85) & (down > frame.chin + 0.15) & (curtain < 0.2)
    if min(hair_seeds.sum(), cloth_seeds.sum()) < LEAST_SEEDS:
        return None
    inner = cv2.erode(free.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return discriminant(looks(lab, inner, frame.width_px / 2), hair_seeds, cloth_seeds)


def place_of_cloth(across: SoftMask, down: SoftMask, frame: FaceCoordinates) -> SoftMask:
    """Log prior of cloth against anything else below a head with long hair: [h, w].

    A raised or leaning shoulder reaches the mouth's height beside the face.
    """
    lifted = shoulder_lift(across)
    above = smoothstep(down, frame.chin - lifted, frame.mouth - 0.1 - lifted)
    return np.asarray(-12.0 * above + 0.5 * smoothstep(down, frame.chin + 0.2, frame.chin + 0.5), np.float32)


def shoulder_lift(across: Float32[np.ndarray, " *shape"]) -> Float32[np.ndarray, " *shape"]:
    """Height [h, w], face widths, by which cloth may begin higher than at the throat."""
    return np.float32(0.55) * smoothstep(np.abs(across), 0.6, 1.0)


def _log(values: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(values, 0) + np.float32(1e-4)), np.float32)

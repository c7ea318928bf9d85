"""Hats in the photograph. Without a trained parser a hat first looks like hair; here it is told apart.

A hat betrays itself by colours that hair does not have, by large smooth areas of very different colours with sharp
borders (hair's tones run into each other in streaks), or by hair of quite another colour coming out below it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.tracking.colors import blur, fit_mixture, smoothstep
from perse.tracking.frame import FaceFrame

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

UNNATURAL_SHARE = 0.4
"""A hat if more than this share of the top of the head has colours that hair does not have (dyed hair has texture)."""
DYED_TEXTURE = 4.0
VERY_SMOOTH_TEXTURE = 1.0
"""Median local deviation of lightness that no hair falls below, however black."""
LARGE_HEIGHT, LARGE_WIDTH, LARGE_TEXTURE = 0.95, 1.62, 3.2
"""Something higher above the brows, or wider above them (face widths), is a hat if it is no rougher than this; an
afro is much rougher."""
EMPTY_MIDDLE_SHARE = 0.16
"""A hat if fewer pixels than this lie in the middle third between two very different tones."""
TONE_DISTANCE = 45.0
"""What "very different" means: distance of the two tones in CIELAB."""
SMOOTH_TEXTURE = 2.4
"""Median local deviation of lightness below which an area is smoother than hair."""
OTHER_HAIR_DISTANCE = 28.0
"""Distance in CIELAB between a hat and the hair that shows below it."""


@dataclass(frozen=True)
class HeadwearSigns:
    """What was measured on the top of the head.

    Attributes:
        unnatural: share of pixels whose colour hair does not have.
        tone_distance: CIELAB distance of the two main tones.
        middle_share: share of pixels in the middle third between them.
        texture: median local deviation of lightness, of the larger tone's area.
        sides_distance: CIELAB distance from the top's main tone to the hair beside the face; 0 where none is seen.
        height, width: extent above the brows, face widths.
    """

    unnatural: float
    tone_distance: float
    middle_share: float
    texture: float
    sides_distance: float
    height: float
    width: float

    @property
    def is_headwear(self) -> bool:
        """The verdict."""
        two_tones = self.tone_distance > TONE_DISTANCE and self.middle_share < EMPTY_MIDDLE_SHARE
        other_hair = self.sides_distance > OTHER_HAIR_DISTANCE and self.texture < SMOOTH_TEXTURE
        large = self.height > LARGE_HEIGHT or self.width > LARGE_WIDTH
        return (
            (self.unnatural > UNNATURAL_SHARE and self.texture < DYED_TEXTURE)
            or (two_tones and self.texture < 2 * SMOOTH_TEXTURE)
            or other_hair
            or (large and self.texture < LARGE_TEXTURE)
            or self.texture < VERY_SMOOTH_TEXTURE
        )


def find_headwear(lab: Floats, hair: Floats, frame: FaceFrame) -> Floats:
    """How much of what looked like hair is headwear: [h, w] in [0, 1], zeros for a bare head.

    Args:
        lab: [h, w, 3] CIELAB.
        hair: [h, w] in [0, 1], hair and headwear together, zero in the background.
    """
    top = (hair > 0.6) & (frame.down < frame.brow - 0.05)
    if top.mean() < 0.002:
        return np.zeros_like(hair)
    if not measure_headwear(lab, hair, frame).is_headwear:
        return np.zeros_like(hair)
    # Relative to the hair: the soft outline is the person's matte, which is multiplied in later.
    return _belongs_to_hat(lab, hair, top, frame) * smoothstep(hair, 0.0, 0.3)


def measure_headwear(lab: Floats, hair: Floats, frame: FaceFrame) -> HeadwearSigns:
    """The signs that decide; separate so that they can be looked at."""
    top = (hair > 0.6) & (frame.down < frame.brow - 0.05)
    sides = (hair > 0.6) & (frame.down > 0.05) & (frame.down < frame.chin)
    colors = blur(lab, 0.006 * frame.width_px + 0.4)
    samples = colors[top]
    centres, labels = _two_tones(samples)
    main = int(np.bincount(labels, minlength=2).argmax())
    axis = centres[1] - centres[0]
    distance = float(np.linalg.norm(axis))
    position = (samples - centres[0]) @ axis / max(distance**2, 1e-6)
    middle = float(((position > 1 / 3) & (position < 2 / 3)).mean())
    texture = _local_deviation(lab[..., 0], 0.012 * frame.width_px)[top]
    other = 0.0
    if sides.sum() > 0.1 * top.sum():
        other = float(np.linalg.norm(np.median(colors[sides], 0) - np.median(samples[labels == main], 0)))
    return HeadwearSigns(
        unnatural=float(_unnatural(samples).mean()),
        tone_distance=distance,
        middle_share=middle,
        texture=float(np.median(texture[labels == main])),
        sides_distance=other,
        height=frame.brow - float(np.percentile(frame.down[top], 1)),
        width=float(np.subtract(*np.percentile(frame.across[top], [99, 1]))),
    )


def _unnatural(lab: Floats) -> Bools:
    """Colours that undyed hair does not have: blue, green, violet, strong red. [..., 3] → [...] bool."""
    a, b = lab[..., 1], lab[..., 2]
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a))
    # Natural hair lies between orange-red (35°) and yellow (100°); near grey, hue means nothing.
    outside = (hue < 30) | (hue > 110)
    return np.asarray((chroma > 12) & outside | (chroma > 55))


def _two_tones(samples: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """2-means from the 15th and 85th percentile of lightness: centres [2, 3] and labels."""
    order = samples[:, 0].argsort(kind="stable")
    centres = samples[order[[int(0.15 * (len(order) - 1)), int(0.85 * (len(order) - 1))]]]
    labels = np.zeros(len(samples), np.int64)
    for _ in range(10):
        labels = ((samples[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack([samples[labels == k].mean(0) if (labels == k).any() else centres[k] for k in (0, 1)])
    return centres, labels


def _local_deviation(lightness: Floats, sigma: float) -> Floats:
    mean = blur(lightness, sigma)
    return np.sqrt(np.maximum(blur(lightness * lightness, sigma) - mean * mean, 0)).astype(np.float32)


def _belongs_to_hat(lab: Floats, hair: Floats, top: Bools, frame: FaceFrame) -> Floats:
    """[h, w] in [0, 1]: everything like the hat's colours that hangs together with the top of the head."""
    colors = blur(lab, 0.006 * frame.width_px + 0.4)
    hat = fit_mixture(colors[top & (frame.down < frame.brow - 0.2)], 4)
    side_hair = fit_mixture(colors[(hair > 0.6) & (frame.down > 0.05) & (frame.down < frame.chin + 0.1)], 2)
    likely = np.ones(hair.shape, np.float32)
    if hat is not None and side_hair is not None:
        # Below the brows only what looks like the hat and not like the hair beside the face.
        preference = 0.5 * (hat.log_likelihood(colors) - side_hair.log_likelihood(colors)) + 4 * np.clip(
            (frame.brow - frame.down) / 0.2, -2, 2
        )
        likely = (1 / (1 + np.exp(-np.clip(preference, -20, 20)))).astype(np.float32)
    else:
        likely = smoothstep(frame.down, frame.brow + 0.1, frame.brow - 0.1)
    mask = ((likely * hair) > 0.5).astype(np.uint8)
    _, labels = cv2.connectedComponents(mask)
    counts = np.bincount(labels[top & (mask > 0)], minlength=2)
    counts[0] = 0
    return (likely * (labels == counts.argmax())).astype(np.float32)

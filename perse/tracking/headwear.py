"""Hats in the photograph. Without a trained parser a hat first looks like hair; here it is told apart.

A hat betrays itself by colours that hair does not have, by large smooth areas of very different colours with sharp
borders (hair's tones run into each other in streaks), or by hair of quite another colour coming out below it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import HardMask, SoftMask
from perse.tracking.colors import blur, fit_mixture
from perse.tracking.frame import FaceCoordinates
from perse.tracking.layered import cloth_over_hair

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

UNNATURAL_SHARE = 0.4
"""A hat if more than this share of the top of the head has colours that hair does not have (dyed hair has texture)."""
DYED_CONTRAST = 0.10
LARGE_HEIGHT, LARGE_WIDTH, LARGE_CONTRAST = 0.88, 1.55, 0.07
"""Something higher above the brows, or wider above them (face widths), is a hat if it is no rougher than this: felt.
Curls 1.72 wide and .90 high measured .11, whether they were well lit or not."""
EMPTY_MIDDLE_SHARE = 0.1
"""A hat if fewer pixels than this lie in the middle third between two very different tones."""
SURFACE_L = 26.0
"""CIELAB lightness of what any hair's surface mirrors: 4.7 % of the light (Fresnel, refractive index 1.55). Below it a
colour is that of the room, not of a pigment, and smoothness is want of light, not felt: black hair before a blue wall
was blue in .43 of its pixels, painted black hair as smooth as .036."""
TONE_DISTANCE = 55.0
"""What "very different" means: distance of the two tones in CIELAB. A white crown on a dark band reached 71; the shine
and the parting of smooth dark hair 51."""
OTHER_HAIR_DISTANCE = 40.0
OTHER_HAIR_CONTRAST = 0.06
"""Distance in CIELAB between a hat and the hair that shows below it, and the roughness that such a hat stays below."""
LAYER_SHARE, LAYER_DISTANCE = 0.55, 32.0
"""A veil or scarf if hair's tone lies inside and another tone, this far away in CIELAB, outside of it in this share of
the directions around the head."""
_SOFT_L = 8.0  # CIELAB lightness added before the logarithm, so that the noise of black is no texture


@dataclass(frozen=True)
class HeadwearSigns:
    """Measurements on the top of the head.

    Attributes:
        unnatural: share of pixels whose colour hair does not have.
        tone_distance: CIELAB distance of the two main tones.
        middle_share: share of pixels in the middle third between them.
        contrast: median local deviation of the logarithm of lightness, of the larger tone's area: hair keeps its
            strands' contrast in the dark.
        sides_distance: CIELAB distance from the top's main tone to the hair beside the face; 0 where none is seen.
        height, width: extent above the brows, face widths.
        layered: share of the directions in which the one tone lies outside of the other.
        lightness: median CIELAB lightness of the larger tone's area.
    """

    unnatural: float
    tone_distance: float
    middle_share: float
    contrast: float
    sides_distance: float
    height: float
    width: float
    layered: float
    lightness: float = 50.0

    @property
    def is_headwear(self) -> bool:
        """Verdict whether it is headwear."""
        two_tones = self.tone_distance > TONE_DISTANCE and self.middle_share < EMPTY_MIDDLE_SHARE
        other_hair = self.sides_distance > OTHER_HAIR_DISTANCE and self.contrast < OTHER_HAIR_CONTRAST
        large = self.height > LARGE_HEIGHT or self.width > LARGE_WIDTH
        return (
            (self.unnatural > UNNATURAL_SHARE and self.contrast < DYED_CONTRAST)
            or two_tones
            or other_hair
            or (large and self.contrast < LARGE_CONTRAST and self.lightness > SURFACE_L)
            or self.is_layered
        )

    @property
    def is_layered(self) -> bool:
        """Verdict whether it is a cloth over the hair, which shows inside of it."""
        return self.layered > LAYER_SHARE and self.tone_distance > LAYER_DISTANCE


def find_headwear(
    lab: Float32[np.ndarray, "h w 3"], person: SoftMask, hair: SoftMask, skin: SoftMask, frame: FaceCoordinates
) -> SoftMask:
    """Share [h, w] in [0, 1] of the person that is headwear, zeros for a bare head.

    Args:
        lab: [h, w, 3] CIELAB.
        person: [h, w] in [0, 1], the matte.
        hair: [h, w] in [0, 1], what looked like hair: hair and headwear together, zero in the background.
        skin: [h, w] in [0, 1], what looked like skin.
    """
    top = (hair > 0.6) & (frame.down < frame.brow - 0.05)
    if top.mean() < 0.002:
        return np.zeros_like(hair)
    signs = measure_headwear(lab, hair, frame)
    if not signs.is_headwear:
        return np.zeros_like(hair)
    if signs.is_layered:
        return cloth_over_hair(lab, person, skin, *_tones_by_layer(lab, hair, frame), frame)
    # Relative to the hair: the soft outline is the person's matte, which is multiplied in later.
    return _belongs_to_hat(lab, hair, top, frame) * smoothstep(hair, 0.0, 0.3)


def measure_headwear(lab: Float32[np.ndarray, "h w 3"], hair: SoftMask, frame: FaceCoordinates) -> HeadwearSigns:
    """Signs that decide; separate so that they can be looked at."""
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
    contrast = _local_deviation(np.log(lab[..., 0] + _SOFT_L), 0.012 * frame.width_px)[top]
    other = 0.0
    if sides.sum() > 0.1 * top.sum():
        other = float(np.linalg.norm(np.median(colors[sides], 0) - np.median(samples[labels == main], 0)))
    return HeadwearSigns(
        unnatural=float(_unnatural(samples).mean()),
        tone_distance=distance,
        middle_share=middle,
        contrast=float(np.median(contrast[labels == main])),
        sides_distance=other,
        height=frame.brow - float(np.percentile(frame.down[top], 1)),
        width=float(np.subtract(*np.percentile(frame.across[top], [99, 1]))),
        layered=max(_layered(side, top, frame) for side in _sides(colors, centres, top)),
        lightness=float(np.median(samples[labels == main][:, 0])),
    )


def _unnatural(lab: Float32[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Colours that undyed hair does not have: blue, green, violet, strong red. [..., 3] → [...] bool."""
    a, b = lab[..., 1], lab[..., 2]
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a))
    # Natural hair lies between orange-red (35°) and yellow (100°); near grey, hue means nothing.
    outside = (hue < 30) | (hue > 110)
    pigment = lab[..., 0] > SURFACE_L
    return np.asarray(((chroma > 12) & outside | (chroma > 55)) & pigment)


def _two_tones(samples: Float32[np.ndarray, "n 3"]) -> tuple[Floats, NDArray[np.int64]]:
    """2-means from the 15th and 85th percentile of lightness: centres [2, 3] and labels."""
    order = samples[:, 0].argsort(kind="stable")
    centres = samples[order[[int(0.15 * (len(order) - 1)), int(0.85 * (len(order) - 1))]]]
    labels = np.zeros(len(samples), np.int64)
    for _ in range(10):
        labels = ((samples[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack([samples[labels == k].mean(0) if (labels == k).any() else centres[k] for k in (0, 1)])
    return centres, labels


def _sides(colors: Floats, centres: Floats, top: Bools) -> tuple[Bools, Bools]:
    """Pixels of `top` nearer to the second tone, and to the first."""
    second = ((colors - centres[1]) ** 2).sum(-1) < ((colors - centres[0]) ** 2).sum(-1)
    return top & second, top & ~second


def _layered(outer: HardMask, top: HardMask, frame: FaceCoordinates) -> float:
    """Share of the directions above the eyes in which a tone lies outside and the other inside of it."""
    angle = np.degrees(np.arctan2(frame.across, -frame.down))
    radius = np.hypot(frame.across, frame.down)
    found = []
    for start in range(-78, 78, 12):
        ray = top & (angle >= start) & (angle < start + 12)
        if ray.sum() < 0.004 * frame.width_px**2:
            continue
        low, high = np.percentile(radius[ray], [3, 97])
        share = (radius - low) / max(high - low, 1e-3)
        inside, outside = ray & (share < 0.35), ray & (share > 0.65)
        thick = high - low > 0.12
        found.append(thick and outer[outside].mean() > 0.75 and outer[inside].mean() < 0.3)
    return float(np.mean(found)) if len(found) > 4 else 0.0


def _tones_by_layer(lab: Floats, hair: Floats, frame: FaceCoordinates) -> tuple[Bools, Bools]:
    """Pixels above the brows of the tone that lies outside, and of the one inside of it."""
    top = (hair > 0.6) & (frame.down < frame.brow - 0.05)
    colors = blur(lab, 0.006 * frame.width_px + 0.4)
    centres, _ = _two_tones(colors[top])
    second, first = _sides(colors, centres, top)
    return (second, first) if _layered(second, top, frame) >= _layered(first, top, frame) else (first, second)


def _local_deviation(lightness: SoftMask, sigma: float) -> SoftMask:
    mean = blur(lightness, sigma)
    return np.sqrt(np.maximum(blur(lightness * lightness, sigma) - mean * mean, 0)).astype(np.float32)


def _belongs_to_hat(lab: Floats, hair: Floats, top: Bools, frame: FaceCoordinates) -> Floats:
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

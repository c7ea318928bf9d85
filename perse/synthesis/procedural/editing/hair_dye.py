"""Dye of the photographed hair: a tone curve through three quantiles, chroma tied to lightness, a soft matte."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import AttributePrompt, TrackedPortrait
from perse.shapes import Colors, Field, HardMask
from perse.synthesis.procedural.attachments.hair_colors import HairColor, hair_color
from perse.synthesis.procedural.editing.canvas import blur, finish, guided_filter, to_lab, to_rgb
from perse.synthesis.procedural.editing.painted import PaintedEdit

_QUANTILES = (2.0, 50.0, 98.0)
_MIN_HAIR_PX = 50
_MATTE_EPSILON = 4e-3


def dye_hair(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """Portrait with its own hair in the prompt's colour; strands, light and shadow stay.

    Where the portrait shows no hair, nothing changes.

    Raises:
        PromptError: unknown colour.
    """
    color = hair_color(prompt.get("color", "brown"))
    image = portrait.image.astype(np.float32)
    hair = portrait.masks[Part.HAIR]
    sure = hair > 0.8
    if sure.sum() < _MIN_HAIR_PX:
        return finish(portrait, image, np.zeros_like(hair), portrait.masks)
    matte = hair_matte(portrait)
    pure = _without_rim(image, matte, sure)
    dyed = to_rgb(_dyed(to_lab(pure), sure, color))
    # A rim pixel is matte · hair + (1 − matte) · behind. Taking the old hair out and the new one in changes it by
    # matte · (new − old); the portrait's own light from behind stays as it is.
    return finish(portrait, image + (dyed - pure), matte, portrait.masks)


def hair_matte(portrait: TrackedPortrait) -> Field:
    """Alpha of the hair, [h, w]: the mask, fitted to the edges of the picture; never on eyes, nose or mouth."""
    hair = portrait.masks[Part.HAIR]
    radius = max(2, round(0.035 * portrait.face_width_px))
    guide = to_lab(portrait.image)[..., 0] / np.float32(100)
    fitted = smoothstep(guided_filter(guide, hair, radius, _MATTE_EPSILON), 0.08, 0.88)
    reach = int(2 * radius + 1)
    near = blur(cv2.dilate(hair, np.ones((reach, reach), np.uint8)), 0.5 * radius)
    features = portrait.masks.soft[[Part.EYES, Part.NOSE, Part.MOUTH, Part.BROWS]].astype(np.float32).sum(0) / 255
    alpha = np.maximum(fitted, hair) * near * (1 - np.clip(2 * blur(features, 1.0), 0, 1))
    return np.clip(alpha, 0, 1).astype(np.float32)


def _dyed(lab: Colors, sure: HardMask, color: HairColor) -> Colors:
    lightness = lab[..., 0]
    source = np.percentile(lightness[sure], _QUANTILES)
    source = source + np.array([0.0, 0.5, 1.0])  # a flat patch must not make the curve vertical
    low, middle, high = color.lightness
    darkest, brightest = max(low - 0.5 * source[0], 0.0), min(100.0, high + 0.4 * (100 - source[2]))
    curve = PchipInterpolator([-1.0, *source, 101.0], [darkest, low, middle, high, brightest])
    tone = curve(np.clip(lightness, 0, 100)).astype(np.float32)
    # Pigment shows most in the mid-tones: deep shadow and the highlight, which is the lamp's colour, are paler.
    shadow = np.clip(tone / middle, 0, 1) ** 0.8
    shine = 1 - 0.55 * smoothstep(tone, middle, 100.0)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    own = np.clip(chroma / max(float(np.median(chroma[sure])), 1.0), 0.5, 1.5) ** 0.4
    strength = shadow * shine * own
    return np.stack([tone, color.chroma[0] * strength, color.chroma[1] * strength], -1)


def _without_rim(image: Colors, matte: Field, sure: HardMask) -> Colors:
    """The picture with the background's light taken out of half-transparent hair: colours of sure hair, carried out."""
    weight = sure.astype(np.float32)
    carried, total = np.zeros_like(image), np.zeros_like(weight)
    for sigma in (1.5, 4.0, 10.0):
        share = blur(weight, sigma)
        carried += blur(image * weight[..., None], sigma) / sigma**2
        total += share / sigma**2
    inner = carried / np.maximum(total, 1e-6)[..., None]
    rim = (smoothstep(1 - matte, 0.05, 0.5) * (total > 1e-5))[..., None]
    detail = image - blur(image, 1.5)
    return np.clip(image + rim * (inner + 0.5 * detail - image), 0, 255).astype(np.float32)

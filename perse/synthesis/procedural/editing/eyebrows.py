"""Eyebrows: the old ones are lifted off the skin, new ones are drawn hair by hair along their own centre line."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import AttributePrompt, TrackedPortrait
from perse.shapes import Colors, Field, HardMask
from perse.synthesis.compositing import put_part
from perse.synthesis.procedural.editing.canvas import (
    as_field,
    as_photographed,
    blur,
    curve,
    fill_hole,
    finish,
    grain,
    lab_of,
    mix,
    polygon,
    to_rgb,
)
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.strands import Strands, draw, sample
from perse.synthesis.prompts.palette import HAIR
from perse.tracking.landmarks import LEFT_BROW_LOWER, LEFT_BROW_UPPER, NASION, RIGHT_BROW_LOWER, RIGHT_BROW_UPPER

_HALF_HEIGHT = {"thin": 0.016, "medium": 0.026, "thick": 0.040}
"""Half the height of a brow at its fullest, face widths."""

# Lift of the centre line above the chord from inner to outer end, in face widths, at fractions of the brow's length.
_LIFTS: dict[str, tuple[tuple[float, float], ...]] = {
    "straight": ((0.0, 0.0), (0.5, 0.006), (1.0, 0.0)),
    "arched": ((0.0, -0.008), (0.3, 0.03), (0.58, 0.05), (0.85, 0.03), (1.0, -0.012)),
    "angled": ((0.0, -0.018), (0.45, 0.028), (0.68, 0.05), (0.84, 0.03), (1.0, -0.003)),
    "unibrow": ((0.0, 0.0), (0.5, 0.028), (1.0, 0.0)),
}

_UPRIGHT = ((0.0, 1.5), (0.15, 0.75), (0.5, 0.3), (1.0, 0.05))
"""How steeply hairs stand, along the brow from its inner end."""
# Colour difference over 0.02 face widths along the bridge of the nose: 3.4 on bare skin, 29 with glasses (measured on
# two portraits).
_GLASSES_EDGE = 11.0


@dataclass(frozen=True)
class _Brow:
    """One brow as drawn: a centre line from the inner to the outer end, and its height along it.

    Attributes:
        line: [n, 2] pixels.
        normal: [n, 2] unit, upwards.
        half_height: [n] pixels.
    """

    line: Float32[NDArray[np.float32], "n 2"]
    normal: Float32[NDArray[np.float32], "n 2"]
    half_height: Float32[NDArray[np.float32], " n"]

    def outline(self) -> Float32[NDArray[np.float32], "m 2"]:
        reach = self.normal * self.half_height[:, None]
        return np.concatenate([self.line + reach, (self.line - reach)[::-1]])


def paint_eyebrows(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """Portrait with eyebrows of the prompt's shape, thickness and color."""
    rng = np.random.default_rng(prompt.seed)
    frame = FaceFrame(portrait)
    shape, thickness = prompt.get("shape", "straight"), prompt.get("thickness", "medium")
    color = lab_of(HAIR[prompt.get("color", "brown")]) * frame.exposure + frame.tint
    erased, cleaned = _erase(frame, rng)
    brows = _shapes(frame, shape, _HALF_HEIGHT[thickness])
    visible = 1 - np.maximum(portrait.masks[Part.HAIR], portrait.masks[Part.HEADWEAR])
    body = np.zeros(frame.shape, np.float32)
    for brow in brows:
        body = np.maximum(body, polygon(frame.shape, brow.outline(), frame.px(0.012)))
    coverage, tone = draw(frame.shape, _hairs(frame, brows, rng))
    coverage, body = coverage * visible, body * visible
    painted = _compose(frame, cleaned, color, body, coverage, tone, rng)
    drawn = smoothstep(blur(np.maximum(coverage, body), frame.px(0.006)), 0.0, 0.35)
    region = np.maximum(erased, drawn * visible)
    masks = put_part(portrait.masks, Part.SKIN, smoothstep(erased, 0.1, 0.6), (Part.BROWS,))
    alpha = smoothstep(np.maximum(coverage, body), 0.15, 0.6)
    over = (Part.SKIN, Part.EYES, Part.NOSE, Part.BACKGROUND)
    return finish(portrait, painted, region, put_part(masks, Part.BROWS, alpha, over))


def _sides(
    frame: FaceFrame,
) -> tuple[tuple[Float32[NDArray[np.float32], "5 2"], Float32[NDArray[np.float32], "5 2"]], ...]:
    """Upper and lower edge of both brows, [5, 2] pixels, outer to inner end."""
    points = frame.points
    return (
        (points[list(RIGHT_BROW_UPPER)], points[list(RIGHT_BROW_LOWER)]),
        (points[list(LEFT_BROW_UPPER)], points[list(LEFT_BROW_LOWER)]),
    )


def _erase(frame: FaceFrame, rng: np.random.Generator) -> tuple[Field, Colors]:
    """The region of the old brows, and the picture with skin in their place."""
    if _wears_glasses(frame):
        # The upper rims lie on the brows: erasing one would take the other along.
        return np.zeros(frame.shape, np.float32), frame.rgb
    near, wide = _around_old_brows(frame, 0.055), _around_old_brows(frame, 0.13)
    eyes = frame.portrait.masks[Part.EYES]
    hair = np.maximum(frame.portrait.masks[Part.HAIR], frame.portrait.masks[Part.HEADWEAR])
    clear = (1 - blur(hair, 1.0)) * smoothstep(blur(eyes, frame.px(0.015)), 0.12, 0.02)
    lightness = frame.lab[..., 0]
    surrounding = cv2.medianBlur(np.round(lightness).astype(np.uint8), 2 * (round(frame.px(0.075)) // 2) + 1)
    dark = smoothstep(surrounding - lightness, 2.0, 5.0)
    foreign = _crosses_border(dark * wide * clear > 0.5, near > 0.5)
    allowed = near * clear * (1 - foreign)
    found = np.maximum(dark, 0.5 * frame.portrait.masks[Part.BROWS]) * allowed
    erased = smoothstep(blur(found, frame.px(0.012)), 0.08, 0.35) * smoothstep(allowed, 0.0, 0.5)
    hole = (smoothstep(blur(found, frame.px(0.018)), 0.03, 0.1) * (1 - foreign) > 0.3).astype(np.float32)
    cleaned = fill_hole(frame.rgb, hole, frame.px(0.012)) + grain(frame.portrait, rng) * hole[..., None]
    return erased, cleaned


def _wears_glasses(frame: FaceFrame) -> bool:
    """Whether the bridge of glasses crosses the nose: an edge at the height of the eyes, where skin has none."""
    down, across = np.linspace(-0.1, 0.16, 53), np.linspace(-0.04, 0.04, 9)
    points = np.array([[frame.at(frame.points[NASION], u, v) for u in across] for v in down], np.float32)
    colors = sample(blur(frame.lab, 1.0), points.reshape(-1, 2)).reshape(len(down), len(across), 3).mean(1)
    edges = np.linalg.norm(colors[4:] - colors[:-4], axis=-1)
    return bool(edges.max() > _GLASSES_EDGE)


def _around_old_brows(frame: FaceFrame, reach: float) -> Field:
    """A band around the brows' landmarks, `reach` face widths up and down, a little longer than they are."""
    band = np.zeros(frame.shape, np.float32)
    for upper, lower in _sides(frame):
        center = curve((upper + lower) / 2)
        tail = center[0] + (center[0] - center[8])
        length = np.concatenate([tail[None], center])
        offset = -frame.axes[1] * frame.px(reach)
        band = np.maximum(band, polygon(frame.shape, np.concatenate([length + offset, (length - 0.8 * offset)[::-1]])))
    return band


def _crosses_border(dark: HardMask, near: HardMask) -> Field:
    """Dark things that are only partly near the brows, slightly grown: the rim of glasses, a strand, not a brow."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
    inside = np.bincount(labels[near], minlength=number)
    share = inside / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    outside = share < 0.65
    outside[0] = False
    return smoothstep(blur(outside[labels].astype(np.float32), 1.2), 0.05, 0.3)


def _shapes(frame: FaceFrame, shape: str, half_height: float) -> tuple[_Brow, ...]:
    """The brows to draw, from the inner ends outwards; a unibrow's inner ends meet in the middle."""
    inner_middle = np.mean([np.mean([edges[0][-1], edges[1][-1]], 0) for edges in _sides(frame)], 0)
    brows = []
    for upper, lower in _sides(frame):
        center = (upper + lower) / 2
        inner, outer = center[-1], center[0]
        inner = inner + (inner - outer) * 0.04
        outer = outer + (outer - inner) * 0.04
        if shape in ("straight", "unibrow"):
            # Both ends on one height, as high as the brow's middle.
            height = float((center[2] - inner) @ frame.axes[1]) * 0.55
            inner = inner + frame.axes[1] * height
            outer = outer + frame.axes[1] * float((inner - outer) @ frame.axes[1])
        if shape == "unibrow":
            inner = inner + frame.axes[0] * float((inner_middle - inner) @ frame.axes[0])
        brows.append(_brow(frame, inner, outer, shape, half_height))
    return tuple(brows)


def _brow(
    frame: FaceFrame,
    inner: Float32[NDArray[np.float32], "2"],
    outer: Float32[NDArray[np.float32], "2"],
    shape: str,
    half_height: float,
) -> _Brow:
    knots = [inner + (outer - inner) * at - frame.axes[1] * frame.px(lift) for at, lift in _LIFTS[shape]]
    line = curve(knots, 80)
    along = np.linspace(0, 1, len(line), dtype=np.float32)
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], 1)
    normal *= np.sign(normal @ -frame.axes[1])[:, None]
    blunt = 1.0 if shape == "unibrow" else 0.62
    profile = (blunt + (1 - blunt) * smoothstep(along, 0.0, 0.25)) * (1 - 0.86 * smoothstep(along, 0.45, 1.0))
    return _Brow(line, normal.astype(np.float32), as_field(frame.px(half_height) * profile))


def _hairs(frame: FaceFrame, brows: tuple[_Brow, ...], rng: np.random.Generator) -> Strands:
    """Hairs of all brows: the inner ones stand up, the upper ones lie down outwards, the lower ones up outwards."""
    parts = []
    for brow in brows:
        steps = np.linalg.norm(np.diff(brow.line, axis=0), axis=1)
        area = float((steps * brow.half_height[1:] * 2).sum())
        number = round(area * 1.15 * (160 / frame.unit) ** 0.5 + 120)
        # Positions along the brow in proportion to its height there.
        cumulative = brow.half_height.cumsum() / brow.half_height.sum()
        along = np.interp(rng.uniform(size=number), cumulative, np.arange(len(cumulative)))
        across = rng.normal(0, 0.5, number).clip(-1.1, 1.1)
        at = along.astype(int).clip(0, len(brow.line) - 2)
        tangent = brow.line[at + 1] - brow.line[at]
        tangent = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
        half = brow.half_height[at]
        roots = brow.line[at] + brow.normal[at] * (across * half * 0.86)[:, None]
        part = along / len(brow.line)
        upward = np.interp(part, *np.transpose(_UPRIGHT)) - 0.55 * across * smoothstep(part, 0.1, 0.4)
        heading = tangent + brow.normal[at] * (upward + rng.normal(0, 0.16, number))[:, None]
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        length = (0.6 * half + frame.px(0.032)) * rng.uniform(0.55, 1.25, number)
        along_hair = np.linspace(0, 1, 5)
        bend = tangent - heading
        paths = (
            roots[:, None]
            + (heading[:, None] * along_hair[None, :, None] + 0.3 * bend[:, None] * (along_hair**2)[None, :, None])
            * length[:, None, None]
        )
        tones = (0.75 + 0.4 * along_hair)[None] * (1 + rng.normal(0, 0.2, number))[:, None]
        soft_start = 0.4 + 0.6 * smoothstep(part, 0.0, 0.15)
        opacity = 0.7 * rng.uniform(0.6, 1.2, number) * soft_start
        width = rng.uniform(0.6, 0.95, number) * frame.unit / 160
        parts.append((paths, width, tones, opacity))
    paths, width, tones, opacity = (np.concatenate([part[i] for part in parts]) for i in range(4))
    return Strands.of(paths, width, tones.clip(0.3, 1.6), opacity).ordered(rng.permutation(len(paths)))


def _compose(
    frame: FaceFrame,
    cleaned: Colors,
    color: Float[NDArray[np.float32], "3"],
    body: Field,
    coverage: Field,
    tone: Field,
    rng: np.random.Generator,
) -> Colors:
    light = frame.light**0.8

    def hair_of(brightness: Field) -> Colors:
        lightness = (color[0] * brightness * light).clip(1, 96)
        chroma = brightness.clip(0.5, 1.1)
        return to_rgb(np.stack([lightness, color[1] * chroma, color[2] * chroma], -1))

    under = mix(cleaned, hair_of(np.full_like(light, 0.8)), 0.5 * body)
    painted = mix(under, hair_of(tone), coverage)
    return as_photographed(frame.portrait, painted, np.maximum(coverage, body), coverage, rng)

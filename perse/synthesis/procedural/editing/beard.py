"""Beards: where they grow, how they lie, and how long they hang; drawn strand by strand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import AttributePrompt, TrackedPortrait
from perse.synthesis.compositing import put_part, smooth_step
from perse.synthesis.procedural.editing.canvas import (
    Field,
    as_field,
    blur,
    bump,
    curve,
    distance_inside,
    finish,
    grain,
    lab_of,
    mix,
    noise,
    polygon,
    shifted,
    to_rgb,
)
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.strands import Strands, draw, gather_into_locks, grow, sample, scatter
from perse.synthesis.prompts.palette import HAIR
from perse.tracking.landmarks import JAW_LINE, LIPS_UPPER_OUTER, MOUTH_CORNERS

# A band of landmarks along each cheek, ear to mouth, above which a full beard does not grow; left and right alike.
_CHEEK_EDGE_RIGHT = (
    (127, 34, 0.6),
    (137, 123, 0.7),
    (147, 213, 0.5),
    (192, 213, 0.3),
    (192, 207, 0.35),
    (216, 212, 0.45),
)
_CHEEK_EDGE_LEFT = (
    (356, 264, 0.6),
    (366, 352, 0.7),
    (376, 433, 0.5),
    (416, 433, 0.3),
    (416, 427, 0.35),
    (436, 432, 0.45),
)
# The upper edge of a moustache from the right corner to the left: between the lip and the nose.
_MOUSTACHE_EDGE = (
    (57, 186, 0.2), (186, 216, 0.45), (92, 206, 0.3), (165, 98, 0.35), (167, 97, 0.45), (164, 2, 0.35),
    (393, 326, 0.45), (391, 327, 0.35), (322, 426, 0.3), (410, 436, 0.45), (287, 410, 0.2),
)  # fmt: skip


@dataclass(frozen=True)
class BeardCut:
    """The measures of one cut, lengths in face widths.

    Attributes:
        length: of the hair at the chin; elsewhere it is shorter.
        cheek_length: of the hair on the cheeks.
        moustache_length: of the hair on the upper lip.
        lock: width of the locks that hair gathers into; 0 for none.
        strands: number of hairs where the whole beard area is covered.
        opacity: of one hair.
        undercoat: how much the skin between the hairs is darkened.
    """

    length: float
    cheek_length: float
    moustache_length: float
    lock: float
    strands: int = 21000
    opacity: float = 0.62
    undercoat: float = 0.72


_CUTS = {
    "short": BeardCut(length=0.09, cheek_length=0.06, moustache_length=0.07, lock=0.02),
    "medium": BeardCut(length=0.24, cheek_length=0.10, moustache_length=0.10, lock=0.04),
    "long": BeardCut(length=0.62, cheek_length=0.15, moustache_length=0.15, lock=0.06),
}
_STUBBLE = BeardCut(
    length=0.017, cheek_length=0.015, moustache_length=0.015, lock=0.0, strands=13000, opacity=0.26, undercoat=0.36
)


@dataclass(frozen=True)
class _Areas:
    """Soft masks [h, w] of where hair may grow."""

    moustache: Field
    cheeks: Field
    chin: Field
    corners: Field
    under_jaw: Field
    bare: Field


def paint_beard(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """A beard of the prompt's shape, length and color. Slots: see `perse.synthesis.prompts.vocabulary(BEARD)`."""
    rng = np.random.default_rng(prompt.seed)
    frame = FaceFrame(portrait)
    shape = prompt.get("shape", "full")
    cut = _STUBBLE if shape == "stubble" else _CUTS[prompt.get("length", "medium")]
    color = lab_of(HAIR[prompt.get("color", "brown")]) + frame.tint
    areas = _areas(frame)
    density = _density(shape, areas, frame, rng)
    strands = _hairs(frame, shape, cut, density, areas, rng)
    coverage, tone = draw(frame.shape, strands)
    visible = _in_front_of(portrait) * (1 - 0.85 * frame.between_lips)
    coverage, density = coverage * visible, density * visible
    painted = _compose(frame, cut, color, density, coverage, tone, shape == "stubble", rng)
    whole = np.maximum(_feathered(coverage), density)
    beard = (1.4 * np.maximum(blur(coverage, 1.0), 0.9 * density)).clip(0, 1)
    shade = _contact_shadow(frame, coverage) * visible
    region = np.maximum(whole, smooth_step(shade, 0.0, 0.04))
    region = np.maximum(smooth_step(blur(whole, frame.px(0.012)), 0.0, 0.5), region) * visible
    replaced = tuple(part for part in Part if part not in (Part.HAIR, Part.HEADWEAR, Part.MOUTH, Part.BEARD))
    return finish(portrait, painted, region, put_part(portrait.masks, Part.BEARD, beard * (1 - frame.lips), replaced))


def _feathered(coverage: Field) -> Field:
    return np.maximum(coverage, blur(coverage, 0.8)).clip(0, 1)


def _in_front_of(portrait: TrackedPortrait) -> Field:
    """Beards lie under the hair of the head and under a hat, over everything else."""
    return 1 - np.maximum(portrait.masks[Part.HAIR], portrait.masks[Part.HEADWEAR])


def _areas(frame: FaceFrame) -> _Areas:
    points, shape = frame.points, frame.shape
    right = curve([frame.between(*edge) for edge in _CHEEK_EDGE_RIGHT])
    left = curve([frame.between(*edge) for edge in _CHEEK_EDGE_LEFT])
    jaw = points[list(JAW_LINE)]
    full = polygon(shape, np.concatenate([right, left[::-1], jaw]))
    top = curve([frame.between(*edge) for edge in _MOUSTACHE_EDGE])
    moustache = polygon(shape, np.concatenate([top, points[list(LIPS_UPPER_OUTER)][::-1]]))
    soft_lips = frame.lips
    moustache = blur(moustache, frame.px(0.006)) * (1 - soft_lips)
    below_lip = points[17]
    reach = float(np.linalg.norm(frame.chin - below_lip)) / frame.unit
    u, v = frame.fields(below_lip)
    half_mouth = float(np.linalg.norm(points[MOUTH_CORNERS[0]] - points[MOUTH_CORNERS[1]])) / frame.unit / 2
    egg = np.sqrt((u / (0.72 * half_mouth)) ** 2 + ((v - 0.62 * reach) / (0.62 * reach)) ** 2)
    chin = smooth_step(egg, 1.15, 0.8) * (1 - soft_lips)
    corners = np.zeros(shape, np.float32)
    for corner, side in ((MOUTH_CORNERS[0], 1), (MOUTH_CORNERS[1], -1)):
        cu, cv = frame.fields(points[corner])
        # A strip from the corner of the mouth down to the side of the chin.
        center = side * (0.02 - 0.11 * (cv / max(reach, 0.1)).clip(0, 1.2) ** 1.5)
        strip = smooth_step(np.abs(cu - center), 0.055, 0.03) * smooth_step(cv, -0.03, 0.02)
        corners = np.maximum(corners, strip * smooth_step(cv, 1.05 * reach, 0.75 * reach))
    outside = frame.px(0.5) - distance_inside(1 - frame.oval)
    below_jaw = smooth_step(outside, frame.px(0.40), frame.px(0.47)) * (1 - frame.oval)
    _, from_jaw = frame.fields(points[[172, 397]].mean(0))
    neck = frame.portrait.masks[Part.NECK] + frame.portrait.masks[Part.SKIN]
    under_jaw = below_jaw * smooth_step(from_jaw, 0.0, 0.08) * neck.clip(0, 1)
    bare = np.zeros(shape, np.float32)
    for side in (-1, 1):
        bare = np.maximum(bare, bump(u, side * 0.52 * half_mouth, 0.26 * half_mouth) * bump(v, 0.05, 0.055))
    return _Areas(moustache, full * (1 - soft_lips), chin, corners * (1 - soft_lips), under_jaw, bare)


def _density(shape: str, areas: _Areas, frame: FaceFrame, rng: np.random.Generator) -> Field:
    """How densely hair grows, 0..1, for one shape of beard."""
    u, _ = frame.fields(frame.chin)
    _, below_mouth = frame.fields(frame.points[list(MOUTH_CORNERS)].mean(0))
    side = np.abs(u)
    if shape == "moustache":
        area, soften = areas.moustache, 0.008
    elif shape == "goatee":
        area = np.maximum(np.maximum(areas.moustache, areas.corners), areas.chin * (1 - 0.7 * areas.bare))
        area = np.maximum(area, areas.under_jaw * smooth_step(side, 0.22, 0.1))
        soften = 0.012
    elif shape == "mutton chops":
        area = np.maximum(areas.cheeks, areas.under_jaw * 0.8) * smooth_step(side, 0.13, 0.19)
        soften = 0.014
    elif shape == "chin curtain":
        rim = smooth_step(distance_inside(frame.oval), frame.px(0.15), frame.px(0.11))
        lower = smooth_step(below_mouth, 0.13, 0.19)
        area = np.maximum(areas.cheeks * np.maximum(rim, areas.chin * lower), areas.under_jaw)
        soften = 0.014
    else:
        area = np.maximum(areas.cheeks * (1 - 0.75 * areas.bare), areas.moustache)
        area = np.maximum(area, areas.under_jaw * 0.9)
        soften = 0.026 if shape == "full" else 0.04
    _, from_ear = frame.fields(frame.points[[234, 454]].mean(0))
    sideburn = 0.1 + 0.9 * smooth_step(from_ear, -0.02, 0.22)
    patchy = (1 + 0.12 * noise(frame.shape, rng, frame.px(0.03))).clip(0.5, 1.15)
    density = blur(area, frame.px(soften)) * sideburn * patchy
    skin = sum((frame.portrait.masks[part] for part in (Part.SKIN, Part.NECK, Part.BEARD)), np.float32(0))
    return (density * (1 - blur(frame.lips, 0.8)) * np.minimum(1, 1.2 * skin)).clip(0, 1)


def _flow(frame: FaceFrame, areas: _Areas, rng: np.random.Generator) -> Field:
    """The direction in which hair lies, [h, w, 2]: down, along the jaw towards the chin, away from the philtrum."""
    u, v = frame.fields(frame.chin)
    side = np.sign(u)
    lean = smooth_step(np.abs(u), 0.03, 0.4) * (0.08 + 0.40 * smooth_step(v, -0.45, -0.2))
    # Below the jaw nothing holds the hair to the face: it hangs, drawn together only by its own weight.
    hanging = smooth_step(v, -0.16, 0.02)
    toward_chin = np.stack([-side * lean * (1 - hanging) - 0.22 * u * hanging, np.ones_like(u)], -1)
    mu, _ = frame.fields(frame.points[164])
    away = smooth_step(np.abs(mu), 0.0, 0.07)
    sweep = np.stack([np.sign(mu) * away * 1.25, np.ones_like(u)], -1)
    upper = blur(areas.moustache, frame.px(0.01))[..., None]
    local = toward_chin * (1 - upper) + sweep * upper
    unruly = np.stack([noise(frame.shape, rng, frame.px(0.03), frame.px(0.05)) for _ in range(2)], -1)
    local = local / np.linalg.norm(local, axis=-1, keepdims=True) + 0.16 * unruly
    return (local @ frame.axes).astype(np.float32)


def _lengths(frame: FaceFrame, shape: str, cut: BeardCut, areas: _Areas) -> Field:
    """Length of the hair at each root, in face widths."""
    u, v = frame.fields(frame.chin)
    # Full length along the whole front of the jaw, so that a long beard ends broad and round.
    chin = smooth_step(np.abs(u), 0.52, 0.06) * smooth_step(v, -0.38, -0.05)
    if shape == "mutton chops":
        chin = smooth_step(v, -0.5, -0.15) * 0.35
    length = cut.cheek_length + (cut.length - cut.cheek_length) * chin
    length = np.where(areas.moustache > 0.4, cut.moustache_length, length)
    if shape == "moustache":
        mu, _ = frame.fields(frame.points[164])
        # A handlebar: long towards its ends.
        length = cut.moustache_length * (0.75 + 0.9 * smooth_step(np.abs(mu), 0.05, 0.22))
    # The last row above the lip is kept short: longer hair would hang over the teeth.
    above_lip = smooth_step(blur(frame.lips, frame.px(0.03)) * areas.moustache, 0.1, 0.35)
    return (length * (1 - 0.6 * above_lip)).astype(np.float32)


def _hairs(
    frame: FaceFrame, shape: str, cut: BeardCut, density: Field, areas: _Areas, rng: np.random.Generator
) -> Strands:
    full_area = max(float((areas.cheeks + areas.moustache).sum()), 1.0)
    # A small area gets somewhat more than its share: its hair has no neighbours that lie over it.
    share = min(1.0, 1.35 * float(density.sum()) / full_area)
    # Hairs are about half a pixel wide: their number goes with the area in pixels.
    number = round(cut.strands * share * (frame.unit / 160) ** 2)
    roots = scatter(density**1.2, number, rng)
    within = sample(density, roots)
    lengths = sample(_lengths(frame, shape, cut, areas), roots) * frame.unit
    lengths *= (0.45 + 0.55 * smooth_step(within, 0.1, 0.7)) * rng.uniform(0.62, 1.12, len(roots)).astype(np.float32)
    flow = _flow(frame, areas, rng)
    joints = 4 if shape == "stubble" else 9 if cut.length < 0.2 else 14
    # Weight pulls down in the picture, whichever way the head is tilted.
    weight = np.array([0.0, 0.0 if shape == "moustache" else 0.06 if cut.length < 0.2 else 0.16])
    will = rng.normal(0, 0.05, (len(roots), 2)) + weight
    paths = grow(roots, flow, lengths, joints=joints, stiffness=0.72, drift=will)
    lock_tone: NDArray[np.floating] = np.zeros(len(roots))
    if cut.lock > 0:
        paths, lock = gather_into_locks(paths, frame.px(cut.lock), 0.55, rng)
        lock_tone = rng.normal(0, 0.10, int(lock.max(initial=0)) + 1)[lock]
    along = np.linspace(0, 1, joints)[None]
    root_to_tip = 0.66 + 0.42 * np.sqrt(along)
    tones = root_to_tip * (1 + lock_tone + rng.normal(0, 0.12, len(roots)))[:, None]
    border = 0.3 + 0.7 * smooth_step(within, 0.05, 0.6)
    width = rng.uniform(0.55, 0.95, len(roots)) * frame.unit / 160
    opacity = cut.opacity * border * rng.uniform(0.6, 1.25, len(roots))
    strands = Strands(
        paths.astype(np.float32), width.astype(np.float32), tones.clip(0.2, 1.8).astype(np.float32), opacity.clip(0, 1)
    )
    # Upper hair lies over lower hair; a little disorder hides the order.
    height = roots @ frame.axes[1] + rng.normal(0, frame.px(0.03), len(roots))
    return strands.ordered(np.argsort(-height, kind="stable"))


def _contact_shadow(frame: FaceFrame, coverage: Field) -> Field:
    """What the beard's mass takes from the light of neck and clothes below it, 0..1."""
    mass = blur(coverage, frame.px(0.03))
    return 0.38 * shifted(mass, 0, frame.px(0.035)) * (1 - coverage) * smooth_step(frame.oval, 0.9, 0.2)


def _relief(frame: FaceFrame, cut: BeardCut, coverage: Field) -> Field:
    """Brightness from the shape of the beard's mass: lit from above and from the picture's brighter side."""
    volume = blur(coverage, frame.px(0.05)) * min(cut.length, 0.3)
    height = frame.px(1.0) * (volume + 0.04 * blur(coverage, frame.px(0.02)))
    down, right = np.gradient(height)
    u, _ = frame.fields(frame.chin)
    lit = frame.oval > 0.5
    brighter_side = np.sign(np.corrcoef(frame.light[lit], u[lit])[0, 1]) if lit.any() else 0.0
    relief = 1 + 0.42 * down - 0.22 * np.float32(brighter_side) * right
    return as_field(np.clip(relief, 0.62, 1.3))


def _compose(
    frame: FaceFrame,
    cut: BeardCut,
    color: NDArray[np.float32],
    density: Field,
    coverage: Field,
    tone: Field,
    stubble: bool,
    rng: np.random.Generator,
) -> Field:
    light = blur(frame.light, frame.px(0.02)) ** 0.9
    skin = frame.lab.copy()
    skin[..., 0] *= 1 - _contact_shadow(frame, coverage)
    under = blur(density, frame.px(0.012))[..., None] * cut.undercoat
    if stubble:
        # Hair roots seen through skin: darker and greyer, of the skin's own hue.
        root_color = skin * np.array([0.62, 0.8, 0.55], np.float32)
    else:
        root_color = np.stack([0.55 * color[0] * light, *(np.full_like(light, c * 0.75) for c in color[1:])], -1)
    below = skin + (root_color - skin) * under
    brightness = tone * light * (1 if stubble else _relief(frame, cut, coverage))
    lightness = (color[0] * brightness).clip(1, 96)
    # Strands that catch the light lose colour, those in shade keep it.
    chroma = brightness.clip(0.45, 1.1) * (1 - 0.35 * smooth_step(brightness, 1.05, 1.5))
    hair = np.stack([lightness, color[1] * chroma, color[2] * chroma], -1)
    painted = to_rgb(mix(below, hair, coverage))
    # Strands are drawn sharper than any photograph shows them.
    softened = blur(painted, 0.55 * frame.unit / 160)
    painted = mix(painted, softened, (coverage + density).clip(0, 1))
    return painted + grain(frame.portrait, rng) * coverage[..., None]

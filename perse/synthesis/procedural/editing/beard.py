"""Beards: where they grow, how they lie, and how long they hang; drawn strand by strand."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import AttributePrompt, TrackedPortrait
from perse.shapes import Colors, Field, Vectors
from perse.synthesis.compositing import put_part
from perse.synthesis.procedural.editing.beard_shapes import (
    BEARD_CUTS,
    BEARD_SHAPES,
    BeardCut,
    BeardGround,
    BeardShape,
)
from perse.synthesis.procedural.editing.canvas import (
    as_field,
    as_photographed,
    blur,
    finish,
    lab_of,
    mix,
    noise,
    shifted,
    to_rgb,
)
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.strands import Strands, draw, gather_into_locks, grow, sample, scatter
from perse.synthesis.prompts.palette import HAIR


def paint_beard(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """Portrait with a beard of the prompt's shape, length and color. Slots: see
    `perse.synthesis.prompts.vocabulary(BEARD)`."""
    rng = np.random.default_rng(prompt.seed)
    frame = FaceFrame(portrait)
    shape = BEARD_SHAPES[prompt.get("shape", "full")]
    cut = shape.cut or BEARD_CUTS[prompt.get("length", "medium")]
    color = lab_of(HAIR[prompt.get("color", "brown")]) * frame.exposure + frame.tint
    ground = BeardGround.of(frame)
    density = _density(shape, ground, frame, rng)
    strands = _hairs(frame, shape, cut, density, ground, rng)
    coverage, tone = draw(frame.shape, strands)
    # Beards lie under the hair of the head and under a hat, over everything else.
    visible = (1 - np.maximum(portrait.masks[Part.HAIR], portrait.masks[Part.HEADWEAR])) * (
        1 - 0.85 * frame.between_lips
    )
    coverage, density = coverage * visible, density * visible
    painted = _compose(frame, cut, color, density, coverage, tone, rng)
    feathered = np.maximum(coverage, blur(coverage, 0.8)).clip(0, 1)
    whole = np.maximum(feathered, density)
    beard = (1.4 * np.maximum(blur(coverage, 1.0), 0.9 * density)).clip(0, 1)
    shade = _contact_shadow(frame, coverage) * visible
    region = np.maximum(whole, smoothstep(shade, 0.0, 0.04))
    region = np.maximum(smoothstep(blur(whole, frame.px(0.012)), 0.0, 0.5), region) * visible
    replaced = tuple(part for part in Part if part not in (Part.HAIR, Part.HEADWEAR, Part.MOUTH, Part.BEARD))
    return finish(portrait, painted, region, put_part(portrait.masks, Part.BEARD, beard * (1 - frame.lips), replaced))


def _density(shape: BeardShape, ground: BeardGround, frame: FaceFrame, rng: np.random.Generator) -> Field:
    """How densely hair grows, 0..1, for one shape of beard."""
    _, from_ear = frame.fields(frame.points[[234, 454]].mean(0))
    sideburn = 0.1 + 0.9 * smoothstep(from_ear, -0.02, 0.22)
    patchy = (1 + 0.12 * noise(frame.shape, rng, frame.px(0.03))).clip(0.5, 1.15)
    density = blur(shape.area(ground), frame.px(shape.soften)) * sideburn * patchy
    skin = sum((frame.portrait.masks[part] for part in (Part.SKIN, Part.NECK, Part.BEARD)), np.float32(0))
    return (density * (1 - blur(frame.lips, 0.8)) * np.minimum(1, 1.2 * skin)).clip(0, 1)


def _flow(frame: FaceFrame, ground: BeardGround, rng: np.random.Generator) -> Vectors:
    """The direction in which hair lies, [h, w, 2]: down, along the jaw towards the chin, away from the philtrum."""
    u, v = ground.u, ground.v
    side = np.sign(u)
    lean = smoothstep(np.abs(u), 0.03, 0.4) * (0.08 + 0.40 * smoothstep(v, -0.45, -0.2))
    # Below the jaw nothing holds the hair to the face: it hangs, drawn together only by its own weight.
    hanging = smoothstep(v, -0.16, 0.02)
    toward_chin = np.stack([-side * lean * (1 - hanging) - 0.22 * u * hanging, np.ones_like(u)], -1)
    mu = ground.from_philtrum
    away = smoothstep(np.abs(mu), 0.0, 0.07)
    sweep = np.stack([np.sign(mu) * away * 1.25, np.ones_like(u)], -1)
    upper = blur(ground.moustache, frame.px(0.01))[..., None]
    local = toward_chin * (1 - upper) + sweep * upper
    unruly = np.stack([noise(frame.shape, rng, frame.px(0.03), frame.px(0.05)) for _ in range(2)], -1)
    local = local / np.linalg.norm(local, axis=-1, keepdims=True) + 0.16 * unruly
    return (local @ frame.axes).astype(np.float32)


def _lengths(frame: FaceFrame, shape: BeardShape, cut: BeardCut, ground: BeardGround) -> Field:
    """Length of the hair at each root, in face widths."""
    # The last row above the lip is kept short: longer hair would hang over the teeth.
    above_lip = smoothstep(blur(frame.lips, frame.px(0.03)) * ground.moustache, 0.1, 0.35)
    return (shape.lengths(ground, cut) * (1 - 0.6 * above_lip)).astype(np.float32)


def _hairs(
    frame: FaceFrame, shape: BeardShape, cut: BeardCut, density: Field, ground: BeardGround, rng: np.random.Generator
) -> Strands:
    full_area = max(float((ground.cheeks + ground.moustache).sum()), 1.0)
    # A small area gets somewhat more than its share: its hair has no neighbours that lie over it.
    share = min(1.0, 1.35 * float(density.sum()) / full_area)
    # Hairs are about half a pixel wide: their number goes with the area in pixels.
    number = round(cut.strands * share * (frame.unit / 160) ** 2)
    roots = scatter(density**1.2, number, rng)
    within = sample(density, roots)
    lengths = sample(_lengths(frame, shape, cut, ground), roots) * frame.unit
    lengths *= (0.45 + 0.55 * smoothstep(within, 0.1, 0.7)) * rng.uniform(0.62, 1.12, len(roots)).astype(np.float32)
    flow = _flow(frame, ground, rng)
    # Weight pulls down in the picture, whichever way the head is tilted.
    weight = np.array([0.0, shape.hangs * cut.weight])
    will = rng.normal(0, 0.05, (len(roots), 2)) + weight
    paths = grow(roots, flow, lengths, joints=cut.joints, stiffness=0.72, drift=will)
    lock_tone: NDArray[np.floating] = np.zeros(len(roots))
    if cut.lock > 0:
        paths, lock = gather_into_locks(paths, frame.px(cut.lock), 0.55, rng)
        lock_tone = rng.normal(0, 0.10, int(lock.max(initial=0)) + 1)[lock]
    along = np.linspace(0, 1, cut.joints)[None]
    root_to_tip = 0.66 + 0.42 * np.sqrt(along)
    tones = root_to_tip * (1 + lock_tone + rng.normal(0, 0.12, len(roots)))[:, None]
    border = 0.3 + 0.7 * smoothstep(within, 0.05, 0.6)
    width = rng.uniform(0.55, 0.95, len(roots)) * frame.unit / 160
    opacity = cut.opacity * border * rng.uniform(0.6, 1.25, len(roots))
    # Upper hair lies over lower hair; a little disorder hides the order.
    height = roots @ frame.axes[1] + rng.normal(0, frame.px(0.03), len(roots))
    return Strands.of(paths, width, tones.clip(0.2, 1.8), opacity).ordered(np.argsort(-height, kind="stable"))


def _contact_shadow(frame: FaceFrame, coverage: Field) -> Field:
    """What the beard's mass takes from the light of neck and clothes below it, 0..1."""
    mass = blur(coverage, frame.px(0.03))
    return 0.38 * shifted(mass, 0, frame.px(0.035)) * (1 - coverage) * smoothstep(frame.oval, 0.9, 0.2)


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
    color: Float[NDArray[np.float32], "3"],
    density: Field,
    coverage: Field,
    tone: Field,
    rng: np.random.Generator,
) -> Colors:
    light = blur(frame.light, frame.px(0.02)) ** 0.9
    skin = frame.lab.copy()
    skin[..., 0] *= 1 - _contact_shadow(frame, coverage)
    under = blur(density, frame.px(0.012))[..., None] * cut.undercoat
    if cut.in_skin:
        # Hair roots seen through skin: darker and greyer, of the skin's own hue.
        root_color = skin * np.array([0.62, 0.8, 0.55], np.float32)
    else:
        root_color = np.stack([0.55 * color[0] * light, *(np.full_like(light, c * 0.75) for c in color[1:])], -1)
    below = skin + (root_color - skin) * under
    brightness = tone * light * (1 if cut.in_skin else _relief(frame, cut, coverage))
    lightness = (color[0] * brightness).clip(1, 96)
    # Strands that catch the light lose colour, those in shade keep it.
    chroma = brightness.clip(0.45, 1.1) * (1 - 0.35 * smoothstep(brightness, 1.05, 1.5))
    hair = np.stack([lightness, color[1] * chroma, color[2] * chroma], -1)
    painted = to_rgb(mix(below, hair, coverage))
    return as_photographed(frame.portrait, painted, (coverage + density).clip(0, 1), coverage, rng)

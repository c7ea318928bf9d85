"""Clothes: the old garment is taken away, the neck continued to where the new one needs it, a new one drawn."""

from __future__ import annotations

import cv2
import numpy as np

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import AttributePrompt, PartMasks, TrackedPortrait
from perse.shapes import Colors, Field
from perse.synthesis.compositing import put_part
from perse.synthesis.procedural.editing.body_frame import BELOW, NECK_PIT, SHOULDER, BodyFrame, Corners
from perse.synthesis.procedural.editing.canvas import (
    as_photographed,
    blur,
    bump,
    curve,
    fill_hole,
    finish,
    grain,
    mix,
    to_rgb,
)
from perse.synthesis.procedural.editing.cloth import Cloth
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.garments import GARMENTS, Garment, Sewing
from perse.synthesis.procedural.editing.painted import PaintedEdit

_IN_FRONT = (
    Part.SKIN, Part.BROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.EARS, Part.HAIR, Part.BEARD,
    Part.HEADWEAR, Part.HEADPHONES, Part.EARRINGS,
)  # fmt: skip
"""What clothes never cover."""
_NECK: Corners = (
    (1, 0, -0.34), (1, -0.01, 0.02), (1, 0.05, 0.17), (1, 0.26, 0.30), (0, 0.85, 0.38), (0, 0.9, 0.9),
)  # fmt: skip
"""Right half of the skin from the chin down to the chest."""
_SILHOUETTE: Corners = (
    (0, 0.0, -0.30), (1, -0.03, -0.30), (1, 0.0, 0.02), (1, 0.10, 0.20), (0, 0.78, 0.345),
    (0, SHOULDER[0] - 0.08, SHOULDER[1] - 0.07), (0, SHOULDER[0] + 0.14, SHOULDER[1] + 0.18),
    (0, SHOULDER[0] + 0.27, SHOULDER[1] + 0.62), (0, SHOULDER[0] + 0.34, BELOW),
)  # fmt: skip
"""Right half of a tight garment: neck, shoulder, arm."""
_LOOSER = ((0, 0), (0, 0), (0, 0), (0, -1), (0, -1), (1, -0.5), (1, 0), (1.4, 0), (1.4, 0))
"""Where its corners go as it gets looser."""
_SHORTEST = SHOULDER[1] + 0.7
"""v at which arms end at the earliest."""


def paint_clothes(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """Portrait in the prompt's garment with its color, pattern, accent and collar."""
    rng = np.random.default_rng(prompt.seed)
    frame = FaceFrame(portrait)
    body = BodyFrame(frame)
    cut = GARMENTS[prompt.get("garment", "t-shirt")]
    opening = cut.collars.get(prompt.get("collar"), cut.opening).area(body)
    silhouette = _silhouette(body, cut.loose)
    front = _in_front(portrait, body)
    garment = Garment(
        body=body,
        cloth=Cloth(body, silhouette, prompt.seed),
        opening=opening,
        color=prompt.get("color", "navy"),
        accent=prompt.get("accent"),
        pattern=prompt.get("pattern", "plain"),
    )
    bare, gone = _undress(frame, front)
    neck_picture, neck = _neck(body, bare, opening, front, rng)
    sewn = cut.tailor(garment, Sewing(neck_picture, np.zeros(frame.shape, np.float32), 1 - front))
    painted = as_photographed(portrait, sewn.picture, sewn.alpha, sewn.alpha, rng, sharpness=0.5)
    changed = np.maximum.reduce([gone, neck, sewn.alpha, _neck_shadow_zone(body, front)])
    region = smoothstep(blur(changed, 1.0), 0.0, 0.4) * (1 - smoothstep(front, 0.6, 0.98))
    return finish(portrait, painted, region, _masks(portrait.masks, gone, neck, sewn.alpha))


def take_off_clothes(portrait: TrackedPortrait, covered: Field) -> PaintedEdit:
    """Portrait without its garment: background where it hung, skin where the neck goes on.

    Args:
        covered: [h, w] in 0..1, where another garment will lie: no skin is painted below it.
    """
    rng = np.random.default_rng(0)
    frame = FaceFrame(portrait)
    body = BodyFrame(frame)
    front = _in_front(portrait, body)
    bare, gone = _undress(frame, front)
    picture, neck = _neck(body, bare, 1 - covered, front, rng)
    region = smoothstep(blur(np.maximum(gone, neck), 1.0), 0.0, 0.4) * (1 - smoothstep(front, 0.6, 0.98))
    return finish(portrait, picture, region, _masks(portrait.masks, gone, neck, np.zeros_like(gone)))


def _in_front(portrait: TrackedPortrait, body: BodyFrame) -> Field:
    total = portrait.masks.soft[list(_IN_FRONT)].astype(np.float32).sum(0) / 255
    # A rim of the old garment may pass for skin: skin is never as thin as a thread.
    skin = portrait.masks[Part.SKIN] + portrait.masks[Part.EARS]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    threads = skin - cv2.dilate(cv2.morphologyEx(skin, cv2.MORPH_OPEN, kernel), np.ones((3, 3)))
    total = total - threads.clip(0, 1)
    # Dark cloth beside the neck is easily taken for hair: only hair that hangs together with the head's counts.
    hair = portrait.masks[Part.HAIR]
    number, labels = cv2.connectedComponents((hair > 0.4).astype(np.uint8))
    if number > 1:
        sizes = np.bincount(labels[body.v < -0.3], minlength=number)
        sizes[0] = 0
        loose = (labels > 0) & (labels != sizes.argmax()) & (body.v > -0.35)
        total = total - hair * blur(loose.astype(np.float32), 1.5).clip(0, 0.5) * 2
    return total.clip(0, 1).astype(np.float32)


def _masks(old: PartMasks, gone: Field, neck: Field, garment: Field) -> PartMasks:
    dressed_parts = (Part.CLOTHES, Part.NECK, Part.BACKGROUND, Part.HAIR)
    masks = put_part(old, Part.BACKGROUND, gone, (Part.CLOTHES, Part.NECK, Part.HAIR, Part.SKIN, Part.EARS))
    masks = put_part(masks, Part.NECK, neck, dressed_parts)
    return put_part(masks, Part.CLOTHES, garment, dressed_parts)


def _photographed_neck(frame: FaceFrame) -> Field:
    """Neck pixels that are skin through and through: none from its outline, where the old collar shines in."""
    neck = frame.portrait.masks[Part.NECK] + frame.portrait.masks[Part.SKIN]
    return smoothstep(blur(smoothstep(neck, 0.6, 0.95), frame.px(0.018)), 0.6, 0.95)


def _undress(frame: FaceFrame, front: Field) -> tuple[Colors, Field]:
    """The picture without the old clothes, the background continued behind them; and where they were."""
    person = frame.portrait.masks.person.astype(np.float32) / 255
    gone = smoothstep(blur(person * (1 - front), frame.px(0.02)), 0.01, 0.15) * _below_ears(frame)
    gone = gone * (1 - front) * (1 - _photographed_neck(frame))
    around = blur((person > 0.08).astype(np.float32), frame.px(0.02))
    hole = np.maximum(smoothstep(around, 0.0, 0.2), gone)
    return mix(frame.rgb, fill_hole(frame.rgb, hole, frame.px(0.03), 6), gone), gone


def _below_ears(frame: FaceFrame) -> Field:
    """Where clothes may be: not around the upper head, whose soft outline is the hair's own."""
    _, v = frame.fields(frame.points[[234, 454]].mean(0))
    return smoothstep(v, 0.0, 0.12)


def _silhouette(body: BodyFrame, loose: float) -> Field:
    """Neck, shoulders and arms; loose garments are wider than tight ones."""
    right = np.array(body.corners(_SILHOUETTE)) + loose * np.array(_LOOSER)
    right[-1, 1] = max(right[-1, 1], _SHORTEST)
    outline = np.concatenate([right[:2], curve(right[1:], 80)[1:]])
    return body.area(np.concatenate([outline, body.mirrored(outline)[::-1]]))


def _neck(
    body: BodyFrame, picture: Colors, opening: Field, front: Field, rng: np.random.Generator
) -> tuple[Colors, Field]:
    """The picture with skin drawn down to the opening's edge, and the mask of the whole neck."""
    trunk = body.symmetric(body.corners(_NECK), 0.004) * smoothstep(body.v, -0.34, -0.25)
    photographed = _photographed_neck(body.face) * (1 - front)
    seen = trunk * opening * (1 - front)
    skin = _skin(body, photographed, rng)
    # The photograph is laid over the drawn skin, not beside it: no background may shine through the seam.
    whole = mix(mix(picture, skin, seen), body.face.rgb, seen * photographed)
    return whole, np.maximum(seen, photographed * opening)


def _skin(body: BodyFrame, photographed: Field, rng: np.random.Generator) -> Colors:
    """Neck and collar bones: at the rim of the visible neck in its colours, farther down in the face's."""
    face = body.face
    of_face = face.portrait.masks[Part.SKIN] > 0.9
    face_color = np.median(face.lab[of_face], 0) if of_face.any() else np.array([65.0, 14.0, 18.0])
    core = (photographed > 0.9) & (body.v > -0.25)
    enough = core.sum() > face.px(0.1) ** 2
    neck_color = np.median(face.lab[core], 0) if enough else face_color * np.array([0.88, 1, 1])
    u, v = np.abs(body.u) / body.neck_half_width, body.v
    # Under the chin the neck is in shade, on the chest it is lit like the face.
    lift = smoothstep(v, 0.05, 0.34)[..., None]
    color = neck_color + (face_color * np.array([0.95, 1, 1]) - neck_color) * lift
    if enough:
        weight = smoothstep(photographed, 0.7, 1.0) * smoothstep(v, -0.3, -0.2)
        near = blur(face.lab * weight[..., None], face.px(0.05))
        total = blur(weight, face.px(0.05))
        color = mix(color.astype(np.float32), near / np.maximum(total, 1e-4)[..., None], smoothstep(total, 0.0, 0.35))
    lightness = color[..., 0] * (1 - 0.14 * u.clip(0, 1.2) ** 3 * (1 - lift[..., 0]))
    pit = bump(v, NECK_PIT, 0.05) * bump(body.u, 0, 0.07)
    muscles = bump(np.abs(body.u) - 0.08 - 0.55 * (NECK_PIT - v).clip(0, 0.5), 0, 0.04) * smoothstep(v, 0.45, 0.2)
    bones = bump(v - NECK_PIT - 0.02 + 0.10 * np.abs(body.u), 0, 0.035) * smoothstep(np.abs(body.u), 0.06, 0.18)
    lightness = lightness - 7 * pit + 2.5 * muscles + 3.5 * bones
    lab = np.concatenate([lightness[..., None], color[..., 1:]], -1).astype(np.float32)
    return to_rgb(lab) + grain(face.portrait, rng)


def _neck_shadow_zone(body: BodyFrame, front: Field) -> Field:
    """Where a collar may throw its shadow on the neck."""
    near = smoothstep(np.abs(body.u), body.neck_half_width + 0.1, body.neck_half_width)
    return near * smoothstep(body.v, -0.2, -0.1) * smoothstep(body.v, 0.9, 0.8) * (1 - front)

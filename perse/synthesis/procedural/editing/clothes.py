"""Clothes: the old garment is taken away, the neck continued to where the new one needs it, a new one drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perse.attributes import Part
from perse.data import AttributePrompt, PartMasks, TrackedPortrait
from perse.synthesis.compositing import put_part, smooth_step
from perse.synthesis.procedural.editing.body_frame import NECK_PIT, SHOULDER, BodyFrame
from perse.synthesis.procedural.editing.canvas import (
    Field,
    blur,
    bump,
    curve,
    distance_inside,
    fill_hole,
    finish,
    grain,
    line,
    mix,
    shifted,
    to_rgb,
)
from perse.synthesis.procedural.editing.cloth import Cloth, color_of, dyed, rounded
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.painted import PaintedEdit

_IN_FRONT = (
    Part.SKIN, Part.BROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.EARS, Part.HAIR, Part.BEARD,
    Part.HEADWEAR, Part.HEADPHONES, Part.EARRINGS,
)  # fmt: skip
"""What clothes never cover."""


@dataclass(frozen=True)
class _Sewing:
    """A picture while a garment is being put on.

    Attributes:
        picture: [h, w, 3] with what has been drawn so far.
        alpha: [h, w] where the garment covers.
        free: [h, w] 1 where the garment may be seen: not behind head and hair.
    """

    picture: Field
    alpha: Field
    free: Field

    def lay(self, rgb: Field, mask: Field, shadow_px: float = 0.0, darkness: float = 0.5) -> _Sewing:
        """Another piece of cloth on top, with the shadow that it throws on what lies below."""
        picture = self.picture
        if shadow_px > 0:
            cast = shifted(blur(mask, shadow_px), 0.3 * shadow_px, 0.8 * shadow_px) * (1 - mask) * self.free
            picture = picture * (1 - darkness * cast[..., None])
        seen = mask * self.free
        return replace(self, picture=mix(picture, rgb, seen), alpha=np.maximum(self.alpha, seen))

    def shade(self, amount: Field) -> _Sewing:
        """Darken what has been drawn so far."""
        return replace(self, picture=self.picture * (1 - (amount * self.free).clip(0, 1))[..., None])


@dataclass(frozen=True)
class _Roll:
    """Skin down to a collar that closes around the neck."""

    def area(self, body: BodyFrame) -> Field:
        return smooth_step(body.v - 0.055 + 0.10 * (body.u / body.neck_half_width) ** 2, 0.012, -0.012)


@dataclass(frozen=True)
class _Placket:
    """Skin between two straight edges that meet `depth` face widths below the chin line."""

    depth: float

    def area(self, body: BodyFrame) -> Field:
        neck = body.neck_half_width
        return body.area(
            [(-neck - 0.06, -0.4), (-neck - 0.03, 0.06), (0, self.depth), (neck + 0.03, 0.06), (neck + 0.06, -0.4)]
        )


@dataclass(frozen=True)
class _Vee:
    """Skin between two curved edges that meet on the chest."""

    def area(self, body: BodyFrame) -> Field:
        neck = body.neck_half_width
        right = curve([(neck + 0.13, -0.3), (neck + 0.12, 0.12), (0.27, 0.46), (0.0, 0.80)], 40)
        return body.area(np.concatenate([right, body.mirrored(right)[::-1]]))


@dataclass(frozen=True)
class _Round:
    """Skin in an ellipse: how far down, and how much wider than the neck on each side, face widths."""

    depth: float
    wider: float

    def area(self, body: BodyFrame) -> Field:
        """[h, w] soft mask; its upper end is hidden by the head."""
        above = -0.25
        ellipse = np.hypot(body.u / (body.neck_half_width + self.wider), (body.v - above) / (self.depth - above))
        return smooth_step(ellipse, 1.012, 0.988)


_Opening = _Roll | _Placket | _Vee | _Round


@dataclass(frozen=True)
class _Cut:
    """A kind of garment.

    Attributes:
        tailor: draws it.
        opening: where skin is seen above it.
        loose: how far it stands off the shoulders, face widths; about half as much more at the arms.
        collars: openings of collars that the prompt may ask for instead.
    """

    tailor: Callable[[_Garment, _Sewing], _Sewing]
    opening: _Opening
    loose: float = 0.0
    collars: Mapping[str, _Opening] = field(default_factory=dict)


@dataclass(frozen=True)
class _Garment:
    """What the prompt asks for, with the tools to draw it."""

    body: BodyFrame
    cloth: Cloth
    opening: Field
    color: str
    accent: str
    pattern: str


def paint_clothes(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """The prompt's garment with its color, pattern, accent and collar."""
    rng = np.random.default_rng(prompt.seed)
    frame = FaceFrame(portrait)
    body = BodyFrame(frame)
    cut = _CUTS[prompt.get("garment", "t-shirt")]
    opening = cut.collars.get(prompt.get("collar"), cut.opening).area(body)
    silhouette = _silhouette(body, cut.loose)
    front = _in_front(portrait, body)
    garment = _Garment(
        body=body,
        cloth=Cloth(body, silhouette, prompt.seed),
        opening=opening,
        color=prompt.get("color", "navy"),
        accent=prompt.get("accent"),
        pattern=prompt.get("pattern", "plain"),
    )
    bare, gone = _undress(frame, front)
    neck_picture, neck = _neck(body, bare, opening, front, rng)
    sewn = cut.tailor(garment, _Sewing(neck_picture, np.zeros(frame.shape, np.float32), 1 - front))
    softened = blur(sewn.picture, 0.5 * frame.unit / 160)
    painted = mix(sewn.picture, softened, sewn.alpha) + grain(portrait, rng) * sewn.alpha[..., None]
    changed = np.maximum.reduce([gone, neck, sewn.alpha, _neck_shadow_zone(body, front)])
    region = smooth_step(blur(changed, 1.0), 0.0, 0.4) * (1 - smooth_step(front, 0.6, 0.98))
    return finish(portrait, painted, region, _masks(portrait.masks, gone, neck, sewn.alpha))


def take_off_clothes(portrait: TrackedPortrait, covered: Field) -> PaintedEdit:
    """The portrait without its garment: background where it hung, skin where the neck goes on.

    Args:
        covered: [h, w] in 0..1, where another garment will lie: no skin is painted below it.
    """
    rng = np.random.default_rng(0)
    frame = FaceFrame(portrait)
    body = BodyFrame(frame)
    front = _in_front(portrait, body)
    bare, gone = _undress(frame, front)
    picture, neck = _neck(body, bare, 1 - covered, front, rng)
    region = smooth_step(blur(np.maximum(gone, neck), 1.0), 0.0, 0.4) * (1 - smooth_step(front, 0.6, 0.98))
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
    return smooth_step(blur(smooth_step(neck, 0.6, 0.95), frame.px(0.018)), 0.6, 0.95)


def _undress(frame: FaceFrame, front: Field) -> tuple[Field, Field]:
    """The picture without the old clothes, the background continued behind them; and where they were."""
    person = frame.portrait.masks.person.astype(np.float32) / 255
    gone = smooth_step(blur(person * (1 - front), frame.px(0.02)), 0.01, 0.15) * _below_ears(frame)
    gone = gone * (1 - front) * (1 - _photographed_neck(frame))
    around = blur((person > 0.08).astype(np.float32), frame.px(0.02))
    hole = np.maximum(smooth_step(around, 0.0, 0.2), gone)
    return mix(frame.rgb, fill_hole(frame.rgb, hole, frame.px(0.03), 6), gone), gone


def _below_ears(frame: FaceFrame) -> Field:
    """Where clothes may be: not around the upper head, whose soft outline is the hair's own."""
    _, v = frame.fields(frame.points[[234, 454]].mean(0))
    return smooth_step(v, 0.0, 0.12)


def _silhouette(body: BodyFrame, loose: float) -> Field:
    """Neck, shoulders and arms; loose garments are wider than tight ones."""
    neck = body.neck_half_width
    right = [
        (0.0, -0.30),
        (neck - 0.03, -0.30),
        (neck + 0.00, 0.02),
        (neck + 0.10, 0.20 - loose),
        (0.78, 0.345 - loose),
        (SHOULDER[0] - 0.08 + loose, SHOULDER[1] - 0.07 - 0.5 * loose),
        (SHOULDER[0] + 0.14 + loose, SHOULDER[1] + 0.18),
        (SHOULDER[0] + 0.27 + 1.4 * loose, SHOULDER[1] + 0.62),
        (SHOULDER[0] + 0.34 + 1.4 * loose, max(body.bottom, SHOULDER[1] + 0.7)),
    ]
    outline = np.concatenate([np.array(right[:2]), curve(right[1:], 80)[1:]])
    return body.area(np.concatenate([outline, body.mirrored(outline)[::-1]]))


def _neck(
    body: BodyFrame, picture: Field, opening: Field, front: Field, rng: np.random.Generator
) -> tuple[Field, Field]:
    """The picture with skin drawn down to the opening's edge, and the mask of the whole neck."""
    half = body.neck_half_width
    right = [(half, -0.34), (half - 0.01, 0.02), (half + 0.05, 0.17), (half + 0.26, 0.30), (0.85, 0.38), (0.9, 0.9)]
    trunk = body.symmetric(right, 0.004) * smooth_step(body.v, -0.34, -0.25)
    photographed = _photographed_neck(body.face) * (1 - front)
    seen = trunk * opening * (1 - front)
    skin = _skin(body, photographed, rng)
    # The photograph is laid over the drawn skin, not beside it: no background may shine through the seam.
    whole = mix(mix(picture, skin, seen), body.face.rgb, seen * photographed)
    return whole, np.maximum(seen, photographed * opening)


def _skin(body: BodyFrame, photographed: Field, rng: np.random.Generator) -> Field:
    """Neck and collar bones: at the rim of the visible neck in its colours, farther down in the face's."""
    face = body.face
    of_face = face.portrait.masks[Part.SKIN] > 0.9
    face_color = np.median(face.lab[of_face], 0) if of_face.any() else np.array([65.0, 14.0, 18.0])
    core = (photographed > 0.9) & (body.v > -0.25)
    enough = core.sum() > face.px(0.1) ** 2
    neck_color = np.median(face.lab[core], 0) if enough else face_color * np.array([0.88, 1, 1])
    u, v = np.abs(body.u) / body.neck_half_width, body.v
    # Under the chin the neck is in shade, on the chest it is lit like the face.
    lift = smooth_step(v, 0.05, 0.34)[..., None]
    color = neck_color + (face_color * np.array([0.95, 1, 1]) - neck_color) * lift
    if enough:
        weight = smooth_step(photographed, 0.7, 1.0) * smooth_step(v, -0.3, -0.2)
        near = blur(face.lab * weight[..., None], face.px(0.05))
        total = blur(weight, face.px(0.05))
        color = mix(color.astype(np.float32), near / np.maximum(total, 1e-4)[..., None], smooth_step(total, 0.0, 0.35))
    lightness = color[..., 0] * (1 - 0.14 * u.clip(0, 1.2) ** 3 * (1 - lift[..., 0]))
    pit = bump(v, NECK_PIT, 0.05) * bump(body.u, 0, 0.07)
    muscles = bump(np.abs(body.u) - 0.08 - 0.55 * (NECK_PIT - v).clip(0, 0.5), 0, 0.04) * smooth_step(v, 0.45, 0.2)
    bones = bump(v - NECK_PIT - 0.02 + 0.10 * np.abs(body.u), 0, 0.035) * smooth_step(np.abs(body.u), 0.06, 0.18)
    lightness = lightness - 7 * pit + 2.5 * muscles + 3.5 * bones
    lab = np.concatenate([lightness[..., None], color[..., 1:]], -1).astype(np.float32)
    return to_rgb(lab) + grain(face.portrait, rng)


def _neck_shadow_zone(body: BodyFrame, front: Field) -> Field:
    """Where a collar may throw its shadow on the neck."""
    near = smooth_step(np.abs(body.u), body.neck_half_width + 0.1, body.neck_half_width)
    return near * smooth_step(body.v, -0.2, -0.1) * smooth_step(body.v, 0.9, 0.8) * (1 - front)


def _panel(garment: _Garment, sewing: _Sewing) -> _Sewing:
    """The body of the garment: everything of its silhouette but the opening."""
    cloth = garment.cloth
    mask = cloth.silhouette * (1 - garment.opening)
    fabric = dyed(cloth, garment.pattern, garment.color, garment.accent)
    return sewing.lay(cloth.render(fabric), mask, garment.body.face.px(0.022), 0.55)


def _t_shirt(garment: _Garment, sewing: _Sewing) -> _Sewing:
    sewn = _panel(garment, sewing)
    body, cloth = garment.body, garment.cloth
    px = body.face.px
    outside = (1 - distance_inside(1 - garment.opening) / px(0.075)).clip(0, 1)
    rib = smooth_step(outside, 0.0, 0.06) * (1 - garment.opening) * cloth.silhouette
    angle = np.arctan2(body.v + 0.25, body.u)
    ribs = 0.93 + 0.09 * np.sin(angle * 150)
    name = garment.accent if garment.pattern == "striped" and garment.accent else garment.color
    seam = smooth_step(outside, 0.0, 0.10) * smooth_step(outside, 0.28, 0.12)
    tone = rounded(rib, px(0.035), 0.8) * ribs * (1 - 0.35 * seam) * (0.75 + 0.25 * cloth.shading)
    return sewn.lay(cloth.render(color_of(name), tone.astype(np.float32)), rib)


def _turtleneck(garment: _Garment, sewing: _Sewing) -> _Sewing:
    sewn = _panel(garment, sewing)
    body, cloth = garment.body, garment.cloth
    half = body.neck_half_width + 0.045
    right = [
        (half - 0.015, -0.16),
        (half, 0.05),
        (half + 0.035, 0.27),
        (half - 0.02, 0.37),
        (0.22, 0.455),
        (0.0, 0.475),
    ]
    roll = body.symmetric(right) * (1 - garment.opening)
    around = (body.u / half).clip(-0.99, 0.99)
    ribs = 0.94 + 0.11 * np.sin(np.arcsin(around) * 46)
    barrel = 0.5 + 0.56 * np.sqrt(1.03 - around**2) - 0.10 * around
    fold = bump(body.v - 0.20 - 0.10 * (1 - around**2), 0, 0.028)
    top = bump(body.v - 0.055 + 0.10 * (body.u / body.neck_half_width) ** 2, 0.03, 0.03)
    tone = (barrel * ribs * (1 - 0.22 * fold) + 0.08 * top) * (1 - 0.3 * cloth.head_shadow)
    rgb = cloth.render(color_of(garment.color), tone.astype(np.float32))
    return sewn.lay(rgb, roll, body.face.px(0.04), 0.55)


def _hoodie(garment: _Garment, sewing: _Sewing) -> _Sewing:
    sewn = _panel(garment, sewing)
    body, cloth = garment.body, garment.cloth
    px, neck = body.face.px, body.neck_half_width
    color = color_of(garment.color)
    # The inside of the hood, behind the neck.
    inner = body.symmetric([(0.0, -0.34), (neck + 0.10, -0.26), (neck + 0.22, -0.02), (neck + 0.1, 0.30), (0.0, 0.35)])
    behind = inner * (1 - _neck_column(body))
    dark = np.full(cloth.silhouette.shape, 0.42, np.float32) * (0.8 + 0.4 * smooth_step(body.v, 0.3, -0.3))
    sewn = sewn.lay(cloth.render(color, dark), behind)
    for side in (1, -1):
        roll = _roll_outline(neck) * np.array([side, 1])
        mask = body.area(curve(roll, 120, closed=True))
        tone = rounded(mask, px(0.16), 1.1) * (0.35 + 0.65 * cloth.shading / max(float(cloth.shading.max()), 1e-3))
        tone = tone * (1 - 0.35 * cloth.head_shadow) * 1.08
        sewn = sewn.lay(cloth.render(color, tone.astype(np.float32)), mask, px(0.045), 0.62)
    cord = color_of("white" if garment.color != "white" else "grey")
    for side in (1, -1):
        path = curve([(side * 0.12, 0.50), (side * 0.15, 0.70), (side * 0.125, 0.98)], 30)
        mask = line(body.face.shape, body.pixels(path), px(0.03))
        knot = line(body.face.shape, body.pixels(path[-4:]), px(0.05))
        mask = np.maximum(mask, knot)
        sewn = sewn.lay(cloth.render(cord, rounded(mask, px(0.02)) * 0.97), mask, px(0.02), 0.6)
    return sewn


def _roll_outline(neck: float) -> NDArray[np.float64]:
    """The hood's rim on one side: from behind the ear, over the collar bone, to the middle of the chest."""
    return np.array(
        [
            (neck + 0.00, -0.28), (neck + 0.16, -0.22), (neck + 0.33, 0.02), (neck + 0.30, 0.30), (0.34, 0.54),
            (0.06, 0.68), (-0.045, 0.58), (0.09, 0.46), (0.27, 0.30), (neck - 0.02, 0.10), (neck - 0.01, -0.08),
        ]
    )  # fmt: skip


def _neck_column(body: BodyFrame) -> Field:
    half = body.neck_half_width
    return smooth_step(np.abs(body.u), half + 0.012, half - 0.012)


def _collar(garment: _Garment, sewing: _Sewing, fabric: Field, meet: float, spread: float) -> _Sewing:
    """Two collar flaps around the neck; `meet` is the v where they come together, `spread` how far their points lie."""
    body, cloth = garment.body, garment.cloth
    px, neck = body.face.px, body.neck_half_width
    for side in (1, -1):
        flap: ArrayLike = [
            (side * (neck - 0.035), -0.20),
            (side * (neck + 0.06), -0.14),
            (side * (neck + 0.17), 0.20),
            (side * spread, meet + 0.17),
            (side * 0.015, meet),
            (side * (neck - 0.07), 0.10),
        ]
        mask = body.area(flap, 0.004)
        tone = rounded(mask, px(0.03), 0.55) * (0.55 + 0.45 * cloth.shading) * 1.05
        sewing = sewing.lay(cloth.render(fabric, tone.astype(np.float32)), mask, px(0.03), 0.5)
    return sewing


def _shirt(garment: _Garment, sewing: _Sewing) -> _Sewing:
    body, cloth = garment.body, garment.cloth
    px = body.face.px
    pattern = "pinstriped" if garment.pattern == "striped" else garment.pattern
    striped = replace(garment, pattern=pattern)
    sewn = _panel(striped, sewing)
    fabric = dyed(cloth, pattern, garment.color, garment.accent)
    # The button band from the opening down.
    band = smooth_step(np.abs(body.u), 0.085, 0.078) * smooth_step(body.v, 0.50, 0.54) * (1 - garment.opening)
    edge = bump(np.abs(body.u), 0.083, 0.010) * smooth_step(body.v, 0.55, 0.62) * (1 - garment.opening)
    sewn = sewn.lay(cloth.render(fabric, cloth.shading * 1.04), band * cloth.silhouette)
    sewn = sewn.shade(0.40 * edge * cloth.silhouette)
    for v in np.arange(0.78, body.bottom, 0.34):
        disc = smooth_step(np.hypot(body.u, body.v - v), 0.030, 0.024)
        holes = smooth_step(np.hypot(np.abs(body.u) - 0.008, body.v - v), 0.007, 0.004)
        tone = rounded(disc, px(0.02)) * (1 - 0.5 * holes)
        sewn = sewn.lay(cloth.render(color_of("white"), tone.astype(np.float32) * 0.96), disc, px(0.012), 0.5)
    return _collar(garment, sewn, fabric, 0.56, 0.36)


def _suit(garment: _Garment, sewing: _Sewing) -> _Sewing:
    body, cloth = garment.body, garment.cloth
    px, neck, bottom = body.face.px, body.neck_half_width, body.bottom
    white = np.broadcast_to(color_of("white"), (*cloth.silhouette.shape, 3))
    sewn = _panel(garment, sewing)
    front = body.area([(-neck - 0.14, 0.02), (-0.36, 0.30), (0, bottom + 0.4), (0.36, 0.30), (neck + 0.14, 0.02)])
    sewn = sewn.lay(cloth.render(white, cloth.shading * 0.98), front * (1 - garment.opening) * cloth.silhouette)
    sewn = _tie(garment, sewn)
    sewn = _collar(garment, sewn, white, 0.42, 0.27)
    color = color_of(garment.color)
    for side in (1, -1):
        lapel: ArrayLike = [
            (side * (neck + 0.07), -0.02),
            (side * (neck + 0.24), 0.22),
            (side * 0.74, 0.62),
            (side * 0.56, 0.66),
            (side * 0.62, 0.80),
            (side * 0.10, bottom + 0.05),
            (side * -0.02, bottom + 0.05),
            (side * 0.20, 0.75),
            (side * 0.33, 0.36),
        ]
        mask = body.area(lapel, 0.004)
        tone = rounded(mask, px(0.03), 0.6) * (0.45 + 0.55 * cloth.shading) * 1.16
        sewn = sewn.lay(cloth.render(color, tone.astype(np.float32)), mask, px(0.035), 0.6)
    return sewn


def _tie(garment: _Garment, sewing: _Sewing) -> _Sewing:
    body, cloth = garment.body, garment.cloth
    px, bottom = body.face.px, body.bottom
    color = color_of(garment.accent or "red")
    blade = body.area([(-0.055, 0.56), (0.055, 0.56), (0.135, bottom + 0.1), (-0.135, bottom + 0.1)], 0.003)
    knot = body.area([(-0.105, 0.40), (0.105, 0.40), (0.07, 0.585), (-0.07, 0.585)], 0.006)
    stripes = 1 + 0.18 * np.sign(np.sin((body.u + body.v) * 42))
    blade_tone = rounded(blade, px(0.06), 0.6) * (0.5 + 0.5 * cloth.shading) * stripes
    sewn = sewing.lay(cloth.render(color, blade_tone.astype(np.float32)), blade, px(0.025), 0.5)
    crease = 1 - 0.3 * bump(body.u - 0.25 * (body.v - 0.5), 0, 0.012)
    knot_tone = rounded(knot, px(0.05), 0.9) * crease
    return sewn.lay(cloth.render(color, knot_tone.astype(np.float32)), knot, px(0.02), 0.6)


_CUTS: dict[str, _Cut] = {
    "hoodie": _Cut(_hoodie, _Round(0.44, 0.08), loose=0.10),
    "t-shirt": _Cut(_t_shirt, _Round(0.50, 0.14), collars={"v-neck": _Vee()}),
    "suit": _Cut(_suit, _Placket(0.44), loose=0.07),
    "shirt": _Cut(_shirt, _Placket(0.62), loose=0.03),
    "turtleneck": _Cut(_turtleneck, _Roll()),
}
"""Garments by the vocabulary's name. A new one is a row; what no other garment has is drawn by a tailor of its own."""

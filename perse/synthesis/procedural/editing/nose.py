"""Noses: length, width, bridge and tip by a warp of the landmarks, relief by light and shadow on the new shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import AttributePrompt, TrackedPortrait
from perse.shapes import Field
from perse.synthesis.procedural.editing.canvas import (
    blur,
    bump,
    distance_inside,
    finish,
    grain,
    polygon,
    to_lab,
    to_rgb,
)
from perse.synthesis.procedural.editing.face_frame import FaceFrame, landmark_values
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.reshape import Reshaped, reshape, restore_detail
from perse.synthesis.prompts.vocabulary import NATURAL
from perse.tracking.landmarks import CHIN, FACE_OVAL, LIPS, LIPS_BETWEEN, NASION, NOSE, NOSE_BASE, NOSE_WINGS

_LENGTH = {"long": 0.16, "short": -0.13, NATURAL: 0.0}
"""How far the base of the nose moves down, in lengths of the nose."""
_WIDTH = {"wide": 1.24, "narrow": 0.80, NATURAL: 1.0}
"""Factor on the width at the wings."""


@dataclass(frozen=True)
class _Bump:
    """A Gaussian: its height, where its middle is, and its width."""

    height: float
    at: float
    width: float

    def of(self, values: Float32[NDArray[np.float32], "..."]) -> Float32[NDArray[np.float32], "..."]:
        return self.height * bump(values, self.at, self.width)


_BRIDGE_WIDTH = {"flat": _Bump(0.3, 0.3, 0.32), "high": _Bump(-0.22, 0.4, 0.34)}
"""What a bridge adds to the factor on the width, along the nose (0 at its root, 1 at its base)."""
_BRIDGE_BEND = {"crooked": (_Bump(0.026, 0.5, 0.24), _Bump(-0.014, 0.92, 0.2))}
"""How far a bridge goes sideways, face widths, along the nose."""


@dataclass(frozen=True)
class _RidgeLight:
    """Light and shadow beside the ridge.

    Attributes:
        start: where along the nose it fades in, from and to.
        end: where it fades out, from and to.
        across: change of L* over the way from the ridge, face widths.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    across: tuple[_Bump, ...]


_BRIDGE_LIGHT = {
    "high": _RidgeLight(
        (-0.05, 0.15), (1.0, 0.8), (_Bump(6, 0, 0.03), _Bump(-6, 0.08, 0.042), _Bump(-6, -0.08, 0.042))
    ),
    "crooked": _RidgeLight(
        (0.05, 0.25), (0.98, 0.8), (_Bump(4, -0.005, 0.026), _Bump(-6, 0.058, 0.034), _Bump(-3, -0.07, 0.034))
    ),
}


@dataclass(frozen=True)
class _Spot:
    """Light or shadow around a landmark: a Gaussian across the face times one down it, face widths.

    Attributes:
        landmark: its index.
        across: change of L*, at a way outwards.
        down: its fading down the face.
        outward: 1 where u grows outwards, -1 on the other side of the nose.
    """

    landmark: int
    across: _Bump
    down: _Bump
    outward: int = 1

    def on(self, frame: FaceFrame, points: Float32[NDArray[np.float32], "478 2"]) -> Field:
        """[h, w] change of L*."""
        u, v = frame.fields(points[self.landmark])
        across = bump(u - self.outward * self.across.at, 0, self.across.width)
        return self.across.height * across * self.down.of(v)


_TIP = 4
_SPOTS = {
    # A longer nose throws a longer shadow on the upper lip and shades under its tip.
    ("length", "long"): (
        _Spot(NOSE_BASE, _Bump(-8, 0, 0.10), _Bump(1, 0.012, 0.022)),
        _Spot(_TIP, _Bump(5, 0, 0.03), _Bump(1, -0.02, 0.05)),
    ),
    ("width", "wide"): tuple(
        _Spot(wing, across, down, outward)
        for wing, outward in zip(NOSE_WINGS, (1, -1), strict=True)
        for across, down in (
            (_Bump(-5, 0.022, 0.016), _Bump(1, -0.01, 0.05)),
            (_Bump(4, -0.03, 0.022), _Bump(1, -0.015, 0.035)),
        )
    ),
}
"""By trait and its value."""


@dataclass(frozen=True)
class _Round:
    """Light or shadow around the middle of landmarks, by the distance from it: a spot or a ring, face widths.

    Attributes:
        landmarks: their indices.
        ring: change of L* by the distance.
        right, down: its middle from that of the landmarks.
        wide: so much wider than high.
        top: v above which there is none.
    """

    landmarks: tuple[int, ...]
    ring: _Bump
    right: float = 0.0
    down: float = 0.0
    wide: float = 1.0
    top: float = -np.inf

    def on(self, frame: FaceFrame, points: Float32[NDArray[np.float32], "478 2"]) -> Field:
        """[h, w] change of L*."""
        u, v = frame.fields(points[list(self.landmarks)].mean(0))
        return self.ring.of(np.hypot((u - self.right) / self.wide, v - self.down)) * (v > self.top)


_NOSTRIL = _Bump(-14, 0, 0.018)
_TIP_LIGHT = {
    "bulbous": (
        _Round((_TIP,), _Bump(6, 0, 0.03), right=-0.012, down=-0.018),
        _Round((_TIP,), _Bump(-5, 0.095, 0.022), top=-0.06),
    ),
    "upturned": (
        _Round((_TIP,), _Bump(5, 0, 0.035)),
        *(_Round(around, _NOSTRIL, wide=1.5) for around in ((60, 99, 97), (290, 328, 326))),
    ),
}  # fmt: skip
"""By the kind of tip."""
# Of a longer nose's way the lips go so much, and the chin none: an unmoved mouth would swallow the upper lip.
_LIPS_FOLLOW = 0.62
# How far the wings' skin drags the cheek along, face widths.
_CHEEK = 0.2


def paint_nose(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """Portrait with a nose of the prompt's length, width, bridge and tip; `natural` leaves a trait as it is."""
    rng = np.random.default_rng(prompt.seed)
    frame = FaceFrame(portrait)
    traits = {slot: prompt.get(slot, NATURAL) for slot in ("length", "width", "bridge", "tip")}
    shaped = _reshape_nose(frame, traits)
    painted = restore_detail(shaped, grain(portrait, rng))
    relief = _relief(frame, shaped, traits)
    lab = to_lab(painted)
    lab[..., 0] = (lab[..., 0] + relief).clip(0, 99)
    region = np.maximum(shaped.region, smoothstep(np.abs(relief), 0.0, 0.6))
    return finish(portrait, to_rgb(lab), region, shaped.masks)


def _near_nose(frame: FaceFrame) -> Bool[NDArray[np.bool_], "478"]:
    """Landmarks in or on the nose's contour, [478]."""
    grown = polygon(frame.shape, frame.points[list(NOSE)], frame.px(0.012))
    columns, rows = np.round(frame.points).astype(int).T
    height, width = frame.shape
    inside = grown[rows.clip(0, height - 1), columns.clip(0, width - 1)] > 0.18
    inside[list(NOSE)] = True
    return inside


def _reshape_nose(frame: FaceFrame, traits: dict[str, str]) -> Reshaped:
    length = float(np.linalg.norm(frame.points[NOSE_BASE] - frame.points[NASION])) / frame.unit
    u, v = landmark_values(frame, frame.points[NASION])
    along = v / length  # 0 at the root, 1 at the base
    nose = _near_nose(frame)
    new_u, new_along = u.copy(), along.copy()
    new_u *= 1 + (_WIDTH[traits["width"]] - 1) * smoothstep(along, 0.15, 0.85)
    bridge = traits["bridge"]
    if bridge in _BRIDGE_WIDTH:
        new_u *= 1 + _BRIDGE_WIDTH[bridge].of(along)
    if bridge in _BRIDGE_BEND:
        new_u += sum(bend.of(along) for bend in _BRIDGE_BEND[bridge])
    tip_u, tip_v = u - u[_TIP], v - v[_TIP]
    near_tip = np.exp(-((tip_u**2 + tip_v**2) / 0.09**2))
    if traits["tip"] == "bulbous":
        new_u += 0.4 * tip_u * near_tip
        new_along += 0.3 * (tip_v / length) * near_tip
    elif traits["tip"] == "upturned":
        # A short nose has little left to turn up.
        new_along -= (0.05 if traits["length"] == "short" else 0.1) * smoothstep(along, 0.55, 0.95)
    new_along += _LENGTH[traits["length"]] * smoothstep(along, 0.0, 1.0) * np.where(along < 1.1, 1, 0)
    moving = nose.copy()
    drop = _LENGTH[traits["length"]] * length
    if drop:
        follow = np.zeros(len(u), bool)
        follow[[*LIPS, *LIPS_BETWEEN]] = True
        chin_along = along[CHIN]
        lips_along = along[[*LIPS]].mean()
        weight = np.interp(along, [1.0, lips_along, chin_along], [1.0, _LIPS_FOLLOW, 0.0])
        weight = weight * (1.0 if drop > 0 else 0.55)
        new_u[follow] = u[follow]
        new_along[follow] = along[follow] + weight[follow] * drop / length
        moving |= follow
    local = np.stack([new_u, new_along * length], -1).astype(np.float32)
    target = frame.points[NASION] + local @ frame.axes * np.float32(frame.unit)
    lower_face = drop != 0
    still = _still(frame, u, along, moving, lower_face)
    return reshape(frame, target, moving, still, _window(frame, length, lower_face))


def _still(
    frame: FaceFrame,
    u: Float32[NDArray[np.float32], "478"],
    along: Float32[NDArray[np.float32], "478"],
    moving: Bool[NDArray[np.bool_], "478"],
    lower_face: bool,
) -> Bool[NDArray[np.bool_], "478"]:
    """Landmarks that hold the face in place: eyes, cheeks, contour; what lies below the nose only if lips stay."""
    wing = float(np.abs(u[list(NOSE_WINGS)]).mean())
    still = (np.abs(u) > wing + _CHEEK) | (along < 0.02)
    if lower_face:
        still |= along > 0.88 * along[CHIN]
    else:
        still |= along > 1.22
    still[list(FACE_OVAL)] = True
    return still & ~moving


def _window(frame: FaceFrame, length: float, lower_face: bool) -> Field:
    u, v = frame.fields(frame.points[NASION])
    chin = float(frame.local(frame.chin, frame.points[NASION])[1])
    bottom = chin * 0.99 if lower_face else length * 1.5
    vertical = smoothstep(v, -0.12, 0.05) * smoothstep(v, bottom, 0.86 * bottom)
    half = 0.40 if lower_face else 0.36
    contour = smoothstep(distance_inside(frame.oval), 0.0, frame.px(0.05))
    eyes = smoothstep(blur(frame.portrait.masks[Part.EYES], frame.px(0.02)), 0.25, 0.02)
    return vertical * smoothstep(np.abs(u), half, half - 0.12) * contour * eyes


def _relief(frame: FaceFrame, shaped: Reshaped, traits: dict[str, str]) -> Field:
    """Change of lightness L* that makes the new shape look solid."""
    points = shaped.points
    root = points[NASION]
    length = float(np.linalg.norm(points[NOSE_BASE] - root)) / frame.unit
    u, v = frame.fields(root)
    along = v / length
    relief = np.zeros(frame.shape, np.float32)
    ridge = np.interp(along, np.linspace(0, 1, 7), _ridge(frame, points, root)).astype(np.float32)
    side = u - ridge
    light = _BRIDGE_LIGHT.get(traits["bridge"])
    if light is not None:
        shown = smoothstep(along, *light.start) * smoothstep(along, *light.end)
        relief += shown * sum(part.of(side) for part in light.across)
    if traits["bridge"] == "flat":
        lightness = to_lab(shaped.rgb)[..., 0]
        flattened = blur(lightness, frame.px(0.06)) - blur(lightness, frame.px(0.012))
        relief += 0.75 * flattened * smoothstep(along, 0.05, 0.2) * smoothstep(along, 0.72, 0.5) * bump(side, 0, 0.13)
    for round_spot in _TIP_LIGHT.get(traits["tip"], ()):
        relief += round_spot.on(frame, points)
    for trait in traits.items():
        for spot in _SPOTS.get(trait, ()):
            relief += spot.on(frame, points)
    return blur(relief, frame.px(0.006)) * (shaped.masks[Part.SKIN] + shaped.masks[Part.NOSE]).clip(0, 1)


def _ridge(
    frame: FaceFrame, points: Float32[NDArray[np.float32], "478 2"], root: Float32[NDArray[np.float32], "2"]
) -> Float[NDArray[np.float32], "7"]:
    """u of the ridge line at seven places from root to base."""
    ids = (168, 6, 197, 195, 5, 4, 2)
    local = frame.local(points[list(ids)], root)
    return np.interp(np.linspace(0, 1, 7), local[:, 1] / local[-1, 1], local[:, 0]).astype(np.float32)

"""Spectacles in a portrait: dark rims around both eyes, joined by a bridge.

A closed curve around each eye is drawn through the thin dark lines there (dynamic programming over angles), and a line
across the root of the nose. Lids, brows and the sides of noses give parts of such curves; nothing but a frame gives
both lower halves, on the cheeks, and the bridge. Measured on eleven faces (L of CIELAB, lines against what is beside
them): bridges 8.6 and 10.6 with spectacles, .7 at most without; the lesser lower rim 3.5 and 7, 1.1 without. None is
invented in the nine other faces made smaller, larger, darker, lighter, grey, grainy, sharper or badly compressed. In a
dark or tiny picture, and in a badly compressed one now and then, a real frame is missed, as are those that are no
darker than skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import FaceLandmarks, Picture
from perse.tracking.colors import blur, to_lab
from perse.tracking.detection import face_width
from perse.tracking.landmarks import LEFT_EYE, NASION, RIGHT_EYE
from perse.tracking.pieces import pieces_touching

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_UNIT = 320
"""Pixels a face width has where rims are looked for."""
_ANGLES = 96
_RADII = (0.09, 0.25)
"""Of a rim around its middle, face widths."""
_USUAL = (0.17, 0.13)
"""Half width and half height of a lens, face widths."""
_MIDDLE = (0.015, 0.035)
"""How far the lens's middle lies outwards and down from the eye's, face widths."""
_CLEAREST = 15.0
"""Darker lines count no more than this, L."""
_LEAST_BRIDGE, _LEAST_RIM, _LEAST_RIMS = 4.0, 2.0, 5.0
"""Darkness of the bridge, of the fainter lower rim, and of both on average; see above."""
_BAND = 0.018
"""Half width of a rim at most, face widths."""
_WIDE = 0.05
"""How far from the rim the thick parts of a plastic frame and the hinges reach, face widths."""


@dataclass(frozen=True)
class Spectacles:
    """Frame of spectacles in the picture.

    Attributes:
        alpha: [h, w] float32 in [0, 1], how much of a pixel is frame.
        hinges: [2, 2] float32, where the temples begin, pixels: at the person's right and left.
    """

    alpha: Float32[NDArray[np.float32], "h w"]
    hinges: Float32[NDArray[np.float32], "2 2"]


def find_spectacles(image: Picture, landmarks_px: FaceLandmarks) -> Spectacles | None:
    """Frame of the spectacles that a face [h, w, 3] wears, or None.

    Args:
        landmarks_px: [478, 2 or 3] of the face, pixels.
    """
    to_picture = _upright_view(landmarks_px)
    size = round(1.3 * _UNIT), round(0.9 * _UNIT)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(image, to_picture, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inverse = cv2.invertAffineTransform(to_picture)
    points = (landmarks_px[:, :2] @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
    lightness = blur(to_lab(view)[..., 0], 0.8)
    dark = _darker_than_beside(lightness, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)))
    bridge, bridge_strength = _bridge(lightness, points)
    found = [_rim(dark, points, loop, sign) for loop, sign in ((RIGHT_EYE, -1), (LEFT_EYE, 1))]
    rims, strengths = [rim for rim, _ in found], [strength for _, strength in found]
    if bridge_strength < _LEAST_BRIDGE or min(strengths) < _LEAST_RIM or np.mean(strengths) < _LEAST_RIMS:
        return None
    frame = _frame(lightness, points, bridge, rims)
    alpha = cv2.warpAffine(frame, inverse, image.shape[1::-1], flags=flags)
    outer = np.array([rims[0][rims[0][:, 0].argmin()], rims[1][rims[1][:, 0].argmax()]])
    outer[:, 1] = [_hinge_height(rim, frame) for rim in rims]
    hinges = outer @ to_picture[:, :2].T + to_picture[:, 2]
    return Spectacles(np.clip(alpha, 0, 1).astype(np.float32), hinges.astype(np.float32))


def without_spectacles(image: Picture, found: Spectacles | None) -> Picture:
    """Picture [h, w, 3] with skin continued over the frame (Telea 2004); itself where there is none."""
    if found is None:
        return image
    frame = cv2.dilate((found.alpha > 0.08).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.inpaint(image, frame, 4, cv2.INPAINT_TELEA), np.uint8)


def _upright_view(landmarks_px: Floats) -> NDArray[np.float64]:
    """Affine map [2, 3] from the view, in which the eyes are level, to the picture."""
    points = landmarks_px[:, :2].astype(np.float64)
    right, left = points[list(RIGHT_EYE)].mean(0), points[list(LEFT_EYE)].mean(0)
    scale, angle = face_width(landmarks_px) / _UNIT, np.arctan2(*(left - right)[::-1])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corner = 0.5 * (left + right) - turn @ [0.65 * _UNIT, 0.4 * _UNIT]
    return np.concatenate([turn, corner[:, None]], 1)


def _darker_than_beside(lightness: Floats, kernel: Image) -> Floats:
    """Thin dark lines: how much darker than what a closing makes of them, [h, w]."""
    closed = np.asarray(cv2.morphologyEx(lightness, cv2.MORPH_CLOSE, kernel), np.float32)
    return np.clip(closed - lightness, 0, _CLEAREST).astype(np.float32)


def _best_path(response: Floats, cost: float, reach: int) -> NDArray[np.intp]:
    """The column in every row of a response [n, r] that make the path with the largest sum, `reach` columns a step at
    most, each at a cost."""
    n, r = response.shape
    steps = np.arange(-reach, reach + 1)
    origin = np.arange(r)[None] - steps[:, None]
    outside = (origin < 0) | (origin >= r)
    origin = np.clip(origin, 0, r - 1)
    total, back = response[0].astype(np.float64), np.zeros((n, r), np.intp)
    for row in range(1, n):
        candidates = np.where(outside, -np.inf, total[origin] - cost * np.abs(steps)[:, None])
        best = candidates.argmax(0)
        back[row] = origin[best, np.arange(r)]
        total = candidates.max(0) + response[row]
    path = np.zeros(n, np.intp)
    path[-1] = total.argmax()
    for row in range(n - 1, 0, -1):
        path[row - 1] = back[row, path[row]]
    return path


def _bridge(lightness: Floats, points: Floats) -> tuple[Floats, float]:
    """The darkest line across the root of the nose, [m, 2], and how much darker it is than the one across its ridge,
    where no frame goes: in a grainy picture both are dark."""
    dark = _darker_than_beside(lightness, np.ones((13, 1), np.uint8))
    middle = 0.5 * (points[list(RIGHT_EYE)].mean(0) + points[list(LEFT_EYE)].mean(0))
    columns = np.arange(int(points[NASION, 0] - 0.05 * _UNIT), int(points[NASION, 0] + 0.05 * _UNIT))
    top, bottom, lower = (int(middle[1] + share * _UNIT) for share in (-0.1, 0.1, 0.2))
    line, strength = _darkest_line(dark, columns, top, bottom)
    return line, strength - _darkest_line(dark, columns, bottom, lower)[1]


def _darkest_line(dark: Floats, columns: NDArray[np.intp], top: int, bottom: int) -> tuple[Floats, float]:
    """Through these columns and between these rows, [m, 2], and its mean darkness."""
    stretch = dark[top:bottom, columns].T
    path = _best_path(stretch, 0.3, 1)
    strength = float(stretch[np.arange(len(columns)), path].mean())
    return np.stack([columns, top + path], 1).astype(np.float32), strength


def _rim(dark: Floats, points: Floats, eye: tuple[int, ...], sign: int) -> tuple[Floats, float]:
    """The closed curve around an eye, [_ANGLES, 2], and the median darkness of its lower part."""
    centre = points[list(eye)].mean(0) + np.array([sign * _MIDDLE[0], _MIDDLE[1]]) * _UNIT
    angle = 2 * np.pi * np.arange(_ANGLES)[:, None] / _ANGLES
    radius = np.arange(int(_RADII[0] * _UNIT), int(_RADII[1] * _UNIT))[None]
    x = (centre[0] + sign * np.cos(angle) * radius).astype(np.float32)
    y = (centre[1] + np.sin(angle) * radius).astype(np.float32)
    seen = cv2.remap(dark, x, y, cv2.INTER_LINEAR)
    usual = (_USUAL[0] * np.abs(np.cos(angle)) + _USUAL[1] * np.abs(np.sin(angle))) * _UNIT
    wanted = (seen - 0.6 * ((radius - usual) / (0.06 * _UNIT)) ** 2).astype(np.float32)
    rows = np.arange(2 * _ANGLES) % _ANGLES  # twice around: the middle of the second half knows both neighbours
    path = _best_path(wanted[rows], 0.5, 2)[_ANGLES // 2 : _ANGLES // 2 + _ANGLES]
    path = np.roll(path, _ANGLES // 2)
    every = np.arange(_ANGLES)
    lower = np.sin(angle[:, 0]) > 0.35
    strength = float(np.median(seen[every, path][lower]))
    return np.stack([x[every, path], y[every, path]], 1), strength


def _frame(lightness: Floats, points: Floats, bridge: Floats, rims: list[Floats]) -> Floats:
    """How much of a pixel of the view is frame, [h, w]: dark along the curves, and what dark hangs together with it in
    the upper half, where frames are thick and hinges stand out."""
    dark = _darker_than_beside(lightness, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25)))
    line = np.zeros(lightness.shape, np.uint8)
    for curve, closed in ((bridge, False), *((rim, True) for rim in rims)):
        cv2.polylines(line, [np.round(curve).astype(np.int32)], closed, 1)
    away = cv2.distanceTransform(1 - line, cv2.DIST_L2, 5) / _UNIT
    eyes = np.zeros_like(line)
    for eye in (RIGHT_EYE, LEFT_EYE):
        cv2.fillConvexPoly(eyes, cv2.convexHull(np.round(points[list(eye)]).astype(np.int32)), 1)
    apart = cv2.distanceTransform(1 - eyes, cv2.DIST_L2, 5) / _UNIT > 0.035
    rows = np.arange(len(line))[:, None]
    upper = rows < max(float(rim[:, 1].mean()) for rim in rims)
    sure = (dark > 7) & (away < _WIDE) & apart & upper
    joined = pieces_touching(sure, away < 0.6 * _BAND)
    zone = np.maximum(smoothstep(away, 1.4 * _BAND, _BAND), blur(joined.astype(np.float32), 1.0)) * apart
    return np.asarray(zone * smoothstep(dark, 2.0, 7.0), np.float32)


def _hinge_height(rim: Floats, frame: Floats) -> float:
    """Where the temple leaves a rim: the height of most frame beyond its outermost point, else that of its upper
    third."""
    middle = rim.mean(0)
    outermost = rim[np.abs(rim[:, 0] - middle[0]).argmax(), 0]
    usual = float(rim[:, 1].min() + np.ptp(rim[:, 1]) / 3)
    columns = np.arange(frame.shape[1])
    beyond = (columns - middle[0]) * np.sign(outermost - middle[0]) > abs(outermost - middle[0]) + 2
    mass = frame[: int(middle[1]), beyond].sum(1)
    return float((mass * np.arange(len(mass))).sum() / mass.sum()) if mass.sum() > 20 else usual

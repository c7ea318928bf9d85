"""Lips: their fullness and width by a warp of their landmarks, their colour by lipstick that spares the teeth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import AttributePrompt, TrackedPortrait
from perse.shapes import Colors, Field
from perse.synthesis.compositing import put_part
from perse.synthesis.procedural.editing.canvas import (
    blur,
    bump,
    distance_inside,
    finish,
    grain,
    lab_of,
    mix,
    polygon,
    to_lab,
    to_rgb,
)
from perse.synthesis.procedural.editing.face_frame import FaceFrame, landmark_values
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.reshape import Reshaped, reshape, restore_detail, unmoved
from perse.synthesis.prompts.palette import LIPS as LIPSTICKS
from perse.synthesis.prompts.vocabulary import NATURAL
from perse.tracking.landmarks import (
    LIPS,
    LIPS_BETWEEN,
    LIPS_INNER,
    LIPS_LOWER_INNER,
    LIPS_OUTER,
    LIPS_UPPER_INNER,
    MOUTH_CORNERS,
    NOSE_BASE,
)

_WIDTH = {"wide": 1.16, "narrow": 0.85, NATURAL: 1.0}
"""Factor on the distance of the corners."""
# Factor on a lip's height, and what is added to it in the middle, in face widths: thin lips have little to multiply.
_FULLNESS = {"full": (1.25, 0.012), "thin": (0.58, 0.0), NATURAL: (1.0, 0.0)}


def paint_mouth(portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
    """Portrait with lips of the prompt's fullness, width and color; `natural` leaves a trait as it is."""
    rng = np.random.default_rng(prompt.seed)
    frame = FaceFrame(portrait)
    fullness, width = prompt.get("fullness", NATURAL), prompt.get("width", NATURAL)
    shaped = unmoved(frame) if fullness == width == NATURAL else _reshape_lips(frame, fullness, width)
    painted = restore_detail(shaped, grain(portrait, rng))
    # A moustache hangs over the lips; it is neither painted nor taken for them.
    red = _lip_mask(frame, shaped, painted) * (1 - shaped.masks[Part.BEARD])
    if fullness == "full":
        painted = _swell(frame, shaped, painted, red)
    color = prompt.get("color", NATURAL)
    if color != NATURAL:
        painted = _lipstick(painted, red, lab_of(LIPSTICKS[color]) * frame.exposure)
    region = np.maximum(shaped.region, smoothstep(red, 0.0, 0.1))
    replaced = (Part.SKIN, Part.NOSE)
    masks = put_part(shaped.masks, Part.MOUTH, smoothstep(red, 0.2, 0.7), replaced)
    return finish(portrait, painted, region, masks)


def _reshape_lips(frame: FaceFrame, fullness: str, width: str) -> Reshaped:
    """Each lip grows away from its own inner edge; the opening between them keeps its height."""
    corners = frame.points[list(MOUTH_CORNERS)]
    center = corners.mean(0)
    u, v = landmark_values(frame, center)
    half = float(np.abs(u[list(MOUTH_CORNERS)]).mean())
    upper_edge = np.array(sorted((u[i], v[i]) for i in LIPS_UPPER_INNER))
    lower_edge = np.array(sorted((u[i], v[i]) for i in LIPS_LOWER_INNER))
    factor, added = _FULLNESS[fullness]
    lips = np.zeros(len(u), bool)
    lips[[*LIPS, *LIPS_BETWEEN]] = True
    to_upper = np.interp(u, upper_edge[:, 0], upper_edge[:, 1])
    to_lower = np.interp(u, lower_edge[:, 0], lower_edge[:, 1])
    above = v < (to_upper + to_lower) / 2
    edge = np.where(above, to_upper, to_lower)
    height = np.abs(v - edge)
    thickness = float(height[lips].max())
    profile = smoothstep(np.abs(u) / half, 1.0, 0.25)
    grown = height * factor + added * profile * (height / max(thickness, 1e-3)).clip(0, 1) ** 0.7
    # An upper lip that grows much meets the nose.
    room = 0.6 * abs(float(landmark_values(frame, frame.points[NOSE_BASE])[1][0]))
    grown = np.where(above, np.minimum(grown, height + room), grown)
    new_v = edge + np.where(above, -grown, grown)
    new_u = u * _WIDTH[width]
    target = center + (np.stack([new_u, new_v], -1).astype(np.float32) @ frame.axes) * np.float32(frame.unit)
    gu, gv = frame.fields(center)
    nose_v = float(landmark_values(frame, center)[1][NOSE_BASE])
    chin_v = float(landmark_values(frame, center)[1][152])
    reach = np.where(gv < 0, -nose_v, 0.94 * chin_v)
    away = np.sqrt((gu / (half * max(_WIDTH[width], 1.0) + 0.24)) ** 2 + (gv / reach) ** 2)
    # The contour of the face stays, and the background behind it.
    window = smoothstep(away, 1.0, 0.75) * smoothstep(distance_inside(frame.oval), 0.0, frame.px(0.05))
    from_lips = np.sqrt((u / (half * max(_WIDTH[width], 1.0) + 0.2)) ** 2 + (v / 0.34) ** 2)
    still = (from_lips > 1.0) | (v < 0.9 * nose_v) | (v > 0.7 * chin_v)
    return reshape(frame, target, lips, still, window)


def _lip_mask(frame: FaceFrame, shaped: Reshaped, picture: Colors) -> Field:
    """The red of the lips after the warp: between the contours, without teeth, which differ in colour."""
    outer = polygon(frame.shape, shaped.points[list(LIPS_OUTER)])
    inner = polygon(frame.shape, shaped.points[list(LIPS_INNER)])
    ring = blur((outer - inner).clip(0, 1), frame.px(0.0055))
    lab = to_lab(picture)
    middle = ring > 0.6
    if not middle.any():
        return ring
    lightness, redness = (float(np.median(lab[..., i][middle])) for i in (0, 1))
    pale = smoothstep(lab[..., 1], 0.75 * redness, 0.35 * redness) * smoothstep(lab[..., 0], lightness, lightness + 12)
    near_inner = smoothstep(blur(inner, frame.px(0.02)), 0.05, 0.3)
    return (ring * (1 - blur(pale * near_inner, 0.6))).clip(0, 1)


def _swell(frame: FaceFrame, shaped: Reshaped, picture: Colors, red: Field) -> Colors:
    """Round lips: darker towards their outlines, a soft light along the lower lip's middle, shadow beneath it."""
    points = shaped.points
    u, v = frame.fields((points[14] + points[17]) / 2)
    shine = bump(u, -0.02, 0.085) * bump(v, -0.006, 0.016) * red
    fu, fv = frame.fields(points[17])
    below = bump(fu, 0.0, 0.12) * bump(fv, 0.035, 0.03) * (1 - red)
    lab = to_lab(picture)
    outline = blur(red, frame.px(0.006)) * (1 - blur(red, frame.px(0.018))) * red
    lab[..., 0] += 9 * shine - 7 * below - 10 * outline
    lab[..., 1] += 5 * red
    return to_rgb(lab)


def _lipstick(picture: Colors, red: Field, color: Float[NDArray[np.float32], "3"]) -> Colors:
    """Colour over the lips; their own folds and highlights are kept."""
    lab = to_lab(picture)
    middle = red > 0.6
    own = lab[..., 0]
    low, median, high = np.percentile(own[middle], [5, 50, 97]) if middle.any() else (30.0, 50.0, 70.0)
    relative = (own - median) / max(float(high - low), 12.0)
    lightness = color[0] * (1 + 0.55 * relative.clip(-1, 0)) + 26 * relative.clip(0, 1.2) ** 1.2
    gloss = smoothstep(relative, 0.25, 0.9)
    painted = np.stack([lightness, color[1] * (1 - 0.4 * gloss), color[2] * (1 - 0.4 * gloss)], -1)
    return mix(picture, to_rgb(painted.astype(np.float32)), 0.85 * smoothstep(red, 0.05, 0.9))

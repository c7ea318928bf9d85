"""Closed lids: a second texture around the eyes, blended in as the eyes close.

With open eyes the upper lid is folded away, a few smeared texels in the photograph, and lashes, their shade and the
fold lie around it like a ring. So the whole eye is taken out of the photograph, skin is continued over the hole, and
the closed lid is painted with what lies behind it in the picture: lit like its surroundings, with the form of the
eyeball, a soft fold above and lashes along its edge. The lid's edge comes down to the lower lid of this person, where
the head model's blink has one length for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import TrackedPortrait
from perse.head import rest_vertices
from perse.render.mesh import project_vertices
from perse.shapes import Colors, Field
from perse.synthesis.procedural.animator.canvas import vertex_normals
from perse.synthesis.procedural.animator.fill import blurred_within, grain, push_pull
from perse.synthesis.procedural.animator.hair_volume import sum_of
from perse.synthesis.procedural.animator.harmonic import extend
from perse.synthesis.procedural.animator.own_pose import OwnPose, sample
from perse.synthesis.procedural.animator.projection import PreparedPhotograph
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.synthesis.procedural.scene import Light
from perse.tracking.landmarks import (
    LEFT_EYE_SURROUND,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_EYE_SURROUND,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    Loop,
)
from perse.tracking.polygons import contour_mask

BLINKS = (
    ("eyeBlinkLeft", LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_EYE_SURROUND),
    ("eyeBlinkRight", RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_EYE_SURROUND),
)
_MOVED = 0.02
"""Share of the lid's way from which on a vertex takes part in a blink."""
_LID = 0.15
"""Share from which on it lies on the lid itself: skin far around is drawn along a little."""
_WING = 0.15
"""How far lashes reach beyond the outer corner, widths of the eye."""
_FEATHER_WIDTHS = 0.02
"""Softness of the border of what is taken out, face widths."""
_LIT_SHARE = 0.25
"""A closed lid lies before the socket's shade: so much of its colour is that of the lit skin around."""
_LASHES_WIDTHS = 0.03
"""How far lashes, their shade and the fold reach from the opening of an eye, face widths."""
_FORM = 0.5
"""How much of the light's change over the eyeball's form is painted."""
_LASH_COLOR = np.array([52.0, 38.0, 34.0], np.float32)
_CLOSING = (0.0, 1.3)
"""The shares of the model's blink that a person's lids may take to meet."""
_NEAR_M = 0.034
"""Reach of a patch from the middle of the lids, the same for everybody: edits are mixed with their portrait."""
_NOISE_SEED = 21


@dataclass(frozen=True)
class ClosedLid:
    """The closed lids of one eye.

    Attributes:
        expression: index of the blink in the head model's expressions.
        top, left: position of the patch in the texture.
        rgb: [h, w, 3] float32, the texture with closed lids.
        weight: [h, w, 1] float32, how much of it is blended in when the eye is shut.
        shift: [n, 3] float32 metres, rest pose: what brings the shut lid's edge to the lower lid, beyond the blink.
    """

    expression: int
    top: int
    left: int
    rgb: Float32[NDArray[np.float32], "h w 3"]
    weight: Float32[NDArray[np.float32], "h w 1"]
    shift: Float32[NDArray[np.float32], "n 3"]


def close_lids(
    surface: HeadSurface, portrait: TrackedPortrait, pose: OwnPose, picture: PreparedPhotograph, light: Light
) -> tuple[ClosedLid, ...]:
    """Patches of the closed lids, one for each blink that the head model knows; none for a model without named blinks
    or landmarks.

    Args:
        pose: the drawn head in the portrait's own pose and expression.
    """
    names, known = surface.model.expression_names, set(surface.model.landmark_ids.tolist())
    lids = []
    for name, upper, lower, surround in BLINKS:
        if name in names and known >= {*upper, *lower}:
            index = names.index(name)
            motion = (surface.mixture @ surface.model.expression_basis.numpy()[..., index]).astype(np.float32)
            shift = _meeting(surface, portrait, motion, index, upper, lower)
            left = 1 - float(portrait.head.expression[index])
            closed = pose.vertices + np.einsum("nij,nj->ni", pose.rotations, left * motion + shift)
            closed = closed.astype(np.float32)
            hole = _hole(portrait, pose, closed, _amount(surface, motion), (*surround, *upper), upper)
            skin = _without_eye(picture, hole, portrait.face_width_px)
            hole *= np.clip(1 - 2 * picture.masks[Part.BROWS], 0, 1) * (1 - picture.cover)
            lids.append(_close(surface, pose, closed, light, skin, hole, index, motion, shift, (upper, lower)))
    return tuple(lids)


def _amount(surface: HeadSurface, motion: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, " n"]:
    """How far each vertex of the outer skin takes part in a blink, [n] in [0, 1]."""
    amount = np.linalg.norm(motion, axis=1) * surface.outer
    return np.asarray(amount / max(float(amount.max()), 1e-9), np.float32)


def _hole(
    portrait: TrackedPortrait,
    pose: OwnPose,
    closed: Float32[np.ndarray, "n 3"],
    amount: Float32[np.ndarray, " n"],
    around: Loop,
    lid: Loop,
) -> Field:
    """What is taken out of the photograph, [h, w], 1 in the middle and soft at its border.

    The lids as they are and as they close, what the landmarks around them enclose, and the lashes beyond the outer
    corner.
    """
    lids = amount > _LID
    marks, width = portrait.landmarks_px[:, :2], portrait.face_width_px
    corner = marks[lid[0]] + _WING * (marks[lid[0]] - marks[lid[-1]])
    after = project_vertices(closed[lids], pose.camera)[:, :2]
    points = np.concatenate([pose.pixels[lids, :2], after, marks[list(around)], corner[None]])
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    centre = 0.5 * (hull.min(0) + hull.max(0))
    away = hull - centre
    length = np.linalg.norm(away, axis=1, keepdims=True)
    grown = centre + away * (1 + 1.5 * _FEATHER_WIDTHS * width / np.maximum(length, 1e-3))
    mask = contour_mask(grown.astype(np.float32), portrait.image.shape[:2], smooth=False)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), _FEATHER_WIDTHS * width), np.float32)


def _meeting(
    surface: HeadSurface,
    portrait: TrackedPortrait,
    motion: Float32[np.ndarray, "n 3"],
    index: int,
    upper: Loop,
    lower: Loop,
) -> Float32[np.ndarray, "n 3"]:
    """Rest-pose shift [n, 3] after which the upper lid of the shut eye ends at the lower one.

    Column by column, the share of the blink that closes the gap of the neutral face.
    """
    model = surface.model
    rest = rest_vertices(model, portrait.head)
    blink = model.expression_basis[..., index]
    marks, moved = model.landmarks(rest).numpy(), model.landmarks(rest + blink).numpy()
    above, below = (model.landmark_rows(side) for side in (upper, lower))
    travel = marks[above, 1] - moved[above, 1]
    wanted = marks[above, 1] - moved[below, 1]
    share = np.clip(wanted / np.maximum(travel, 1e-5), *_CLOSING)
    sure = travel > 0.3 * travel.max()  # the corners hardly move: there is nothing to divide by
    order = np.argsort(marks[above, 0])
    order = order[sure[order]]
    place = np.asarray(surface.mixture @ rest.numpy())[:, 0]
    factor = np.interp(place, marks[above, 0][order], share[order])
    down = np.clip(-motion[:, 1], 0, None) > 0  # the upper lid alone: the lower one keeps its small rise
    return ((factor - 1) * down)[:, None].astype(np.float32) * motion


def _without_eye(picture: PreparedPhotograph, hole: Field, width_px: float) -> Colors:
    """The photograph's skin continued over an eye, [h, w, 3].

    A fifth from beyond the whole hole, the rest from all skin that is no eye: the one knows nothing of the
    socket's shade, the other takes fold and lashes for it. Both raised towards the lit skin farther away.
    """
    skin = sum_of(picture.masks, (Part.SKIN, Part.NOSE, Part.EYES)) * picture.solid
    brows = cv2.dilate(picture.masks[Part.BROWS], np.ones((9, 9), np.uint8))
    clean = (skin > 0.7) & (brows < 0.1)
    reach = 2 * round(_LASHES_WIDTHS * width_px) + 1
    eye = cv2.dilate(picture.masks[Part.EYES], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    rows, columns = np.nonzero(hole > 0)
    margin = int(0.25 * width_px)
    top, left = max(rows.min() - margin, 0), max(columns.min() - margin, 0)
    box = slice(top, rows.max() + margin), slice(left, columns.max() + margin)
    rgb, inside = picture.rgb[box], hole[box]
    beyond = (clean[box] & (inside < 0.01)).astype(np.float32)
    if beyond.sum() < 30:
        return picture.rgb
    beside = (clean & (eye < 0.1))[box].astype(np.float32)
    membrane = 0.2 * _membrane(rgb, beyond, width_px) + 0.8 * _membrane(rgb, beside, width_px)
    membrane = cv2.GaussianBlur(membrane, (0, 0), 0.015 * width_px)
    lit = _lit(rgb, beyond)
    membrane = 0.5 * membrane + 0.5 * lit * (membrane.mean(-1, keepdims=True) / lit.mean())  # brows beside it are grey
    depth = smoothstep(cv2.GaussianBlur(inside, (0, 0), 0.05 * width_px), 0.2, 0.9)[..., None]
    raised = membrane * (1 + _LIT_SHARE * depth * np.clip(lit / np.maximum(membrane, 1) - 1, 0, 0.3))
    out = picture.rgb.copy()
    soft = smoothstep(inside, 0.0, 1.0)[..., None]
    out[box] = soft * raised + (1 - soft) * out[box]
    return out


def _membrane(rgb: Colors, known: Field, width_px: float) -> Colors:
    """Colours [h, w, 3] continued smoothly over what is not known [h, w]."""
    sigma = 0.012 * width_px
    near, amount = blurred_within(rgb, known, sigma)
    membrane = push_pull(near, known * (amount > 0.2))
    for _ in range(30):  # the pyramid leaves blocks, which these steps to the mean even out
        membrane = np.where(known[..., None] > 0, near, cv2.GaussianBlur(membrane, (0, 0), sigma))
    return membrane.astype(np.float32)


def _lit(rgb: Colors, known: Field) -> Float32[np.ndarray, "3"]:
    """The skin's typical colour as bright as its lighter half, [3]."""
    seen = rgb[known > 0]
    level, color = seen.mean(1), np.median(seen, axis=0)
    return np.asarray(color * level[level >= np.median(level)].mean() / color.mean(), np.float32)


def _close(
    surface: HeadSurface,
    pose: OwnPose,
    closed: Float32[np.ndarray, "n 3"],
    light: Light,
    skin: Colors,
    hole: Field,
    index: int,
    motion: Float32[np.ndarray, "n 3"],
    shift: Float32[np.ndarray, "n 3"],
    edges: tuple[Loop, Loop],
) -> ClosedLid:
    amount = _amount(surface, motion)
    to_upper, to_lower = (_distance(surface, _lid_edge(surface, edge)) for edge in edges)
    pixels = project_vertices(closed, pose.camera)[:, :2]
    form = _form(surface, closed, amount, light)
    stack = np.concatenate([np.stack([amount, to_upper, to_lower, form], 1), pixels], 1)
    fields = surface.on_texels(stack.astype(np.float32))
    drawn = surface.atlas.face >= 0
    near = drawn & (surface.on_texels(_near_eye(surface, amount)[:, None])[..., 0] > 0.5)
    taken = sample(hole, fields[..., 4:]) * near
    rows, columns = np.nonzero(near)
    top, left = int(rows.min()), int(columns.min())
    box = slice(top, rows.max() + 1), slice(left, columns.max() + 1)
    moved, above, below, lightness = (fields[box][..., k] for k in range(4))
    height, width = moved.shape
    noise = grain(np.random.default_rng(_NOISE_SEED), height, width, 1.2)
    rgb = sample(skin, fields[box][..., 4:]) * (lightness * (1 + 0.012 * noise))[..., None]
    rgb = rgb * (1 - 0.10 * _crease(above) * smoothstep(moved, _MOVED, 0.15))[..., None]
    lashes = 0.7 * (1 - smoothstep(above, 0.0005, 0.0026)) + 0.2 * (1 - smoothstep(below, 0.0, 0.0008))
    lashes = (np.clip(lashes, 0, 0.7) * (moved > _MOVED))[..., None]
    rgb = np.clip(rgb, 0, 255)
    rgb = rgb * (1 - lashes) + np.minimum(_LASH_COLOR, 0.4 * rgb) * lashes
    weight = np.maximum(np.maximum(smoothstep(moved, 0.03, 0.3), taken[box]), lashes[..., 0]) * near[box]
    return ClosedLid(index, top, left, rgb.astype(np.float32), weight[..., None].astype(np.float32), shift)


def _near_eye(surface: HeadSurface, amount: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """Vertices around the lids, [n] 0 or 1: no other surface is painted, whatever lies before it in the picture."""
    centre = surface.rest[amount > 0.3].mean(0)
    return (np.linalg.norm(surface.rest - centre, axis=1) < _NEAR_M).astype(np.float32)


def _form(
    surface: HeadSurface, closed: Float32[np.ndarray, "n 3"], amount: Float32[np.ndarray, " n"], light: Light
) -> Float32[np.ndarray, " n"]:
    """How much lighter the shut lid is for its form than a flat one would be, [n]: 1 away from it."""
    around = surface.outer & (_near_eye(surface, amount) > 0)
    normals = vertex_normals(closed.astype(np.float32), surface.faces)
    flat = extend(normals, np.where(amount > _MOVED, 0.0, 1e3), surface.average, around)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    ratio = light.shade(normals) / np.maximum(light.shade(flat), 0.2)
    ratio = np.where(around & (amount > _MOVED), np.clip(ratio, 0.75, 1.2), 1.0).astype(np.float32)
    return np.asarray(1 + _FORM * (extend(ratio, np.full(len(ratio), 0.03), surface.average, around) - 1), np.float32)


def _lid_edge(surface: HeadSurface, loop: Loop) -> Float32[np.ndarray, "m 3"]:
    """Densely sampled edge of a lid on the template, [m, 3]."""
    points = surface.model.landmarks(surface.model.template).numpy()[surface.model.landmark_rows(loop)]
    steps = np.linspace(0, len(points) - 1, 80)
    return np.stack([np.interp(steps, np.arange(len(points)), points[:, k]) for k in range(3)], 1).astype(np.float32)


def _distance(surface: HeadSurface, points: Float32[np.ndarray, "m 3"]) -> Float32[np.ndarray, " n"]:
    """Rest-pose distance of every vertex from the edge of a lid, metres; a little more near its corners."""
    away, nearest = cKDTree(points).query(surface.rest)
    along = nearest / (len(points) - 1)
    corner = 0.0012 * (1 - np.sqrt(np.clip(4 * along * (1 - along), 0, 1)))  # lashes thin out towards the corners
    return (away + corner).astype(np.float32)


def _crease(to_upper: Field) -> Field:
    """Where the upper lid folds: a soft band about 9 mm above its edge."""
    return np.exp(-(((to_upper - 0.0085) / 0.0022) ** 2)).astype(np.float32)

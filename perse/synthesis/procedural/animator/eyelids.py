"""Closed lids: a second texture around the eyes, blended in as the eyes close.

With open eyes the upper lid is folded away, a few smeared texels in the photograph. Closed, it is a patch of skin
lit like its surroundings, with a soft crease above and the lashes along its edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perse.attributes import Part
from perse.synthesis.procedural.animator.fill import push_pull, smoothstep
from perse.synthesis.procedural.animator.own_pose import sample
from perse.synthesis.procedural.animator.projection import Picture, Projection
from perse.synthesis.procedural.animator.skin_and_hair import Complexion
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.tracking.landmarks import LEFT_LOWER_LID, LEFT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_UPPER_LID, Loop

Array = NDArray[np.float32]

BLINKS = (
    ("eyeBlinkLeft", LEFT_UPPER_LID, LEFT_LOWER_LID),
    ("eyeBlinkRight", RIGHT_UPPER_LID, RIGHT_LOWER_LID),
)
_RING_TEXELS = 24
"""How far around a lid its surroundings are looked at."""

_LASHES_M = 0.003
"""Nearer to the edge of a lid, the photograph shows lashes and their shade rather than skin."""

_LIT_SHARE = 0.4
"""A closed lid lies before the socket's shade: so much of its colour is that of the lit skin around."""

_SMOOTH_TEXELS = 2.0
"""Blur of the lids' colour: skin without the pores of its surroundings looks odd only when there are several edges."""

_LARGEST_STEP = 0.45
"""Of the logarithm of brightness: what differs more is no skin but a lash, a rim of glasses or the white of an eye."""

_LASH_COLOR = np.array([52.0, 38.0, 34.0], np.float32)


@dataclass(frozen=True)
class ClosedLid:
    """The closed lids of one eye.

    Attributes:
        expression: index of the blink in the head model's expressions.
        top, left: position of the patch in the texture.
        rgb: [h, w, 3] float32, the texture with closed lids.
        weight: [h, w, 1] float32, how much of it is blended in when the eye is shut.
    """

    expression: int
    top: int
    left: int
    rgb: Array
    weight: Array


def close_lids(
    surface: HeadSurface, picture: Picture, seen: Projection, complexion: Complexion, painted: Array
) -> tuple[ClosedLid, ...]:
    """One patch for each blink that the head model knows; none for a model without named blinks.

    Args:
        painted: [h, w, 3] colours 0…255 of the texture with open eyes.
    """
    lids = []
    names = surface.model.expression_names
    basis = surface.model.expression_basis.numpy()
    for name, upper, lower in BLINKS:
        if name in names:
            index = names.index(name)
            motion = surface.mixture @ basis[..., index]
            edges = _lid_edge(surface, upper), _lid_edge(surface, lower)
            lids.append(_close(surface, picture, seen, complexion, painted, index, motion, edges))
    return tuple(lids)


def _close(
    surface: HeadSurface,
    picture: Picture,
    seen: Projection,
    complexion: Complexion,
    painted: Array,
    index: int,
    motion: Array,
    edges: tuple[Array, Array],
) -> ClosedLid:
    amount = np.linalg.norm(motion, axis=1)
    amount /= max(float(amount.max()), 1e-9)
    to_upper, to_lower = (_distance(surface, edge) for edge in edges)
    fields = surface.on_texels(np.stack([amount, to_upper, to_lower, _clean_skin(picture, seen, complexion)], 1))
    drawn = surface.atlas.face >= 0
    inside = drawn & (fields[..., 0] > 0.02)
    rows, columns = np.nonzero(inside)
    top, left = max(rows.min() - _RING_TEXELS, 0), max(columns.min() - _RING_TEXELS, 0)
    box = slice(top, rows.max() + _RING_TEXELS), slice(left, columns.max() + _RING_TEXELS)
    moved, above, below, clean = np.moveaxis(fields[box], -1, 0)
    beside = drawn[box] & (moved < 0.05) & (np.minimum(above, below) > _LASHES_M)
    shaded, lit = _continued(painted[box], beside), _continued(painted[box], beside & (clean > 0.5))
    rgb = shaded + _LIT_SHARE * smoothstep(moved, 0.05, 0.8)[..., None] * (lit - shaded)
    rgb = rgb * (1 - 0.12 * _crease(above) + 0.06 * _bulge(above))[..., None]
    lashes = 0.75 * (1 - smoothstep(above, 0.0004, 0.0024)) + 0.25 * (1 - smoothstep(below, 0.0, 0.001))
    lashes = (np.clip(lashes, 0, 0.8) * (moved > 0.02))[..., None]
    rgb = np.clip(rgb, 0, 255) * (1 - lashes) + _LASH_COLOR * lashes
    weight = np.maximum(smoothstep(moved, 0.03, 0.3)[..., None], lashes) * inside[box][..., None]
    return ClosedLid(index, int(top), int(left), rgb.astype(np.float32), weight.astype(np.float32))


def _continued(painted: Array, known: NDArray[np.bool_]) -> Array:
    """Colours [h, w, 3] that meet those of the texture at the border of where it is known, and are smooth elsewhere: a
    lid has no colour of its own, and any step at its border looks like a disc that lies on the face."""
    if not known.any():
        return painted
    filled = push_pull(painted, known.astype(np.float32))
    smooth = cv2.GaussianBlur(filled, (0, 0), _SMOOTH_TEXELS)
    return np.where(known[..., None], filled, smooth)


def _clean_skin(picture: Picture, seen: Projection, complexion: Complexion) -> Array:
    """Vertices that show skin, away from eyes and brows: [n] in [0, 1]."""
    avoid = np.clip(picture.masks[Part.EYES] + picture.masks[Part.BROWS], 0, 1)
    avoid = cv2.dilate(avoid, np.ones((9, 9), np.uint8))
    clean = (sample(avoid, seen.pixels) < 0.1) & (seen.trust > 0.3)
    return (clean * (1 - complexion.cover)).astype(np.float32)


def _lid_edge(surface: HeadSurface, loop: Loop) -> Array:
    """Densely sampled edge of a lid on the template, [m, 3]; empty where the model has no such landmarks."""
    ids = surface.model.landmark_ids.tolist()
    if not set(loop) <= set(ids):
        return np.zeros((0, 3), np.float32)
    points = surface.model.landmarks(surface.model.template).numpy()[[ids.index(i) for i in loop]]
    steps = np.linspace(0, len(points) - 1, 80)
    return np.stack([np.interp(steps, np.arange(len(points)), points[:, k]) for k in range(3)], 1).astype(np.float32)


def _distance(surface: HeadSurface, points: Array) -> Array:
    """Rest-pose distance of every vertex from the edge of a lid, metres; a little more near its corners."""
    if not len(points):
        return np.ones(len(surface.rest), np.float32)
    away, nearest = cKDTree(points).query(surface.rest)
    along = nearest / (len(points) - 1)
    corner = 0.0012 * (1 - np.sqrt(np.clip(4 * along * (1 - along), 0, 1)))  # lashes thin out towards the corners
    return (away + corner).astype(np.float32)


def _bulge(to_upper: Array) -> Array:
    """The middle of the lid, which the eyeball pushes towards the light."""
    return np.exp(-(((to_upper - 0.0045) / 0.002) ** 2)).astype(np.float32)


def _crease(to_upper: Array) -> Array:
    """Where the upper lid folds: a soft band about 9 mm above its edge."""
    return np.exp(-(((to_upper - 0.0085) / 0.0022) ** 2)).astype(np.float32)

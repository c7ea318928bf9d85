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
from perse.synthesis.procedural.animator.fill import smoothstep
from perse.synthesis.procedural.animator.harmonic import extend
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
_MOST_LIT = 1.12
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
    surface: HeadSurface, picture: Picture, seen: Projection, complexion: Complexion
) -> tuple[ClosedLid, ...]:
    """One patch for each blink that the head model knows; none for a model without named blinks."""
    lids = []
    names = surface.model.expression_names
    basis = surface.model.expression_basis.numpy()
    for name, upper, lower in BLINKS:
        if name in names:
            index = names.index(name)
            motion = surface.mixture @ basis[..., index]
            edges = _lid_edge(surface, upper), _lid_edge(surface, lower)
            lids.append(_close(surface, picture, seen, complexion, index, motion, edges))
    return tuple(lids)


def _close(
    surface: HeadSurface,
    picture: Picture,
    seen: Projection,
    complexion: Complexion,
    index: int,
    motion: Array,
    edges: tuple[Array, Array],
) -> ClosedLid:
    amount = np.linalg.norm(motion, axis=1)
    amount /= max(float(amount.max()), 1e-9)
    skin = _lid_skin(surface, picture, seen, complexion, amount)
    to_upper, to_lower = (_distance(surface, edge) for edge in edges)
    fields = surface.on_texels(
        np.concatenate([skin, amount[:, None], to_upper[:, None], to_lower[:, None], _crease(to_upper)[:, None]], 1)
    )
    inside = (surface.atlas.face >= 0) & (fields[..., 3] > 0.02)
    rows, columns = np.nonzero(inside)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    patch = fields[box]
    lashes = 0.8 * (1 - smoothstep(patch[..., 4], 0.0005, 0.0021)) + 0.3 * (1 - smoothstep(patch[..., 5], 0.0, 0.001))
    lashes = np.clip(lashes, 0, 0.85)[..., None] * (patch[..., 3:4] > 0.02)
    rgb = patch[..., :3] * (1 - 0.14 * patch[..., 6:7])
    rgb = rgb * (1 - lashes) + _LASH_COLOR * lashes
    weight = smoothstep(patch[..., 3:4], 0.06, 0.35)
    weight = np.maximum(weight, lashes) * inside[box][..., None]
    return ClosedLid(index, int(rows.min()), int(columns.min()), rgb.astype(np.float32), weight.astype(np.float32))


def _lid_skin(surface: HeadSurface, picture: Picture, seen: Projection, complexion: Complexion, amount: Array) -> Array:
    """Skin around the eye continued over the lids, without brows, lashes and the eye itself: [n, 3]."""
    avoid = np.clip(picture.masks[Part.EYES] + picture.masks[Part.BROWS], 0, 1)
    avoid = cv2.dilate(avoid, np.ones((9, 9), np.uint8))
    clean = (sample(avoid, seen.pixels) < 0.1) & (seen.trust > 0.3)
    known = 4.0 * (clean & (amount < 0.08)) * (1 - complexion.cover)
    tone = extend(complexion.skin, known, surface.average, surface.outer, softness=0.5)
    if known.sum() < 40:
        return tone
    lit = complexion.skin[known > 2]
    lit = np.median(lit[lit.mean(1) > np.median(lit.mean(1))], axis=0)  # lids bulge towards the light
    # A lid in the shade of its socket stays there: brighter than a little it would be a disc on the face.
    lit = np.minimum(lit, _MOST_LIT * tone)
    return ((0.6 * tone + 0.4 * lit) * np.array([0.99, 0.95, 0.94])).astype(np.float32)


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


def _crease(to_upper: Array) -> Array:
    """Where the upper lid folds: a soft band about 9 mm above its edge."""
    return np.exp(-(((to_upper - 0.0085) / 0.0022) ** 2)).astype(np.float32)

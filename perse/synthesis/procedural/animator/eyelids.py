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
_RING_TEXELS = 24
"""How far around a lid its surroundings are looked at."""

_NEAR_M, _BARE_SHARE = 0.02, 0.5
"""Up to where the skin around an eye tells what its lid looks like, and how much of the lid's colour it decides."""

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
    clean = _clean_skin(picture, seen, complexion)
    skin = _lid_skin(surface, complexion, clean, amount)
    to_upper, to_lower = (_distance(surface, edge) for edge in edges)
    layers = [skin, amount[:, None], to_upper[:, None], to_lower[:, None], _crease(to_upper)[:, None], clean[:, None]]
    fields = surface.on_texels(np.concatenate(layers, 1))
    drawn = surface.atlas.face >= 0
    inside = drawn & (fields[..., 3] > 0.02)
    rows, columns = np.nonzero(inside)
    top, left = max(rows.min() - _RING_TEXELS, 0), max(columns.min() - _RING_TEXELS, 0)
    box = slice(top, rows.max() + _RING_TEXELS), slice(left, columns.max() + _RING_TEXELS)
    patch = fields[box]
    around = drawn[box] & (patch[..., 7] > 0.9) & (patch[..., 3] < 0.12)
    rgb = _continued(painted[box], patch[..., :3], around)
    near = around & (np.minimum(patch[..., 4], patch[..., 5]) < _NEAR_M)
    if near.sum() > 60:  # close to the eye the photograph shows the shade of lashes, which a closed lid lies before
        rgb += (_BARE_SHARE * smoothstep(patch[..., 3:4], 0.02, 0.5)) * (_bright(painted[box][near]) - rgb)
    rgb = rgb * (1 - 0.1 * patch[..., 6:7]) * (1 + 0.05 * _bulge(patch[..., 4:5]))
    rgb = np.clip(rgb, 0, 255)
    lashes = 0.75 * (1 - smoothstep(patch[..., 4], 0.0004, 0.0024)) + 0.25 * (1 - smoothstep(patch[..., 5], 0.0, 0.001))
    lashes = np.clip(lashes, 0, 0.8)[..., None] * (patch[..., 3:4] > 0.02)
    rgb = rgb * (1 - lashes) + _LASH_COLOR * lashes
    weight = smoothstep(patch[..., 3:4], 0.03, 0.3)
    weight = np.maximum(weight, lashes) * inside[box][..., None]
    return ClosedLid(index, int(top), int(left), rgb.astype(np.float32), weight.astype(np.float32))


def _continued(painted: Array, skin: Array, around: NDArray[np.bool_]) -> Array:
    """The skin around an eye continued over its lids, [h, w, 3]: a lid has no colour of its own, and any step at its
    border looks like a disc that lies on the face.

    Args:
        painted: the texture; skin: a smooth guess of the lids' colour.
        around: where the texture shows clean skin.
    """
    ratio = np.log(np.maximum(painted, 8).mean(-1) / np.maximum(skin, 8).mean(-1))
    known = (around & (np.abs(ratio) < _LARGEST_STEP)).astype(np.float32)
    if known.sum() < 60:
        return skin
    step = push_pull(np.log(np.maximum(painted, 8) / np.maximum(skin, 8)), known)
    step = cv2.GaussianBlur(step, (0, 0), 5)
    return np.clip(skin * np.exp(step), 0, 255).astype(np.float32)


def _clean_skin(picture: Picture, seen: Projection, complexion: Complexion) -> Array:
    """Vertices that show skin, away from eyes and brows: [n] in [0, 1]."""
    avoid = np.clip(picture.masks[Part.EYES] + picture.masks[Part.BROWS], 0, 1)
    avoid = cv2.dilate(avoid, np.ones((9, 9), np.uint8))
    clean = (sample(avoid, seen.pixels) < 0.1) & (seen.trust > 0.3)
    return (clean * (1 - complexion.cover)).astype(np.float32)


def _lid_skin(surface: HeadSurface, complexion: Complexion, clean: Array, amount: Array) -> Array:
    """A smooth colour for the lids, from the skin around the eye without brows, lashes and the eye itself: [n, 3]."""
    known = 4.0 * clean * (amount < 0.08)
    return extend(complexion.skin, known, surface.average, surface.outer, softness=0.5)


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


def _bright(colors: Array) -> Array:
    """The colour of the brighter half [3] of colours [n, 3], without highlights."""
    level = colors.mean(1)
    low, high = np.quantile(level, (0.4, 0.85))
    return np.asarray(colors[(level >= low) & (level <= high)].mean(0), np.float32)


def _bulge(to_upper: Array) -> Array:
    """The middle of the lid, which the eyeball pushes towards the light."""
    return np.exp(-(((to_upper - 0.0045) / 0.002) ** 2)).astype(np.float32)


def _crease(to_upper: Array) -> Array:
    """Where the upper lid folds: a soft band about 9 mm above its edge."""
    return np.exp(-(((to_upper - 0.0085) / 0.0022) ** 2)).astype(np.float32)

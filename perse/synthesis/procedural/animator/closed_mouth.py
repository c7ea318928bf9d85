"""Closed mouth of a person who is photographed laughing, or with it wide open.

A laugh folds the skin beside the lips, and at rest the folds stand beside a narrower mouth as brown stains: there the
skin is continued over them, and the head's own lips are mixed with the photographed ones. A scream stretches the lips,
folds the skin below them and bares their inner side. Closed as it is, it becomes a lump: the fit's offsets keep the
lower lip's shelf, the texture has skin where the lip's outer side was hidden, and a line of red on the chin. So the
head's own lips, in shape those of the average head under this person's smooth proportions, are painted with this
person's lip colour, and the skin around them is continued over what the scream did to it. Mouths that are shut or smile
stay as they are, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import TrackedPortrait
from perse.shapes import Colors, Field, HardMask
from perse.synthesis.procedural.animator.fill import blurred_within, push_pull
from perse.synthesis.procedural.animator.harmonic import smooth
from perse.synthesis.procedural.animator.mouth import how_open, how_parted
from perse.synthesis.procedural.animator.own_pose import sample
from perse.synthesis.procedural.animator.projection import PreparedPhotograph, Projection
from perse.synthesis.procedural.animator.skin_and_hair import PaintedAtlas
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.tracking.landmarks import LIPS_INNER, LIPS_OUTER
from perse.tracking.lips_at_rest import close_lips
from perse.tracking.polygons import contour_mask

_SHAPE_M = (0.010, 0.022)
"""Within the first distance of the lips the shape is smoothed, beyond the second it is the fit's."""
_PAINT_M = (0.010, 0.024)
"""The same for the texture."""
_KEPT = 0.6
"""How much of laughing lips is kept as photographed: their outer side is seen, a scream's is not."""
_SMOOTH_ROUNDS = 20
_ABOVE_M = (0.003, 0.010)
"""The same above the lips, where little is folded."""
_CELL_M = 0.00025
"""Grid on which the lips' contour is drawn, metres."""


def relaxed_lips(surface: HeadSurface, portrait: TrackedPortrait) -> Float32[NDArray[np.float32], "n 3"]:
    """Rest-pose displacement [n, 3] metres that takes a laugh or scream out of the fit's offsets; zeros without one."""
    share = how_parted(portrait.landmarks_px)
    if not share or not _knows_lips(surface):
        return np.zeros_like(surface.rest)
    model = surface.model
    offsets = portrait.head.vertex_offsets.numpy()
    fine = np.asarray(surface.mixture @ offsets, np.float32)
    even = smooth(fine, surface.average, _SMOOTH_ROUNDS)
    near = share * smoothstep(_from_lips(surface), _SHAPE_M[1], _SHAPE_M[0]) * surface.outer
    own = model.n_vertices
    mixed = torch.from_numpy(offsets + near[:own, None] * (even[:own] - offsets))
    closed = close_lips(model, portrait.head.betas, mixed).numpy()
    return np.asarray(surface.mixture @ (closed - offsets), np.float32)


@dataclass(frozen=True)
class _Box:
    """The part of the atlas around the mouth.

    Attributes:
        rows, columns: of the atlas.
        lips: [h, w], 1 on the red of the lips.
        near: [h, w], 1 beside them, falling to 0; above them sooner, where a scream changes little.
        tone: [h, w] multipliers: the line between the lips, the upper lip in its own shade, the hollow below the lower.
    """

    rows: slice
    columns: slice
    lips: Float32[NDArray[np.float32], "h w"]
    near: Float32[NDArray[np.float32], "h w"]
    tone: Float32[NDArray[np.float32], "h w"]


def closed_mouth(
    surface: HeadSurface,
    portrait: TrackedPortrait,
    picture: PreparedPhotograph,
    texels: Projection,
    atlas: PaintedAtlas,
) -> PaintedAtlas:
    """Atlas with lips and skin around them for a mouth that is shut; itself where the photograph's nearly is."""
    share = how_parted(portrait.landmarks_px)
    if not share or not _knows_lips(surface):
        return atlas
    box = _box(surface)
    here = box.rows, box.columns
    rgb, trust, pixels = atlas.rgb[here], texels.trust[here], texels.pixels[here]
    mouth = sample(picture.masks[Part.MOUTH], pixels)
    drawn = surface.atlas.face[here] >= 0
    apart = cv2.dilate(mouth, np.ones((9, 9), np.uint8))
    seen_skin = drawn & (box.lips < 0.1) & (trust > 0.3) & (apart < 0.05)
    color = _lip_color(picture, _between(portrait))
    if color is None or seen_skin.sum() < 100:
        return atlas
    skin = _even(rgb, seen_skin, 8.0)
    level = skin.mean(-1, keepdims=True) / np.median(skin[seen_skin].mean(-1))
    lip = color * np.clip(level, 0.6, 1.2)
    mouthless = (box.lips[..., None] * lip + (1 - box.lips[..., None]) * skin) * box.tone[..., None]
    kept = _KEPT * (1 - how_open(portrait.landmarks_px))
    weight = (share * box.near * (1 - kept * box.lips))[..., None]
    painted = atlas.rgb.copy()
    painted[here] = rgb + weight * (mouthless - rgb)
    labels = atlas.labels.copy()
    near = box.near > 0.5
    labels[here] = np.where(near & (labels[here] == Part.MOUTH), Part.SKIN, labels[here])
    labels[here] = np.where(near & (box.lips > 0.5), Part.MOUTH, labels[here])
    return replace(atlas, rgb=painted.astype(np.float32), labels=labels)


def _knows_lips(surface: HeadSurface) -> bool:
    return set(surface.model.landmark_ids.tolist()) >= {*LIPS_OUTER, *LIPS_INNER}


def _contour(surface: HeadSurface, loop: tuple[int, ...]) -> Float32[np.ndarray, "m 3"]:
    marks = surface.model.landmarks(surface.model.template).numpy()
    return np.asarray(marks[surface.model.landmark_rows(loop)], np.float32)


def _from_lips(surface: HeadSurface) -> Float32[np.ndarray, " n"]:
    """Distance of every vertex of the template from the nearest landmark of the lips, metres: [n]."""
    marks = np.concatenate([_contour(surface, LIPS_OUTER), _contour(surface, LIPS_INNER)])
    return np.asarray(cKDTree(marks).query(surface.rest)[0], np.float32)


def _box(surface: HeadSurface) -> _Box:
    inner, outer = _contour(surface, LIPS_INNER), _contour(surface, LIPS_OUTER)
    line = np.asarray(cKDTree(_dense(inner)).query(surface.rest)[0], np.float32)
    fields = surface.on_texels(np.concatenate([np.stack([_from_lips(surface), line], 1), surface.rest], 1))
    drawn = surface.atlas.face >= 0
    rows, columns = np.nonzero(drawn & (fields[..., 0] < _PAINT_M[1]))
    here = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    away, to_line, x, y = (fields[here][..., k] for k in range(4))
    top, middle, bottom = float(outer[:, 1].max()), float(inner[:, 1].mean()), float(outer[:, 1].min())
    above = smoothstep(y, middle, top)
    near = smoothstep(away, _PAINT_M[1], _PAINT_M[0]) * (1 - above)
    near = (near + smoothstep(away, _ABOVE_M[1], _ABOVE_M[0]) * above) * drawn[here]
    contour = outer[:, :2]
    low, high = contour.min(0) - 0.005, contour.max(0) + 0.005
    shape = np.ceil((high - low) / _CELL_M).astype(int)
    mask = contour_mask(((contour - low) / _CELL_M).astype(np.float32), (int(shape[1]), int(shape[0])), feather_px=4.0)
    lips = sample(mask, ((np.stack([x, y], -1) - low) / _CELL_M).astype(np.float32)) * (near > 0)
    half = 0.5 * float(np.ptp(contour[:, 0]))
    along = np.clip(1 - ((x - contour[:, 0].mean()) / half) ** 2, 0, 1)
    hollow = np.exp(-(((y - bottom + 0.004) / 0.004) ** 2)) * np.sqrt(along) * (1 - lips)
    tone = (1 - 0.5 * np.exp(-((to_line / 0.0012) ** 2))) * (1 - 0.12 * lips * smoothstep(y, middle, middle + 0.003))
    return _Box(*here, lips, near, (tone * (1 - 0.10 * hollow)).astype(np.float32))


def _dense(loop: Float32[np.ndarray, "m 3"]) -> Float32[np.ndarray, "l 3"]:
    """A closed contour [m, 3] with ten points a stretch."""
    steps = np.linspace(0, len(loop), 10 * len(loop), endpoint=False)
    closed = np.concatenate([loop, loop[:1]])
    return np.stack([np.interp(steps, np.arange(len(closed)), closed[:, k]) for k in range(3)], 1).astype(np.float32)


def _between(portrait: TrackedPortrait) -> Field:
    """The opening between the lips in the photograph, a little grown: [h, w]."""
    mask = contour_mask(portrait.landmarks_px[list(LIPS_INNER), :2], portrait.image.shape[:2])
    return np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)), np.float32)


def _lip_color(picture: PreparedPhotograph, between: Field) -> Float32[np.ndarray, "3"] | None:
    """The typical colour of the lips in the photograph, [3]: of their lighter half, since the rest lies in the shade of
    the mouth. None where hardly any is seen."""
    lips = (cv2.erode(picture.masks[Part.MOUTH], np.ones((3, 3), np.uint8)) > 0.7) & (between < 0.05)
    if lips.sum() < 20:
        return None
    seen = picture.rgb[lips]
    level = seen.mean(1)
    return np.asarray(np.median(seen[level >= np.median(level)], axis=0), np.float32)


def _even(rgb: Colors, known: HardMask, sigma: float) -> Colors:
    """Colours [h, w, 3] of the known texels, without fine lines, continued over the others."""
    weight = known.astype(np.float32)
    mean, amount = blurred_within(rgb, weight, sigma)
    filled = push_pull(mean, np.where(known, np.clip(amount, 0, 1), 0).astype(np.float32))
    return np.asarray(cv2.GaussianBlur(filled, (0, 0), sigma), np.float32)

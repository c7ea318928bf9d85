"""Inside of the mouth: teeth where the photograph has them, teeth of its own where it has none."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.render.mesh import project_vertices
from perse.shapes import Colors, FaceLandmarks
from perse.synthesis.procedural.animator.fill import push_pull
from perse.synthesis.procedural.animator.front_map import FrontMap
from perse.synthesis.procedural.animator.own_pose import OwnPose, sample
from perse.synthesis.procedural.animator.projection import PreparedPhotograph
from perse.synthesis.procedural.animator.surface import HeadSurface, TriangleKind
from perse.tracking.detection import face_width
from perse.tracking.landmarks import LIPS_INNER

_IVORY = np.array([222.0, 208.0, 190.0], np.float32)
_UPPER_WIDTHS_M = (0.0085, 0.0066, 0.0076, 0.0069, 0.0067, 0.0095)
_LOWER_WIDTHS_M = (0.0053, 0.0059, 0.0069, 0.0069, 0.0070, 0.0105)
"""Widths of crowns from the middle outwards (central incisor, lateral incisor, canine, premolars, molar); textbook
averages (Wheeler's Dental Anatomy)."""

_OPEN_WIDTHS = (0.12, 0.17)
_PARTED_WIDTHS = (0.08, 0.10)
"""The same from which on a smile is a laugh: with .076, the sample portrait's lips are best as photographed."""
"""Height of the opening, face widths, from which on a mouth is wide open: a broad laugh has 0.1, screams 0.2."""
_TEETH_SHARE = 0.35
"""Of a wide opening's height: below, what is bright is tongue."""
_REDDEST_TOOTH = 1.2
"""Red over the mean of the channels; tongues and palates have 1.3 and more."""

CAVITY_COLOR = (58.0, 22.0, 22.0)
GUM_COLOR = (126.0, 74.0, 70.0)
TONGUE_COLOR = (150.0, 78.0, 76.0)


@dataclass(frozen=True)
class MouthOpening:
    """Opening between the lips in the photograph.

    Attributes:
        mask: [h, w] float32, the opening between the inner lips.
        teeth: [h, w] float32, the part of it that looks like teeth.
        height_px: distance between the lips at the middle.
        wide: whether it is so wide that most of what it shows lies behind the teeth.
    """

    mask: Float32[NDArray[np.float32], "h w"]
    teeth: Float32[NDArray[np.float32], "h w"]
    height_px: float
    wide: bool = False

    @property
    def shows_teeth(self) -> bool:
        least = 0.05 if self.wide else 0.2
        return self.height_px > 2.5 and float(self.teeth.sum()) > least * float(self.mask.sum())


def how_open(landmarks_px: FaceLandmarks) -> float:
    """Degree of opening: 0 for mouths that are shut, smiling or laughing, 1 for those wide open; landmarks [478, 2 or
    3]."""
    return float(smoothstep(_gap(landmarks_px), *_OPEN_WIDTHS)[0])


def how_parted(landmarks_px: Float32[np.ndarray, "478 c"]) -> float:
    """Degree of parting: 0 for mouths that are shut or smile, 1 for those that laugh or are opened farther; landmarks
    [478, 2 or 3]."""
    return float(smoothstep(_gap(landmarks_px), *_PARTED_WIDTHS)[0])


def _gap(landmarks_px: Float32[np.ndarray, "478 c"]) -> Float32[np.ndarray, "1"]:
    """Between the lips, face widths: [1]."""
    gap = np.linalg.norm(landmarks_px[13, :2] - landmarks_px[14, :2])
    return np.array([gap / face_width(landmarks_px)], np.float32)


def find_opening(picture: PreparedPhotograph, landmarks_px: FaceLandmarks) -> MouthOpening:
    """Opening between the lips: teeth are the brighter and less red pixels there."""
    mask = np.zeros(picture.matte.shape, np.uint8)
    scale = 16
    contour = np.round((landmarks_px[list(LIPS_INNER), :2] - 0.5) * scale).astype(np.int32)
    cv2.fillPoly(mask, [contour], 1, lineType=cv2.LINE_8, shift=4)
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8)).astype(np.float32)
    height = float(np.linalg.norm(landmarks_px[13, :2] - landmarks_px[14, :2]))
    brightness = picture.rgb.mean(-1)
    redness = picture.rgb[..., 0] / np.maximum(brightness, 1)
    teeth = np.zeros_like(mask)
    wide = how_open(landmarks_px) > 0.5
    if mask.sum() > 20:
        inside = mask > 0
        level = np.quantile(brightness[inside], 0.9)
        likely = (brightness > 0.62 * level) & (redness < np.quantile(redness[inside], 0.75) + 0.05) & (level > 90)
        teeth = mask * likely
        if wide:
            rows = np.nonzero(mask.any(1))[0]
            teeth[int(rows[0] + _TEETH_SHARE * len(rows)) :] = 0
            teeth[redness > _REDDEST_TOOTH] = 0
    return MouthOpening(mask, teeth.astype(np.float32), height, wide)


def place_teeth(surface: HeadSurface, pose: OwnPose, opening: MouthOpening) -> Float32[NDArray[np.float32], "n 3"]:
    """Rest-pose displacement [n, 3], metres, of the upper teeth to where the photograph shows them.

    Only when it does: their lower edge is put at the lower edge of what is seen, and they are widened to fill the
    opening from corner to corner.
    """
    shift = np.zeros_like(surface.rest)
    upper = surface.of_kind(TriangleKind.UPPER_TEETH)
    if not opening.shows_teeth or not upper.any():
        return shift
    rows = np.nonzero(opening.teeth)[0]
    pixels, metres = pose.pixels[upper], pose.metres_per_pixel(pose.vertices[upper].mean(0))
    # The sheet hangs from the gums: stretch it downwards from its upper edge rather than moving it.
    top, bottom = pixels[:, 1].min(), pixels[:, 1].max()
    goal = np.quantile(rows, 0.97) + 1.0
    share = (pixels[:, 1] - top) / max(bottom - top, 1e-3)
    down = -share * np.clip(goal - bottom, -2.0, 14.0) * metres
    centre = pose.vertices[upper, 0].mean()
    opening_columns = np.nonzero(opening.mask.any(0))[0]
    wanted = (opening_columns.max() - opening_columns.min()) * metres
    have = float(np.ptp(pose.vertices[upper, 0]))
    wider = (pose.vertices[upper, 0] - centre) * np.clip(1.04 * wanted / have - 1, 0, 0.35)
    world = np.stack([wider, down, np.zeros_like(down)], 1).astype(np.float32)
    shift[upper] = np.einsum("nji,nj->ni", pose.rotations[upper], world)
    return shift


def paint_teeth(
    surface: HeadSurface,
    pose: OwnPose,
    picture: PreparedPhotograph,
    front: FrontMap,
    opening: MouthOpening,
    *,
    upper: bool,
) -> Colors:
    """Texture of one row of teeth, [h, w, 3] float32: drawn teeth, replaced by the photograph's where they show."""
    posed = front.fragments.interpolate(surface.faces, pose.vertices)
    pixels = project_vertices(posed.reshape(-1, 3), pose.camera)[:, :2].reshape(*posed.shape[:2], 2)
    drawn = _drawn_teeth(front, _UPPER_WIDTHS_M if upper else _LOWER_WIDTHS_M, upper)
    if opening.shows_teeth:
        seen = picture.rgb[opening.teeth > 0]
        bright = seen[seen.mean(1) >= np.quantile(seen.mean(1), 0.5)].mean(0)
        drawn = drawn * (0.5 * bright + 0.5 * _IVORY) / _IVORY
    if upper and opening.shows_teeth and not opening.wide:
        # Trust whatever is between the lips, dark corners too: it is what the photograph shows there. Of a wide open
        # mouth it would be the tongue.
        shown = smoothstep(cv2.GaussianBlur(sample(opening.mask, pixels), (0, 0), 1.0), 0.3, 0.8)[..., None]
        drawn = shown * sample(picture.rgb, pixels, sharp=True) + (1 - shown) * drawn
    return push_pull(np.clip(drawn, 0, 255).astype(np.float32), front.inside.astype(np.float32))


def _drawn_teeth(front: FrontMap, widths: tuple[float, ...], upper: bool) -> Colors:
    """A row of teeth: ivory crowns with dark gaps, rounded edges, pink gums, darker towards the back."""
    xy = front.rest_xy()
    inside = front.inside
    x = np.abs(xy[..., 0] - xy[inside][:, 0].mean())
    half = float(x[inside].max())
    # The arch turns away: equal crowns look narrower towards the side. Arc length of an ellipse-like arch:
    arc = half * np.arcsin(np.clip(x / half, 0, 0.999))
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    gap = np.abs(arc[..., None] - edges).min(-1)
    top = np.where(inside, xy[..., 1], -1.0).max(0)
    bottom = np.where(inside, xy[..., 1], 1.0).min(0)
    t = np.clip((top - xy[..., 1]) / np.maximum(top - bottom, 1e-4), 0, 1)  # 0 at the upper edge, 1 at the lower
    root = t if upper else 1 - t  # 0 at the gums
    crevice = 1 - 0.16 * np.exp(-((gap / 0.0005) ** 2))
    round_edge = 1 - 0.25 * smoothstep(root, 0.88, 1.0)
    back = 1 - 0.5 * smoothstep(x / half, 0.5, 0.98)
    gums = (1 - smoothstep(root + 8 * np.minimum(gap, 0.0025) - 0.02, 0.16, 0.24))[..., None]
    shade = (crevice * round_edge * back)[..., None]
    level = (1.0 if upper else 0.94) * shade
    return ((1 - gums) * _IVORY * level + gums * np.array([168.0, 96.0, 92.0]) * level).astype(np.float32)


def inner_shade(surface: HeadSurface) -> Float32[NDArray[np.float32], " n"]:
    """Ambient light inside the mouth, [n]: falls off towards the throat."""
    shade = np.ones(len(surface.rest), np.float32)
    inner = surface.of_kind(TriangleKind.CAVITY, TriangleKind.TONGUE) & ~surface.outer
    if not inner.any():
        return shade
    depth = surface.rest[inner, 2]
    fall = np.clip((depth.max() - depth) / 0.05, 0, 1)
    shade[inner] = 1 - 0.85 * fall
    # Front teeth bring their shading in their texture, the upper ones that of the photograph.
    for row in (TriangleKind.UPPER_TEETH, TriangleKind.LOWER_TEETH):
        teeth = surface.of_kind(row)
        if teeth.any():
            behind = surface.rest[teeth, 2].max() - surface.rest[teeth, 2]
            shade[teeth] = 1 - 0.7 * np.clip((behind - 0.008) / 0.028, 0, 1)
    return shade

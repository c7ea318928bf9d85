"""Volume of hair, hats and headphones from the picture: the scalp grows until its outline meets theirs.

Two questions are answered on the mesh. *Which* vertices are covered: those seen through the masks say so themselves,
the hidden ones continue them smoothly over the skull. *How thick* is the cover: in every direction of the picture the
outline of the mesh is compared with the outline of the masks, and the covered vertices are pushed outwards by the
difference, a few times over. A picture without hair leaves the skull as it was fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import PartMasks
from perse.render.mesh import project_vertices
from perse.shapes import HardMask, SoftMask
from perse.synthesis.procedural.animator.harmonic import extend, smooth
from perse.synthesis.procedural.animator.own_pose import OwnPose, moved, sample
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.tracking.crop import FADE_WIDTHS

COVERS = (Part.HAIR, Part.HEADWEAR)
"""Parts that stand off the skull all around."""
ATOP = (Part.HEADPHONES, Part.EARRINGS)
"""Parts that hide what is below them without saying what it is."""
HEAD_PARTS = (*COVERS, Part.SKIN, Part.BROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.EARS, Part.BEARD)

LEAST_FALL = 0.25
"""Hair that ends higher than this below the chin, in face widths, is no long hair."""
_N_ANGLES = 240
_ROUNDS = 5
_ABOVE_FOREHEAD = 0.55  # of the height from the ears to the crown
_EAR_LEVEL = 0.15  # sine of the direction below the middle of the skull
_POLAR = cv2.WARP_POLAR_LINEAR | cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS


@dataclass(frozen=True, kw_only=True)
class HairVolumeConfig:
    """Numbers by which the cover of the skull is found."""

    thickest_m: float = 0.16
    """A cover thicker than this is not followed: a raised arm is not a hat."""
    front_share: float = 0.45
    """Thickness in the middle of the view as a share of the mean thickness at the outline."""
    margin_px: float = 1.5
    """The mesh reaches this far beyond the half-transparent outline, so that soft alpha has something to lie on."""
    least_hair: float = 0.25
    """Hidden parts of the skull count as bare when less of its visible part is covered than this."""


@dataclass(frozen=True)
class HairVolume:
    """Cover of a head, and how far it lifts the vertices.

    Attributes:
        cover: [n] float32 in [0, 1], how surely a vertex is covered by hair or headwear.
        displacement: [n, 3] float32 metres, world, in the portrait's own pose.
    """

    cover: Float32[NDArray[np.float32], " n"]
    displacement: Float32[NDArray[np.float32], "n 3"]


def head_centre(surface: HeadSurface, pose: OwnPose) -> Float32[NDArray[np.float32], "3"]:
    """The middle of the skull in the posed head: above the middle of the ears, world metres [3]."""
    height = surface.rest[surface.outer, 1]
    upper = surface.outer & ~surface.ears & (surface.rest[:, 1] > np.quantile(height, 0.5))
    box = pose.vertices[upper]
    return (0.5 * (box.min(0) + box.max(0))).astype(np.float32)


def lift_hair(surface: HeadSurface, pose: OwnPose, masks: PartMasks, config: HairVolumeConfig) -> HairVolume:
    """Cover of the head and its thickness. `pose` is the bare head in the portrait's own pose."""
    soft = sum_of(masks, COVERS)
    if (soft > 0.5).sum() < 50:
        nothing = np.zeros(len(surface.rest), np.float32)
        return HairVolume(nothing, np.zeros((len(nothing), 3), np.float32))
    centre = head_centre(surface, pose)
    cover = find_cover(surface, pose, soft, masks, config)
    target = _outline(sum_of(masks, HEAD_PARTS) > 0.5, *_pixel(pose, centre), covered=soft)
    displacement = np.zeros_like(pose.vertices)
    current = pose
    for _ in range(_ROUNDS):
        growth = _growth(surface, current, centre, cover, target, config)
        displacement += growth
        displacement = smooth(displacement, surface.average, 2) * _tapering(cover)[:, None]
        current = moved(surface, pose, pose.vertices + displacement)
    return HairVolume(cover, displacement)


def sum_of(masks: PartMasks, parts: tuple[Part, ...]) -> SoftMask:
    """Soft union of parts, [h, w] in [0, 1]."""
    return np.clip(masks.soft[list(parts)].astype(np.float32).sum(0) / 255, 0, 1)


def joined(part: SoftMask, drawn: HardMask) -> HardMask:
    """Part [h, w] where it hangs together with the head, or is not there at all.

    Hair that comes out behind a shoulder or an arm stays with the body, and so does a fleck of the masks on a sleeve.
    """
    solid = cv2.morphologyEx((part > 0.4).astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    near = cv2.dilate(np.maximum(solid, drawn), np.ones((5, 5), np.uint8))
    pieces = cv2.connectedComponents(near)[1]
    return np.isin(pieces, [0, *np.unique(pieces[drawn])])


def fallen_row(chin: int, end: int | None, face_width_px: float) -> int:
    """Row that long hair reaches: some way below the chin, or where the person fades out if the photograph ends there.

    Args:
        chin: the head's lowest row.
        end: the photograph's last row if it ends within the crop.
    """
    row = int(chin + LEAST_FALL * face_width_px)
    return row if end is None else max(min(row, int(end - FADE_WIDTHS * face_width_px)), chin)


def falling_columns(
    there: SoftMask, drawn: HardMask, face_width_px: float, end: int | None
) -> Bool[NDArray[np.bool_], " w"]:
    """Columns of the sides of the face on which a part [h, w] falls below the chin, [w]; `end`: see `fallen_row`."""
    falls = np.zeros(drawn.shape[1], bool)
    if drawn.any():
        rows, columns = np.nonzero(drawn)
        below, middle = there[fallen_row(int(rows.max()), end, face_width_px) :], int(columns.mean())
        for side in (slice(None, middle), slice(middle, None)):
            falls[side] = (below[:, side] > 0.4).sum() > (0.1 * face_width_px) ** 2
    return falls


def find_cover(
    surface: HeadSurface,
    pose: OwnPose,
    soft: SoftMask,
    masks: PartMasks,
    config: HairVolumeConfig,
) -> Float32[NDArray[np.float32], " n"]:
    """Certainty [n] that each vertex is covered: read off `soft` [h, w] where it is seen, continued elsewhere."""
    seen = surface.outer & (pose.facing > 0.2) & pose.visible(pose.pixels)
    seen &= sample(sum_of(masks, ATOP), pose.pixels[:, :2]) < 0.3
    # A fitted skull that is higher than the person's stands before the wall there, which says nothing of its hair.
    seen &= sample(masks.person.astype(np.float32), pose.pixels[:, :2]) > 127
    seen &= surface.head_share > 0.8  # hair before the neck hangs there, it does not grow on it
    read = sample(soft, pose.pixels[:, :2])
    up, back = _directions(surface)
    skull = surface.outer & (up > _ABOVE_FOREHEAD)  # foreheads are bare below a full head of hair
    share = float(read[seen & skull].mean()) if (seen & skull).any() else 0.0
    crown = np.clip((share - config.least_hair) / 0.2, 0, 1)
    confidence = seen.astype(np.float32) * 4
    value = read.copy()
    behind = surface.outer & ~seen & (back > 0.2) & (up > -0.15)  # the back of the skull, down to the nape
    bare = surface.outer & ~seen & (up < -0.75)  # throat and the underside of the jaw
    value[behind], confidence[behind] = crown, 0.5
    value[bare], confidence[bare] = 0, 0.5
    return np.clip(extend(value, confidence, surface.average, surface.outer), 0, 1)


def _directions(surface: HeadSurface) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Height above and distance behind the middle of the ears, in head heights (about 1 to the crown): two [n]."""
    ears = surface.rest[surface.ears] if surface.ears.any() else surface.rest[surface.outer]
    middle = 0.5 * (ears.min(0) + ears.max(0))
    size = surface.rest[surface.outer, 1].max() - middle[1]
    return (surface.rest[:, 1] - middle[1]) / size, (middle[2] - surface.rest[:, 2]) / size


def _tapering(cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """Full thickness where covered, none where bare; the ramp is the slope of the hairline."""
    return smoothstep(cover, 0.2, 0.8)


@dataclass(frozen=True)
class _Outline:
    """An outline seen from a point: radius in pixels by angle, and how much of it is hair or headwear."""

    radius: Float32[NDArray[np.float32], " a"]
    covered: Float32[NDArray[np.float32], " a"]

    def at(self, angle: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values [a] by angle, interpolated at angles [n] in radians."""
        position = angle / (2 * np.pi) * _N_ANGLES
        low = np.floor(position).astype(np.int64)
        t = (position - low).astype(np.float32)
        return values[low % _N_ANGLES] * (1 - t) + values[(low + 1) % _N_ANGLES] * t


def _outline(
    silhouette: NDArray[np.bool_], x: float, y: float, *, covered: NDArray[np.float32] | None = None
) -> _Outline:
    reach = int(np.hypot(*silhouette.shape))
    size, middle = (reach, _N_ANGLES), (x - 0.5, y - 0.5)
    polar = cv2.warpPolar(silhouette.astype(np.float32), size, middle, reach, _POLAR)
    filled = polar > 0.5
    radius = np.where(filled.any(1), reach - filled[:, ::-1].argmax(1), 1).astype(np.float32)
    share = np.ones(_N_ANGLES, np.float32)
    if covered is not None:
        cover = cv2.warpPolar(covered, size, middle, reach, _POLAR)
        rows = np.arange(_N_ANGLES)
        samples = [cover[rows, np.clip(radius - depth, 0, reach - 1).astype(int)] for depth in (3, 6, 10)]
        share = np.mean(samples, 0).astype(np.float32)
    return _Outline(radius, share)


def _growth(
    surface: HeadSurface,
    pose: OwnPose,
    centre: NDArray[np.float32],
    cover: NDArray[np.float32],
    target: _Outline,
    config: HairVolumeConfig,
) -> NDArray[np.float32]:
    """One step outwards: [n, 3] metres."""
    x, y = _pixel(pose, centre)
    drawn = _outline(_drawn_head(surface, pose), x, y)
    gap = target.radius + config.margin_px - drawn.radius
    limit = config.thickest_m / pose.metres_per_pixel(centre)
    # Hair that falls below the jaw is no volume of the skull (see `hanging`).
    down = np.sin(2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES)
    gap = np.clip(gap, -limit, limit) * np.clip(3 * target.covered - 0.5, 0, 1) * np.clip((0.85 - down) / 0.3, 0, 1)
    gap = _no_wider_below(gap)
    gap_m = gaussian_filter1d(gap, 2.0, mode="wrap").astype(np.float32) * pose.metres_per_pixel(centre)
    relative = pose.vertices - centre
    angle = np.arctan2(pose.pixels[:, 1] - y, pose.pixels[:, 0] - x).astype(np.float32) % np.float32(2 * np.pi)
    rho = np.hypot(pose.pixels[:, 0] - x, pose.pixels[:, 1] - y) / np.maximum(drawn.at(angle, drawn.radius), 1)
    weight = target.covered * (down < 0.3)
    mean_gap = float((gap_m * weight).sum() / max(weight.sum(), 1e-6))
    at_rim = np.clip(rho, 0, 1) ** 2
    inward = np.where(pose.facing > 0, config.front_share, 1.0) * mean_gap
    thickness = at_rim * drawn.at(angle, gap_m) + (1 - at_rim) * inward
    outwards = relative / np.maximum(np.linalg.norm(relative, axis=1, keepdims=True), 1e-6)
    return (outwards * (thickness * _tapering(cover))[:, None]).astype(np.float32)


def _no_wider_below(gap: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaps by direction [a] in which hair below the ears' height stands off no farther than at it.

    Long hair spreads towards the shoulders: as a volume of the skull that is a skirt, so it hangs from there instead.
    """
    angle = 2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES
    down, right = np.sin(angle), np.cos(angle) > 0
    limited = gap.copy()
    for side in (right, ~right):
        level = side & (np.abs(down) < _EAR_LEVEL)
        below = side & (down >= _EAR_LEVEL)
        limited[below] = np.minimum(gap[below], max(float(gap[level].max()), 0.0))
    return limited


def _drawn_head(surface: HeadSurface, pose: OwnPose) -> NDArray[np.bool_]:
    """Pixels on which the head, without its neck, is drawn."""
    face = pose.fragments.face
    up, _ = _directions(surface)
    head = np.asarray((up[surface.faces] > -1.3).all(1))
    return np.asarray((face >= 0) & head[np.maximum(face, 0)])


def _pixel(pose: OwnPose, point: NDArray[np.float32]) -> tuple[float, float]:
    x, y, _ = project_vertices(point[None], pose.camera)[0]
    return float(x), float(y)

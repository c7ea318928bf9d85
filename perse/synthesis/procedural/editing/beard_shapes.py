"""Ground on which a beard may grow, and the table of its shapes and lengths. Lengths in face widths.

A new shape is a row of `BEARD_SHAPES` and its name in the vocabulary (`perse/synthesis/prompts/vocabulary.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perse.attributes import Part
from perse.curves import smoothstep
from perse.shapes import Field
from perse.synthesis.procedural.editing.canvas import as_field, blur, bump, curve, distance_inside, polygon
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.tracking.landmarks import JAW_LINE, LIPS_UPPER_OUTER, MOUTH_CORNERS

# A band of landmarks along each cheek, ear to mouth, above which a full beard does not grow; left and right alike.
_CHEEK_EDGE_RIGHT = (
    (127, 34, 0.6), (137, 123, 0.7), (147, 213, 0.5), (192, 213, 0.3), (192, 207, 0.35), (216, 212, 0.45),
)  # fmt: skip
_CHEEK_EDGE_LEFT = (
    (356, 264, 0.6), (366, 352, 0.7), (376, 433, 0.5), (416, 433, 0.3), (416, 427, 0.35), (436, 432, 0.45),
)  # fmt: skip
# The upper edge of a moustache from the right corner to the left: between the lip and the nose.
_MOUSTACHE_EDGE = (
    (57, 186, 0.2), (186, 216, 0.45), (92, 206, 0.3), (165, 98, 0.35), (167, 97, 0.45), (164, 2, 0.35),
    (393, 326, 0.45), (391, 327, 0.35), (322, 426, 0.3), (410, 436, 0.45), (287, 410, 0.2),
)  # fmt: skip


@dataclass(frozen=True)
class BeardCut:
    """Measures of one length of hair.

    Attributes:
        length: of the hair at the chin; elsewhere it is shorter.
        cheek_length: of the hair on the cheeks.
        moustache_length: of the hair on the upper lip.
        lock: width of the locks that hair gathers into; 0 for none.
        weight: pull straight down, relative to the way that hair lies.
        joints: points of a hair's curve.
        strands: number of hairs where the whole beard area is covered.
        opacity: of one hair.
        undercoat: how much the skin between the hairs is darkened.
        in_skin: roots that are seen through skin, without a mass of their own.
    """

    length: float
    cheek_length: float
    moustache_length: float
    lock: float
    weight: float = 0.16
    joints: int = 14
    strands: int = 21000
    opacity: float = 0.62
    undercoat: float = 0.72
    in_skin: bool = False


BEARD_CUTS = {
    "short": BeardCut(0.09, 0.06, 0.07, lock=0.02, weight=0.06, joints=9),
    "medium": BeardCut(0.24, 0.10, 0.10, lock=0.04),
    "long": BeardCut(0.62, 0.15, 0.15, lock=0.06),
}
_STUBBLE = BeardCut(
    0.017, 0.015, 0.015, lock=0.0, weight=0.06, joints=4, strands=13000, opacity=0.26, undercoat=0.36, in_skin=True
)


@dataclass(frozen=True)
class BeardGround:
    """Places where hair may grow.

    Attributes:
        moustache, cheeks, chin, corners, under_jaw: soft masks [h, w]; bare: below the corners of the lower lip.
        rim: the outline of the face.
        u, v: [h, w] from the chin; from_philtrum: across from it; below_mouth: down from its corners; all face widths.
    """

    moustache: Field
    cheeks: Field
    chin: Field
    corners: Field
    under_jaw: Field
    bare: Field
    rim: Field
    u: Field
    v: Field
    from_philtrum: Field
    below_mouth: Field

    @classmethod
    def of(cls, frame: FaceFrame) -> BeardGround:
        points, shape = frame.points, frame.shape
        right = curve([frame.between(*edge) for edge in _CHEEK_EDGE_RIGHT])
        left = curve([frame.between(*edge) for edge in _CHEEK_EDGE_LEFT])
        jaw = points[list(JAW_LINE)]
        full = polygon(shape, np.concatenate([right, left[::-1], jaw]))
        top = curve([frame.between(*edge) for edge in _MOUSTACHE_EDGE])
        moustache = polygon(shape, np.concatenate([top, points[list(LIPS_UPPER_OUTER)][::-1]]))
        soft_lips = frame.lips
        moustache = blur(moustache, frame.px(0.006)) * (1 - soft_lips)
        below_lip = points[17]
        reach = float(np.linalg.norm(frame.chin - below_lip)) / frame.unit
        u, v = frame.fields(below_lip)
        half_mouth = float(np.linalg.norm(points[MOUTH_CORNERS[0]] - points[MOUTH_CORNERS[1]])) / frame.unit / 2
        egg = np.sqrt((u / (0.72 * half_mouth)) ** 2 + ((v - 0.62 * reach) / (0.62 * reach)) ** 2)
        chin = smoothstep(egg, 1.15, 0.8) * (1 - soft_lips)
        corners = np.zeros(shape, np.float32)
        for corner, side in ((MOUTH_CORNERS[0], 1), (MOUTH_CORNERS[1], -1)):
            cu, cv = frame.fields(points[corner])
            # A strip from the corner of the mouth down to the side of the chin.
            center = side * (0.02 - 0.11 * (cv / max(reach, 0.1)).clip(0, 1.2) ** 1.5)
            strip = smoothstep(np.abs(cu - center), 0.055, 0.03) * smoothstep(cv, -0.03, 0.02)
            corners = np.maximum(corners, strip * smoothstep(cv, 1.05 * reach, 0.75 * reach))
        outside = frame.px(0.5) - distance_inside(1 - frame.oval)
        below_jaw = smoothstep(outside, frame.px(0.40), frame.px(0.47)) * (1 - frame.oval)
        _, from_jaw = frame.fields(points[[172, 397]].mean(0))
        neck = frame.portrait.masks[Part.NECK] + frame.portrait.masks[Part.SKIN]
        under_jaw = below_jaw * smoothstep(from_jaw, 0.0, 0.08) * neck.clip(0, 1)
        bare = np.zeros(shape, np.float32)
        for side in (-1, 1):
            bare = np.maximum(bare, bump(u, side * 0.52 * half_mouth, 0.26 * half_mouth) * bump(v, 0.05, 0.055))
        rim = smoothstep(distance_inside(frame.oval), frame.px(0.15), frame.px(0.11))
        from_philtrum, _ = frame.fields(points[164])
        _, below_mouth = frame.fields(points[list(MOUTH_CORNERS)].mean(0))
        return cls(
            moustache, full * (1 - soft_lips), chin, corners * (1 - soft_lips), under_jaw, bare, rim,
            *frame.fields(frame.chin), from_philtrum, below_mouth,
        )  # fmt: skip


def _jawline(ground: BeardGround, cut: BeardCut) -> Field:
    """Full length along the whole front of the jaw, so that a long beard ends broad and round."""
    front = smoothstep(np.abs(ground.u), 0.52, 0.06) * smoothstep(ground.v, -0.38, -0.05)
    return _longest_at(front, ground, cut)


def _cheeks(ground: BeardGround, cut: BeardCut) -> Field:
    return _longest_at(smoothstep(ground.v, -0.5, -0.15) * 0.35, ground, cut)


def _longest_at(share: Field, ground: BeardGround, cut: BeardCut) -> Field:
    length = cut.cheek_length + (cut.length - cut.cheek_length) * share
    return as_field(np.where(ground.moustache > 0.4, cut.moustache_length, length))


def _handlebar(ground: BeardGround, cut: BeardCut) -> Field:
    """Long towards its ends."""
    return as_field(cut.moustache_length * (0.75 + 0.9 * smoothstep(np.abs(ground.from_philtrum), 0.05, 0.22)))


def _full(ground: BeardGround) -> Field:
    return _most(ground.cheeks * (1 - 0.75 * ground.bare), ground.moustache, ground.under_jaw * 0.9)


def _goatee(ground: BeardGround) -> Field:
    below = ground.under_jaw * smoothstep(np.abs(ground.u), 0.22, 0.1)
    return _most(ground.moustache, ground.corners, ground.chin * (1 - 0.7 * ground.bare), below)


def _mutton_chops(ground: BeardGround) -> Field:
    return _most(ground.cheeks, ground.under_jaw * 0.8) * smoothstep(np.abs(ground.u), 0.13, 0.19)


def _chin_curtain(ground: BeardGround) -> Field:
    lower = ground.chin * smoothstep(ground.below_mouth, 0.13, 0.19)
    return _most(ground.cheeks * _most(ground.rim, lower), ground.under_jaw)


def _most(*areas: Field) -> Field:
    return as_field(np.maximum.reduce(areas))


@dataclass(frozen=True)
class BeardShape:
    """Row of the table: a shape of beard.

    Attributes:
        area: [h, w] in 0..1, where it grows.
        soften: width of its edge.
        lengths: [h, w] of its hair.
        hangs: share of its weight that pulls it down; a moustache is combed.
        cut: the only one it has; None takes the prompt's.
    """

    area: Callable[[BeardGround], Field]
    soften: float
    lengths: Callable[[BeardGround, BeardCut], Field] = _jawline
    hangs: float = 1.0
    cut: BeardCut | None = None


BEARD_SHAPES = {
    "full": BeardShape(_full, 0.026),
    "stubble": BeardShape(_full, 0.04, cut=_STUBBLE),
    "moustache": BeardShape(lambda ground: ground.moustache, 0.008, _handlebar, hangs=0.0),
    "goatee": BeardShape(_goatee, 0.012),
    "mutton chops": BeardShape(_mutton_chops, 0.014, _cheeks),
    "chin curtain": BeardShape(_chin_curtain, 0.014),
}

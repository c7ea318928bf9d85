"""Cloth over the hair: a veil or a scarf, told from the hair below it by what lies outside of what.

Seen from the middle of the face every direction meets skin, then hair, then cloth, in this order, and never hair again.
So one closed line around the head parts hair and cloth. It is found by dynamic programming over the directions, with
colours learned on either side of it; a cloth's shaded inside has other colours than its lit outside, and the order
still puts it there.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import HardMask, SoftMask
from perse.tracking.colors import ColorMixture, blur, fit_mixture
from perse.tracking.frame import FaceCoordinates
from perse.tracking.pieces import pieces_touching

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

DIRECTIONS, STEPS = 180, 120
REACH_WIDTHS = 2.0
"""Farthest point of the line from the middle of the face, face widths."""
OPEN_BELOW = 40.0
"""Degrees to either side of straight down in which no line is looked for: there is the throat."""
ROUNDS = 2
STRONGEST = 5.0
"""Most that one pixel's colour may say: folds and pearls are no reason to bend the line."""
BEND = 6.0
"""Price of moving the line by one step from one direction to the next."""
SHADES = (1.0, 0.75, 0.55, 0.4)
"""Lit cloth teaches its shaded colours too: shade scales all of a colour's coordinates."""
SKULL_AXES, SKULL_DOWN = (0.58, 0.72), -0.1
"""Half-axes of a skull's outline and its middle below the eyes, face widths: an average adult's."""
SKULL_MARGIN = (1.05, 1.3)
"""Distances from the skull's middle, in its own size, over which hair under a cloth becomes unlikely."""
UNLIKELY = 5.0
"""Percentile of the cloth's own likelihoods below which a colour is none of its: a garment has parts of many."""
ENCLOSED, FOLD_AREA = 0.75, 0.06
"""A piece is a fold of the cloth when more than this share of its border is cloth and it is smaller than this, squared
face widths."""
OFF_SKULL = 3.0
"""Log-likelihood by which hair is unlikelier there."""


def cloth_over_hair(
    lab: Float32[np.ndarray, "h w 3"],
    person: SoftMask,
    skin: SoftMask,
    outer: HardMask,
    inner: HardMask,
    frame: FaceCoordinates,
) -> SoftMask:
    """Share [h, w] in [0, 1] of the person that is the cloth.

    Args:
        lab: [h, w, 3] CIELAB; person, skin: [h, w] in [0, 1], the matte and the skin among it.
        outer, inner: [h, w], pixels above the brows that have the cloth's and the hair's tone.
    """
    smooth = blur(lab, 0.006 * frame.width_px + 0.4)
    free = (person > 0.5) & (skin < 0.5)
    cloth, hair = _shaded_mixture(smooth[outer]), fit_mixture(smooth[inner], 3)
    upper = free & (frame.down < frame.chin)
    pressed = _off_the_skull(frame)
    outside = outer
    for _ in range(ROUNDS):
        if cloth is None or hair is None:
            break  # all of it is the one or the other by now: the line of the round before stands
        says = hair.log_likelihood(smooth) - cloth.log_likelihood(smooth)
        says = np.clip(says, -STRONGEST, STRONGEST) - pressed
        outside = upper & _beyond_line(np.where(free, says, 0).astype(np.float32), frame)
        cloth, hair = fit_mixture(smooth[outside], 5), fit_mixture(smooth[upper & ~outside], 3)
    found = outside | _falling(smooth, free & ~upper, outside, frame)
    return blur(_without_holes(found, free, frame.width_px).astype(np.float32), 0.8)


def _off_the_skull(frame: FaceCoordinates) -> Floats:
    """How much speaks against hair under a cloth [h, w]: it lies on the skull, and few let it fall over the cheeks."""
    ratio = np.hypot(frame.across / SKULL_AXES[0], (frame.down - SKULL_DOWN) / SKULL_AXES[1])
    away = smoothstep(ratio, *SKULL_MARGIN)
    low = smoothstep(frame.down, 0.1, frame.mouth)
    return (OFF_SKULL * np.maximum(away, low)).astype(np.float32)


def _shaded_mixture(colors: Floats) -> ColorMixture | None:
    return fit_mixture(np.concatenate([colors * np.float32(shade) for shade in SHADES], 1).reshape(-1, 3), 5)


def _beyond_line(says_hair: Floats, frame: FaceCoordinates) -> Bools:
    """[h, w]: what lies beyond the best line; `says_hair` [h, w] is positive where colours speak for hair."""
    angles = np.radians(np.linspace(OPEN_BELOW, 360 - OPEN_BELOW, DIRECTIONS)).astype(np.float32)  # from below
    radii = (np.arange(STEPS) / STEPS * REACH_WIDTHS).astype(np.float32)
    along = np.outer(np.sin(angles), radii), np.outer(np.cos(angles), radii) + np.float32(_middle(frame))
    across_map, down_map = _pixel_of(along[0], along[1], frame)
    polar = cv2.remap(says_hair, across_map, down_map, cv2.INTER_LINEAR)
    gain = np.concatenate([np.zeros((DIRECTIONS, 1), np.float32), np.cumsum(polar, 1)[:, :-1]], 1)
    line = _best_line(gain)
    angle = np.degrees(np.arctan2(frame.across, frame.down - _middle(frame))) % 360
    radius = np.hypot(frame.across, frame.down - _middle(frame))
    edge = np.interp(angle, np.degrees(angles), radii[line])
    return np.asarray(radius >= edge)


def _best_line(gain: Floats) -> NDArray[np.int64]:
    """The step in every direction [n] that gains most in all, `gain` [n, steps], less `BEND` for every step aside."""
    steps = np.arange(gain.shape[1])
    price = BEND * np.abs(steps[:, None] - steps[None])
    total, came = gain[0], []
    for row in gain[1:]:
        reached = total[None] - price
        came.append(reached.argmax(1))
        total = row + reached.max(1)
    line = [int(total.argmax())]
    for back in reversed(came):
        line.append(int(back[line[-1]]))
    return np.array(line[::-1])


def _falling(smooth: Floats, below: Bools, upper_cloth: Bools, frame: FaceCoordinates) -> Bools:
    """The cloth below the chin: of its colours rather than the garment's, and hanging together with it."""
    cloth = fit_mixture(smooth[upper_cloth], 5)
    middle = below & (np.abs(frame.across) < 0.5) & (frame.down > frame.chin + 0.35)
    garment = fit_mixture(smooth[middle], 4)
    if cloth is None:
        return np.zeros_like(below)
    likely = cloth.log_likelihood(smooth)
    like_cloth = below & (likely > np.percentile(likely[upper_cloth], UNLIKELY))
    if garment is not None:
        like_cloth &= likely > garment.log_likelihood(smooth)
    size = 2 * max(1, round(0.02 * frame.width_px)) + 1
    opened = cv2.morphologyEx(like_cloth.astype(np.uint8), cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    return np.asarray((opened > 0) & pieces_touching((opened > 0) | upper_cloth, upper_cloth))


def _without_holes(cloth: Bools, free: Bools, width_px: float) -> Bools:
    """The cloth with the pieces of hair or garment that it encloses: folds."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats((free & ~cloth).astype(np.uint8))
    at_cloth, at_all = np.zeros(len(stats)), np.zeros(len(stats))
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        edge = np.roll(pieces, step, axis) != pieces
        at_all += np.bincount(pieces[edge], minlength=len(stats))
        at_cloth += np.bincount(pieces[edge & np.roll(cloth, step, axis)], minlength=len(stats))
    fold = (at_cloth > ENCLOSED * at_all) & (stats[:, cv2.CC_STAT_AREA] < FOLD_AREA * width_px**2)
    fold[0] = False
    return cloth | fold[pieces]


def _middle(frame: FaceCoordinates) -> float:
    """Height of the middle of the face in face coordinates."""
    return 0.5 * frame.nose


def _pixel_of(across: Floats, down: Floats, frame: FaceCoordinates) -> tuple[Floats, Floats]:
    """Pixels (x, y) of points in face coordinates, which are an affine map of the pixels."""
    origin = np.array([frame.across[0, 0], frame.down[0, 0]])
    x_step = np.array([frame.across[0, 1], frame.down[0, 1]]) - origin
    y_step = np.array([frame.across[1, 0], frame.down[1, 0]]) - origin
    back = np.linalg.inv(np.stack([x_step, y_step], 1))
    x = back[0, 0] * (across - origin[0]) + back[0, 1] * (down - origin[1])
    y = back[1, 0] * (across - origin[0]) + back[1, 1] * (down - origin[1])
    return x.astype(np.float32), y.astype(np.float32)

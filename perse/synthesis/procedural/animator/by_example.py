"""Texture by example: more of what a photograph shows, where it shows nothing.

Patches of the example carry detail alone (brightness relative to its surroundings, zero mean), each turned so that its
strands, threads or folds run down. Where they overlap they are added with weights whose squares sum to one, so that the
mixture has the contrast of its example everywhere (Heitz & Neyret 2018, equation 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.shapes import Colors, Field
from perse.synthesis.procedural.animator.fill import blurred_within, mean_of_channels

_BROAD_PX = 10.0
"""Coarser than this is tone, not detail: patches would repeat it as blotches."""
_RADII_PX = (22, 15, 10, 7)
"""Patches are as large as the hair is wide, so that locks stay locks."""
_LEAST_CENTRES = 40
_STEP_PX = 3
_RANGE = (-0.4, 0.45)
"""Deep shadows, as in a parting, would be recognised when they come again."""
_SHORTER = 0.65
_ALIKE = 2.5
"""What differs more from the median colour, in robust deviations, is something else that the mask took in."""


@dataclass(frozen=True)
class Example:
    """Hair, or another material, as the photograph shows it, to be repeated elsewhere.

    Attributes:
        detail: [h, w] float32, brightness relative to its surroundings, about zero.
        centres: [k, 2] float32, pixel x and y of discs that hold nothing else.
        angles: [k] float32 radians, the direction of strands there.
        radius_px: of the discs.
    """

    detail: Float32[NDArray[np.float32], "h w"]
    centres: Float32[NDArray[np.float32], "k 2"]
    angles: Float32[NDArray[np.float32], " k"]
    radius_px: int


def read_example(rgb: Colors, mask: Field, least_radius_px: int = _RADII_PX[-1]) -> Example | None:
    """The material of a photograph [h, w, 3] where its mask [h, w] is sure; None where there is too little of it."""
    mask = mask * _of_one_kind(rgb, mask)
    gray = mean_of_channels(rgb)[..., None]
    broad, amount = blurred_within(gray, mask, _BROAD_PX)
    detail = np.clip(gray / np.maximum(broad, 8.0) - 1, *_RANGE)[..., 0] * mask * (amount > 0.05)
    room = cv2.distanceTransform((mask > 0.8).astype(np.uint8), cv2.DIST_L2, 5)
    grid = np.zeros(mask.shape, bool)
    grid[::_STEP_PX, ::_STEP_PX] = True
    for radius in (radius for radius in _RADII_PX if radius >= least_radius_px):
        rows, columns = np.nonzero(grid & (room > radius))
        if len(rows) >= _LEAST_CENTRES:
            angles, coherence = (field[rows, columns] for field in _strands(detail.astype(np.float32), radius))
            combed = coherence >= np.median(coherence)
            centres = np.stack([columns, rows], 1).astype(np.float32)
            return Example(detail.astype(np.float32), centres[combed], angles[combed], radius)
    return None


def _of_one_kind(rgb: Colors, mask: Field) -> Field:
    """1 where the colour is the material's own, 0 where skin shows between strands, or strands lie on cloth: [h, w]."""
    smooth = cv2.GaussianBlur(rgb, (0, 0), 2.0)
    inside = smooth[mask > 0.8]
    if len(inside) < _LEAST_CENTRES:
        return np.zeros(mask.shape, np.float32)
    middle = np.median(inside, 0)
    spread = 1.48 * np.median(np.abs(inside - middle), 0) + 3
    near = np.abs(smooth - middle) < _ALIKE * spread
    alike = (near[..., 0] & near[..., 1] & near[..., 2]).astype(np.uint8)
    return cv2.morphologyEx(alike, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).astype(np.float32)


def _strands(gray: Field, radius: int) -> tuple[Field, Field]:
    """Direction along which brightness changes least, radians, and how much less than across, in [0, 1]: two [h, w],
    from the structure tensor (Bigün & Granlund 1987)."""
    gray = cv2.GaussianBlur(gray, (0, 0), 1.0)
    dx, dy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    xx, xy, yy = (cv2.GaussianBlur(product, (0, 0), 0.5 * radius) for product in (dx * dx, dx * dy, dy * dy))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    coherence = np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-9)
    return angle.astype(np.float32), coherence.astype(np.float32)


def detail_like(example: Example, along: int, across: int, seed: int) -> Float32[NDArray[np.float32], "along across"]:
    """Detail as the example's, strands running down: [along, across], periodic across, about zero.

    Training compares an edit with its reference: where the example grows or shrinks, most patches stay what they were.
    """
    r = example.radius_px
    window = np.hanning(2 * r + 1).astype(np.float32)
    window = np.maximum(np.outer(window, window), 1e-4)
    total = np.zeros((along + 4 * r, across), np.float32)
    squares = np.zeros((along + 4 * r, across), np.float32)
    columns = max(1, round(across / r))
    weight = window**2
    for row in range(0, along + 2 * r, r):
        rows = slice(row, row + 2 * r + 1)
        chosen, flips = _choose(example.centres, seed, row, columns)
        for number in range(columns):
            patch = _upright(example, int(chosen[number]), bool(flips[number])) * window
            left = int((number + 0.5 * (row // r % 2)) * across / columns)
            for taken, begin in _around(left, 2 * r + 1, across):
                there = slice(begin, begin + taken.stop - taken.start)
                total[rows, there] += patch[:, taken]
                squares[rows, there] += weight[:, taken]
    inside = slice(r, r + along)
    return (total[inside] / np.sqrt(np.maximum(squares[inside], 1e-6))).astype(np.float32)


def _around(left: int, width: int, across: int) -> list[tuple[slice, int]]:
    """Columns of a patch and the column of a periodic image at which each run of them begins."""
    runs, done = [], 0
    while done < width:
        begin = (left + done) % across
        run = min(width - done, across - begin)
        runs.append((slice(done, done + run), begin))
        done += run
    return runs


def _choose(
    centres: Float32[np.ndarray, "c 2"], seed: int, row: int, columns: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The centre of every patch in a row [columns], and whether it is turned upside down [columns].

    Every centre has a random number that depends on its place alone; the highest one is chosen, so that a centre which
    appears or disappears changes the choices that fall on it and no others (Thaler & Ravishankar 1998).
    """
    numbers = np.arange(columns, dtype=np.uint64) * np.uint64(0xC2B2AE35)
    salts = ((np.uint64(seed * 0x9E3779B1 + row * 0x85EBCA6B) + numbers) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    places = (centres[:, 0].astype(np.uint32) << np.uint32(16)) + centres[:, 1].astype(np.uint32)
    value = places ^ salts[:, None]
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        value ^= value >> np.uint32(shift)
        value *= np.uint32(factor)
    value ^= value >> np.uint32(16)
    chosen = value.argmax(1)
    return chosen, (value[np.arange(columns), chosen] & np.uint32(1)).astype(bool)


def _upright(example: Example, index: int, flip: bool) -> Float32[np.ndarray, "p p"]:
    """The patch about a centre, turned so that its strands run downwards: [2 r + 1, 2 r + 1]."""
    r = example.radius_px
    turn = float(example.angles[index]) - np.pi / 2 + (np.pi if flip else 0.0)
    cos, sin = np.cos(turn), np.sin(turn)
    # Maps pixels of the patch to those of the picture; strands become longer, so that patches do not cut them short.
    down, across = _SHORTER * np.array([-sin, cos]), np.array([cos, sin])
    matrix = np.stack([across, down, example.centres[index] - r * (across + down)], 1).astype(np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(example.detail, matrix, (2 * r + 1, 2 * r + 1), flags=flags), np.float32)

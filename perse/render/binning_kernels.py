# mypy: disable-error-code="no-untyped-def"
"""Which splats touch which tile, front to back: a stable radix sort by depth, then a counting sort by tile.

Both sorts work in chunks that threads share, and both results are unique whatever the number of chunks: the depth sort
because it is stable, the tile lists because chunks are runs of the depth order. So a picture does not depend on the
number of threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from perse.render.projection_kernels import (
    CULLED,
    HALF_HEIGHT,
    HALF_WIDTH,
    MEAN_X,
    MEAN_Y,
    REACH,
    RIGHTMOST_Y,
    SHEAR,
    SHRINK,
)

TILE = 16
"""Tiles are 16 × 16 pixels."""

_f4 = np.float32
_ZERO, _HALF = _f4(0), _f4(0.5)
_DIGIT_BITS = 11
_DIGITS = 1 << _DIGIT_BITS

_kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
_parallel_kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, parallel=True)


@_parallel_kernel
def sort_by_depth(keys, chunks, order):
    """order [f, n] int32: Gaussians of a frame by ascending key, equal keys by index; culled ones come last."""
    frames, count = keys.shape
    other = np.empty_like(order)
    counts = np.empty((frames, chunks, _DIGITS), np.int32)
    for f in numba.prange(frames):
        for i in range(count):
            other[f, i] = i
    for digit in range(3):  # 3 × 11 bits: after an odd number of passes the result is in `order`
        shift = np.uint32(digit * _DIGIT_BITS)
        source, target = (other, order) if digit % 2 == 0 else (order, other)
        for unit in numba.prange(frames * chunks):
            f, chunk = unit // chunks, unit % chunks
            mine = counts[f, chunk]
            for d in range(_DIGITS):
                mine[d] = 0
            for k in range(chunk * count // chunks, (chunk + 1) * count // chunks):
                mine[(keys[f, source[f, k]] >> shift) & np.uint32(_DIGITS - 1)] += 1
        for f in numba.prange(frames):
            total = 0
            for d in range(_DIGITS):
                for chunk in range(chunks):
                    here = counts[f, chunk, d]
                    counts[f, chunk, d] = total
                    total += here
        for unit in numba.prange(frames * chunks):
            f, chunk = unit // chunks, unit % chunks
            mine = counts[f, chunk]
            for k in range(chunk * count // chunks, (chunk + 1) * count // chunks):
                i = source[f, k]
                d = (keys[f, i] >> shift) & np.uint32(_DIGITS - 1)
                target[f, mine[d]] = i
                mine[d] += 1


@_kernel
def edges_between(splat, top, bottom):
    """Left and right edge, relative to the centre, of the part of a splat's ellipse with top ≤ dy ≤ bottom (pixels).

    The right edge x(dy) is concave with its maximum at RIGHTMOST_Y: the extreme over a band is there, or at the band's
    end nearest to it. The left edge is the right one turned by 180°.
    """
    height = splat[HALF_HEIGHT]
    top, bottom = max(top, -height), min(bottom, height)
    right_y = min(max(splat[RIGHTMOST_Y], top), bottom)
    left_y = min(max(-splat[RIGHTMOST_Y], top), bottom)
    right = splat[SHEAR] * right_y + math.sqrt(max(splat[REACH] - splat[SHRINK] * right_y * right_y, _ZERO))
    left = splat[SHEAR] * left_y - math.sqrt(max(splat[REACH] - splat[SHRINK] * left_y * left_y, _ZERO))
    return left, right


@_kernel
def _tile_rows(splat, height):
    """First tile row, and one past the last, that a splat's box reaches."""
    top = max(splat[MEAN_Y] - splat[HALF_HEIGHT] - _HALF, _ZERO)
    bottom = min(splat[MEAN_Y] + splat[HALF_HEIGHT] - _HALF, _f4(height - 1))
    return int(math.ceil(top)) // TILE, int(math.floor(bottom)) // TILE + 1


@_kernel
def _tile_columns(splat, row, width):
    """First tile column, and one past the last, that a splat's ellipse reaches in a tile row."""
    top = _f4(row * TILE) + _HALF - splat[MEAN_Y]
    left, right = edges_between(splat, top, top + _f4(TILE - 1))
    first = max(splat[MEAN_X] + left - _HALF, _ZERO)
    last = min(splat[MEAN_X] + right - _HALF, _f4(width - 1))
    if not (first <= _f4(width) and last >= _ZERO):
        return 0, 0
    return int(math.ceil(first)) // TILE, int(math.floor(last)) // TILE + 1


@_parallel_kernel
def count_pairs(splats, keys, order, width, height, chunks, counts, chunk_pairs):
    """counts [f, chunk, tiles]: splats of a chunk of the depth order in each tile; chunk_pairs [f, chunk]: their sum."""
    frames, count = keys.shape
    columns = (width + TILE - 1) // TILE
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        mine = counts[f, chunk]
        total = 0
        for t in range(mine.shape[0]):
            mine[t] = 0
        for k in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            i = order[f, k]
            if keys[f, i] == CULLED:
                break
            splat = splats[f, i]
            first_row, end_row = _tile_rows(splat, height)
            for row in range(first_row, end_row):
                first, end = _tile_columns(splat, row, width)
                for column in range(first, end):
                    mine[row * columns + column] += 1
                total += max(end - first, 0)
        chunk_pairs[f, chunk] = total


@_kernel
def place_pairs(counts, chunk_pairs, starts):
    """Turn counts into positions: where each tile's list starts, and each chunk's share of it, and of the pairs."""
    total = 0
    pairs = 0
    for f in range(counts.shape[0]):
        for t in range(counts.shape[2]):
            starts[f * counts.shape[2] + t] = total
            for chunk in range(counts.shape[1]):
                here = counts[f, chunk, t]
                counts[f, chunk, t] = total
                total += here
        for chunk in range(counts.shape[1]):
            here = chunk_pairs[f, chunk]
            chunk_pairs[f, chunk] = pairs
            pairs += here
    starts[counts.shape[0] * counts.shape[2]] = total
    return total


@_parallel_kernel
def fill_pairs(splats, keys, order, width, height, chunks, cursors, chunk_pairs, members, places, first_place):
    """Write the tile lists.

    Args:
        cursors, chunk_pairs: from `place_pairs`; consumed.
        members: [pairs] int32 out, flat Gaussian index f·n + i, tile by tile, front to back.
        places: [pairs] int32 out, positions in ``members``, Gaussian by Gaussian.
        first_place: [f, n, 2] int32 out, begin and end of a Gaussian's run in ``places``.
    """
    frames, count = keys.shape
    columns = (width + TILE - 1) // TILE
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        mine = cursors[f, chunk]
        place = chunk_pairs[f, chunk]
        for k in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            i = order[f, k]
            first_place[f, i, 0] = place
            if keys[f, i] != CULLED:
                splat = splats[f, i]
                first_row, end_row = _tile_rows(splat, height)
                for row in range(first_row, end_row):
                    first, end = _tile_columns(splat, row, width)
                    for column in range(first, end):
                        tile = row * columns + column
                        members[mine[tile]] = f * count + i
                        places[place] = mine[tile]
                        mine[tile] += 1
                        place += 1
            first_place[f, i, 1] = place

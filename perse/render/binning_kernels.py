# mypy: ignore-errors
"""Which splats touch which tile, front to back: a stable radix sort by depth, then a counting sort by tile.

Frames are shared by the threads, a frame is one thread's: 4 ms for 130,000 splats, a few percent of drawing them.
"""

from __future__ import annotations

import numba
import numpy as np

from perse.render.compiled import kernel, parallel_kernel

_DIGIT_BITS = 11
_DIGITS = 1 << _DIGIT_BITS
_LOW_HALF = 0xFFFF


@kernel
def _sort_pass(keys, shift, source, target):
    positions = np.zeros(_DIGITS, np.int32)
    mask = np.uint32(_DIGITS - 1)
    for key in keys:
        positions[(key >> shift) & mask] += 1
    total = 0
    for digit in range(_DIGITS):
        here = positions[digit]
        positions[digit] = total
        total += here
    for i in source:
        digit = (keys[i] >> shift) & mask
        target[positions[digit]] = i
        positions[digit] += 1


@kernel
def _sort_by_depth(depths, order):
    """order [m] int32: splats by ascending depth (positive or +inf), equal depths by index."""
    # Positive floats sort like their bits. Three passes of 11 bits; the second one goes back to `numbers`.
    keys = depths.view(np.uint32)
    numbers = np.arange(depths.shape[0]).astype(np.int32)
    _sort_pass(keys, np.uint32(0), numbers, order)
    _sort_pass(keys, np.uint32(_DIGIT_BITS), order, numbers)
    _sort_pass(keys, np.uint32(2 * _DIGIT_BITS), numbers, order)


@kernel
def bin_frame(f, depths, columns, rows, tiles_across, bases, order, starts, members, places, place_starts):
    """Write the tile lists of one frame.

    Args:
        depths, columns, rows: [f, m] from `perse.render.projection_kernels.project_splats`.
        bases: [f] int64, pairs of all frames before.
        order: [f, m] int32 out, splats by depth.
        starts: [f, tiles] int32 out, where each tile's list starts in ``members``.
        members: [pairs] int32 out, flat splat index f·m + i, tile by tile, front to back.
        places: [pairs] int32 out, positions in ``members``, splat by splat in depth order.
        place_starts: [f, m] int32 out, where the run of the splat of each rank starts in ``places``.
    """
    _sort_by_depth(depths[f], order[f])
    count, tiles = order.shape[1], starts.shape[1]
    cursors = np.zeros(tiles, np.int32)
    for i in range(count):
        first, end = columns[f, i] & _LOW_HALF, columns[f, i] >> 16
        for row in range(rows[f, i] & _LOW_HALF, rows[f, i] >> 16):
            for tile in range(row * tiles_across + first, row * tiles_across + end):
                cursors[tile] += 1
    position = bases[f]
    for tile in range(tiles):
        starts[f, tile] = position
        here = cursors[tile]
        cursors[tile] = position
        position += here
    place = bases[f]
    for rank in range(count):
        i = order[f, rank]
        place_starts[f, rank] = place
        first, end = columns[f, i] & _LOW_HALF, columns[f, i] >> 16
        for row in range(rows[f, i] & _LOW_HALF, rows[f, i] >> 16):
            for tile in range(row * tiles_across + first, row * tiles_across + end):
                position = cursors[tile]
                cursors[tile] = position + 1
                members[position] = f * count + i
                places[place] = position
                place += 1


@parallel_kernel
def bin_frames(depths, columns, rows, tiles_across, bases, order, starts, members, places, place_starts):
    """`bin_frame` for all frames."""
    for f in numba.prange(depths.shape[0]):
        bin_frame(f, depths, columns, rows, tiles_across, bases, order, starts, members, places, place_starts)

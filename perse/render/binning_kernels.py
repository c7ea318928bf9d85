# mypy: ignore-errors
"""Which splats touch which tile, front to back: a stable radix sort by depth, then a counting sort by tile.

The counting sort works in chunks that threads share. Chunks are runs of the depth order, so that the lists come out the
same whatever their number: a picture does not depend on the number of threads.
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


@parallel_kernel
def sort_by_depth(depths, order):
    """order [f, m] int32: splats of a frame by ascending depth (positive or +inf), equal depths by index."""
    frames, count = depths.shape
    for f in numba.prange(frames):
        # Positive floats sort like their bits. Three passes of 11 bits; the second one goes back to `numbers`.
        keys = depths[f].view(np.uint32)
        numbers = np.arange(count).astype(np.int32)
        _sort_pass(keys, np.uint32(0), numbers, order[f])
        _sort_pass(keys, np.uint32(_DIGIT_BITS), order[f], numbers)
        _sort_pass(keys, np.uint32(2 * _DIGIT_BITS), numbers, order[f])


@parallel_kernel
def count_pairs(columns, rows, order, tiles_across, chunks, counts, chunk_pairs):
    """counts [f, chunk, tiles]: splats of a chunk of the depth order in each tile; chunk_pairs [f, chunk]: sums."""
    frames, count = order.shape
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        mine = counts[f, chunk]
        mine[:] = 0
        total = 0
        for rank in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            i = order[f, rank]
            first, end = columns[f, i] & _LOW_HALF, columns[f, i] >> 16
            top, bottom = rows[f, i] & _LOW_HALF, rows[f, i] >> 16
            for row in range(top, bottom):
                for tile in range(row * tiles_across + first, row * tiles_across + end):
                    mine[tile] += 1
            total += (bottom - top) * (end - first)
        chunk_pairs[f, chunk] = total


@kernel
def place_pairs(counts, chunk_pairs, starts):
    """Turn counts into positions: where each tile's list starts, and each chunk's share of it, and of the pairs.

    Returns the number of pairs (splat, tile).
    """
    frames, chunks, tiles = counts.shape
    total = 0
    pairs = 0
    for f in range(frames):
        for tile in range(tiles):
            starts[f * tiles + tile] = total
            for chunk in range(chunks):
                here = counts[f, chunk, tile]
                counts[f, chunk, tile] = total
                total += here
        for chunk in range(chunks):
            here = chunk_pairs[f, chunk]
            chunk_pairs[f, chunk] = pairs
            pairs += here
    starts[frames * tiles] = total
    return total


@parallel_kernel
def fill_pairs(columns, rows, order, tiles_across, chunks, cursors, chunk_pairs, members, places, place_starts):
    """Write the tile lists.

    Args:
        cursors, chunk_pairs: from `place_pairs`; the cursors are consumed.
        members: [pairs] int32 out, flat splat index f·m + i, tile by tile, front to back.
        places: [pairs] int32 out, positions in ``members``, splat by splat in depth order.
        place_starts: [f·m + 1] int32 out, where the run of the splat of each rank f·m + k starts in ``places``.
    """
    frames, count = order.shape
    place_starts[frames * count] = members.shape[0]
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        mine = cursors[f, chunk]
        place = chunk_pairs[f, chunk]
        for rank in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            i = order[f, rank]
            place_starts[f * count + rank] = place
            first, end = columns[f, i] & _LOW_HALF, columns[f, i] >> 16
            for row in range(rows[f, i] & _LOW_HALF, rows[f, i] >> 16):
                for tile in range(row * tiles_across + first, row * tiles_across + end):
                    position = mine[tile]
                    mine[tile] = position + 1
                    members[position] = f * count + i
                    places[place] = position
                    place += 1

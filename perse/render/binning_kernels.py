# mypy: ignore-errors
"""Binning of splats into tiles, front to back: a stable radix sort by depth, then a counting sort by tile.

A frame's splats are cut into chunks, one a thread. Every step counts in each chunk first; the counts of all chunks say
where each one writes, so that the lists are the same for any number of chunks.
"""

from __future__ import annotations

import numba
import numpy as np

from perse.render.compiled import kernel, parallel_kernel

SPLAT, SLOT = 0, 1
"""Columns of the tile lists."""

_DIGIT_BITS = 11
_DIGITS = 1 << _DIGIT_BITS
_LOW_HALF = 0xFFFF
_INDEX_BITS = np.uint64(32)
_INDEX = np.uint64(0xFFFFFFFF)
_INFINITY = np.uint32(0x7F800000)


@kernel
def _pairs_of(across, down):
    """How many tiles a packed box has."""
    return ((across >> 16) - (across & _LOW_HALF)) * ((down >> 16) - (down & _LOW_HALF))


@kernel
def _survey(depths, columns, rows):
    """(pairs, lowest, highest) of a chunk: of depths, as the bits of a positive float sort, among those drawn."""
    pairs, lowest, highest = 0, _INFINITY, np.uint32(0)
    for i in range(depths.shape[0]):
        pairs += _pairs_of(columns[i], rows[i])
        if depths[i] < _INFINITY:
            lowest, highest = min(lowest, depths[i]), max(highest, depths[i])
    return pairs, lowest, highest


@kernel
def _count_digits(entries, shift, counts):
    counts[:] = 0
    for entry in entries:
        counts[(entry >> shift) & np.uint64(_DIGITS - 1)] += 1


@kernel
def _first_places(counts, chunk, places):
    """Where a chunk writes its first entry of each kind: after all smaller kinds, and after the chunks before it."""
    total = 0
    for kind in range(counts.shape[1]):
        for other in range(counts.shape[0]):
            if other == chunk:
                places[kind] = total
            total += counts[other, kind]


@kernel
def _move(entries, shift, counts, chunk, target):
    """One pass of the radix sort for a chunk's entries."""
    places = np.empty(_DIGITS, np.int64)
    _first_places(counts, chunk, places)
    for entry in entries:
        digit = (entry >> shift) & np.uint64(_DIGITS - 1)
        target[places[digit]] = entry
        places[digit] += 1


@kernel
def _count_tiles(entries, columns, rows, across, corners, counts):
    """How many of a chunk's boxes hold each tile.

    Every box marks its corners with ±1, and the sums to the right and down give the counts: no loop over its tiles,
    whose length no processor could predict.
    """
    stride = across + 1
    corners[:] = 0
    for entry in entries:
        i = entry & _INDEX
        left, right = columns[i] & _LOW_HALF, columns[i] >> 16
        top, bottom = (rows[i] & _LOW_HALF) * stride, (rows[i] >> 16) * stride
        corners[top + left] += 1
        corners[top + right] -= 1
        corners[bottom + left] -= 1
        corners[bottom + right] += 1
    for row in range(counts.shape[0] // across):
        along = 0
        for column in range(across):
            along += corners[row * stride + column]
            above = counts[(row - 1) * across + column] if row > 0 else 0
            counts[row * across + column] = above + along


@kernel
def _list_chunk(entries, columns, rows, across, places, first, slot_starts, members):
    """Append a chunk's splats, whose flat indices start at ``first``, to the lists of the tiles that they touch."""
    for entry in entries:
        i = entry & _INDEX
        left, right = columns[i] & _LOW_HALF, columns[i] >> 16
        tile, column, to_next_row = (rows[i] & _LOW_HALF) * across + left, left, across - (right - left)
        # One loop, not one in another: the length of each is guessed wrong, and that is what this step costs.
        for slot in range(slot_starts[i], slot_starts[i + 1]):
            place = places[tile]
            places[tile] = place + 1
            members[place, SPLAT] = first + np.int64(i)
            members[place, SLOT] = slot
            column += 1
            at_end = column == right
            tile += 1 + (to_next_row if at_end else 0)
            column = left if at_end else column


@parallel_kernel
def list_tiles(depths, columns, rows, across, down, chunks):
    """Tile lists of all frames.

    Args:
        depths, columns, rows: [f, m] from `perse.render.projection_kernels.project_splats`.
        across, down: tiles in a row and in a column.
        chunks: parts that each frame is cut into.

    Returns:
        members [pairs, 2] int32: flat splat index f·m + i, and the slot that the pair owns; tile by tile, front to
            back, equal depths by index.
        starts [f · tiles + 1] int32: where each tile's list starts in ``members``.
        slot_starts [f · m + 1] int32: where each splat's run of slots starts; slots lie splat by splat.
    """
    frames, padded = depths.shape
    units, tiles = frames * chunks, across * down
    bits = depths.view(np.uint32)
    cuts = np.empty(chunks + 1, np.int64)
    for chunk in range(chunks + 1):
        cuts[chunk] = chunk * padded // chunks
    slot_starts = np.empty(frames * padded + 1, np.int32)
    starts = np.empty(frames * tiles + 1, np.int32)

    survey = np.zeros((units, 3), np.int64)
    for unit in numba.prange(units):
        f, begin, end = unit // chunks, cuts[unit % chunks], cuts[unit % chunks + 1]
        pairs, lowest, highest = _survey(bits[f, begin:end], columns[f, begin:end], rows[f, begin:end])
        survey[unit, 0], survey[unit, 1], survey[unit, 2] = pairs, lowest, highest
    pairs_before = np.zeros(units + 1, np.int64)
    lowest, highest = np.int64(_INFINITY), np.int64(0)
    for unit in range(units):
        pairs_before[unit + 1] = pairs_before[unit] + survey[unit, 0]
        lowest, highest = min(lowest, survey[unit, 1]), max(highest, survey[unit, 2])
    slot_starts[frames * padded] = starts[frames * tiles] = pairs_before[units]

    # Sort by depth (32 bits, above the lowest one), with the index below it; what is not drawn comes last.
    last_key = max(highest - lowest + 1, 0)
    source, target = np.empty((frames, padded), np.uint64), np.empty((frames, padded), np.uint64)
    counts = np.empty((frames, chunks, _DIGITS), np.int32)
    for unit in numba.prange(units):
        f, chunk = unit // chunks, unit % chunks
        slot = pairs_before[unit]
        for i in range(cuts[chunk], cuts[chunk + 1]):
            slot_starts[f * padded + i] = slot
            slot += _pairs_of(columns[f, i], rows[f, i])
            key = np.int64(bits[f, i]) - lowest if bits[f, i] < _INFINITY else last_key
            source[f, i] = (np.uint64(key) << _INDEX_BITS) | np.uint64(i)
    shift = _INDEX_BITS
    while last_key > 0:
        for unit in numba.prange(units):
            f, chunk = unit // chunks, unit % chunks
            _count_digits(source[f, cuts[chunk] : cuts[chunk + 1]], shift, counts[f, chunk])
        for unit in numba.prange(units):
            f, chunk = unit // chunks, unit % chunks
            _move(source[f, cuts[chunk] : cuts[chunk + 1]], shift, counts[f], chunk, target[f])
        source, target = target, source
        shift += np.uint64(_DIGIT_BITS)
        last_key >>= _DIGIT_BITS

    # Deal the sorted splats out to the tiles.
    members = np.empty((pairs_before[units], 2), np.int32)
    in_tile = np.empty((frames, chunks, tiles), np.int32)
    corners = np.empty((units, (across + 1) * (down + 1)), np.int32)
    for unit in numba.prange(units):
        f, chunk = unit // chunks, unit % chunks
        _count_tiles(
            source[f, cuts[chunk] : cuts[chunk + 1]], columns[f], rows[f], across, corners[unit],
            in_tile[f, chunk],
        )  # fmt: skip
    for unit in numba.prange(units):
        f, chunk = unit // chunks, unit % chunks
        places = np.empty(tiles, np.int64)
        _first_places(in_tile[f], chunk, places)
        places += pairs_before[f * chunks]
        if chunk == 0:
            starts[f * tiles : (f + 1) * tiles] = places
        _list_chunk(
            source[f, cuts[chunk] : cuts[chunk + 1]], columns[f], rows[f], across, places, f * padded,
            slot_starts[f * padded : (f + 1) * padded + 1], members,
        )  # fmt: skip
    return members, starts, slot_starts

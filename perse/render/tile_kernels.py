# mypy: ignore-errors
"""Blending of a tile, forward and backward, sixteen pixels at a time.

A tile of 16 × 16 pixels is sixteen blocks of 4 × 4, a block is one SIMD register. Splats are taken front to back; each
visits only the blocks that its ellipse touches (a 16-bit mask a splat and tile). Blocks rather than rows of sixteen:
a splat of six pixels touches five blocks and eight rows.

The backward pass also walks front to back. With S_i = Σ_{j>i} w_j (g·c_j) + T_final (g·background) the derivative by
ln α_i is α_i (T_i g·c_i − S_i / (1 − α_i)), and S_i is the picture's own g·C minus what has been passed: no list of
transmittances has to be kept. Every (splat, tile) writes a slot of its own, summed afterwards in a fixed order: no
atomic addition, the same bits every time.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from perse.render.binning_kernels import SLOT, SPLAT
from perse.render.compiled import kernel, parallel_kernel
from perse.render.constants import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from perse.render.lane_memory import load, prefetch, prefetch_to_write, store, store_sums
from perse.render.lanes import (
    bits_above,
    choose,
    constant,
    exp2,
    larger,
    largest,
    lowest_set_bit,
    smaller,
    spread,
    square_root,
    take_ticket,
)
from perse.render.projection_kernels import (
    GROUP,
    HALF_HEIGHT,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    PLANES,
    QUAD_XX,
    QUAD_XY,
    QUAD_YY,
    REACH,
    RIGHTMOST_Y,
    SHEAR,
    SHRINK,
    SPLAT_SIZE,
    SUMS,
    TILE,
)

_SIDE = 4
_BLOCK = _SIDE * _SIDE
_BLOCKS = TILE * TILE // _BLOCK
_PIXELS = TILE * TILE
_ALL_BLOCKS = 0xFFFF
_CHECK_EVERY = 16  # splats between two looks at which blocks are finished
_AHEAD = 4  # splats that are fetched before they are needed

_f4 = np.float32
_ZERO, _ONE, _TWO, _HALF = _f4(0), _f4(1), _f4(2), _f4(0.5)
_LAST = _f4(_SIDE - 1)  # from a block's first pixel centre to its last
_BELOW_MIN_ALPHA = np.nextafter(_f4(math.log2(MIN_ALPHA)), _f4(-100))  # `choose` compares strictly
_MAX_ALPHA, _MIN_LIGHT = _f4(MAX_ALPHA), _f4(MIN_TRANSMITTANCE)

_x_in_block = [lane % _SIDE for lane in range(_BLOCK)]
_y_in_block = [lane // _SIDE for lane in range(_BLOCK)]
_pixel_x = constant(_x_in_block)
_pixel_y = constant(_y_in_block)
_pixel_xx = constant([x * x for x in _x_in_block])
_pixel_xy = constant([x * y for x, y in zip(_x_in_block, _y_in_block, strict=True)])
_pixel_yy = constant([y * y for y in _y_in_block])
_block_x = constant([_SIDE * x for x in _x_in_block])  # blocks lie in a tile as pixels do in a block
_block_y = constant([_SIDE * y for y in _y_in_block])

# Rows of a tile's scratch memory beside its planes: what each block needs to know about the splat at hand.
_AT_CORNER, _SLOPE_X, _SLOPE_Y, _CORNER_X, _CORNER_Y = 0, 16, 32, 48, 64
_SCRATCH = 80


@kernel
def _blocks_touched(splats, at, left, top):
    """Bit k is set if the ellipse of the splat at ``at`` touches block k of the tile with this corner.

    All blocks at once, one to a lane. The right edge x(dy) of an ellipse is concave with its maximum at RIGHTMOST_Y, so
    its extreme over a block's rows is there or at the end nearest to it; the left edge is the right one turned by 180°.
    """
    x = _block_x() + (left + _HALF - splats[at + MEAN_X])
    y = _block_y() + (top + _HALF - splats[at + MEAN_Y])
    height, rightmost = splats[at + HALF_HEIGHT], splats[at + RIGHTMOST_Y]
    shear, reach, shrink = splats[at + SHEAR], splats[at + REACH], splats[at + SHRINK]
    first, last = larger(y, -height), smaller(y + _LAST, height)
    right_y = smaller(larger(rightmost, first), last)
    left_y = smaller(larger(-rightmost, first), last)
    right_edge = right_y * shear + square_root(larger(reach - right_y * right_y * shrink, _ZERO))
    left_edge = left_y * shear - square_root(larger(reach - left_y * left_y * shrink, _ZERO))
    return bits_above(last, first) & bits_above(right_edge, x) & bits_above(x + _LAST, left_edge)


@kernel
def _expand(splats, at, left, top, scratch):
    """Taylor coefficients of log2 α about every block's first pixel, into ``scratch``."""
    x = _block_x() + (left + _HALF - splats[at + MEAN_X])
    y = _block_y() + (top + _HALF - splats[at + MEAN_Y])
    xx, xy, yy = splats[at + QUAD_XX], splats[at + QUAD_XY], splats[at + QUAD_YY]
    along_x, along_y = x * xx + y * xy, y * yy
    store(scratch, _AT_CORNER, (x * along_x + y * along_y) + splats[at + LOG2_OPACITY])
    store(scratch, _SLOPE_X, along_x + x * xx)
    store(scratch, _SLOPE_Y, x * xy + along_y + along_y)
    store(scratch, _CORNER_X, x)
    store(scratch, _CORNER_Y, y)


@kernel
def _curvature(splats, at):
    """The quadratic part of log2 α inside of a block: the same for all blocks."""
    return _pixel_xx() * splats[at + QUAD_XX] + _pixel_xy() * splats[at + QUAD_XY] + _pixel_yy() * splats[at + QUAD_YY]


@kernel
def _log2_alpha(scratch, block, curvature):
    linear = _pixel_x() * scratch[_SLOPE_X + block] + _pixel_y() * scratch[_SLOPE_Y + block]
    return linear + (curvature + scratch[_AT_CORNER + block])


@kernel
def _blocks_with_light(state):
    """The blocks with a pixel whose transmittance (plane 0) is still positive."""
    mask = 0
    for block in range(_BLOCKS):
        if largest(load(state, block * _BLOCK)) > _ZERO:
            mask |= 1 << block
    return mask


@kernel
def _blend_tile(left, top, begin, end, splats, members, masks, state, scratch):
    """Blend a tile's splats into ``state``: transmittance (negative once finished) and four planes, block by block.

    Returns one past the last splat looked at; ``masks`` remember which blocks each visited.
    """
    for block in range(_BLOCKS):
        store(state, block * _BLOCK, spread(_ONE))
        for plane in range(1, GROUP + 1):
            store(state, plane * _PIXELS + block * _BLOCK, spread(_ZERO))
    lit = _ALL_BLOCKS
    for position in range(begin, end):
        if (position - begin) % _CHECK_EVERY == _CHECK_EVERY - 1:
            lit = _blocks_with_light(state)
            if lit == 0:
                return position
        prefetch(splats, members[min(position + _AHEAD, end - 1), SPLAT] * SPLAT_SIZE)
        splat = members[position, SPLAT] * SPLAT_SIZE
        mask = _blocks_touched(splats, splat, left, top) & lit
        masks[position] = mask
        if mask == 0:
            continue
        _expand(splats, splat, left, top, scratch)
        curvature = _curvature(splats, splat)
        c0, c1 = spread(splats[splat + PLANES]), spread(splats[splat + PLANES + 1])
        c2, c3 = spread(splats[splat + PLANES + 2]), spread(splats[splat + PLANES + 3])
        while mask != 0:
            block = lowest_set_bit(mask)
            mask &= mask - 1
            at = block * _BLOCK
            exponent = _log2_alpha(scratch, block, curvature)
            alpha = choose(exponent, _BELOW_MIN_ALPHA, smaller(exp2(exponent), _MAX_ALPHA), _ZERO)
            light = load(state, at)
            before = larger(light, _ZERO)
            weight = alpha * before
            after = before - weight
            weight = choose(after, _MIN_LIGHT, weight, _ZERO)
            store(state, at, choose(after, _MIN_LIGHT, after, smaller(light, _ZERO - light)))
            store(state, at + _PIXELS, load(state, at + _PIXELS) + weight * c0)
            store(state, at + 2 * _PIXELS, load(state, at + 2 * _PIXELS) + weight * c1)
            store(state, at + 3 * _PIXELS, load(state, at + 3 * _PIXELS) + weight * c2)
            store(state, at + 4 * _PIXELS, load(state, at + 4 * _PIXELS) + weight * c3)
    return end


@kernel
def _unblend_tile(left, top, begin, end, splats, members, masks, state, scratch, slots):
    """The backward pass of `_blend_tile` over the splats it looked at.

    ``state``: transmittance (zero once finished), the rest S, and the cotangents of the four planes.
    """
    for position in range(begin, end):
        ahead = min(position + _AHEAD, end - 1)
        prefetch(splats, members[ahead, SPLAT] * SPLAT_SIZE)
        prefetch_to_write(slots, members[ahead, SLOT] * SUMS)
        splat = members[position, SPLAT] * SPLAT_SIZE
        slot = members[position, SLOT] * SUMS
        mask = np.int64(masks[position])
        if mask == 0:
            store(slots, slot, spread(_ZERO))
            continue
        _expand(splats, splat, left, top, scratch)
        curvature = _curvature(splats, splat)
        c0, c1 = spread(splats[splat + PLANES]), spread(splats[splat + PLANES + 1])
        c2, c3 = spread(splats[splat + PLANES + 2]), spread(splats[splat + PLANES + 3])
        nothing = spread(_ZERO)
        sum0, sum1, sum2, sum3 = nothing, nothing, nothing, nothing
        u_1, u_x, u_y, u_xx, u_xy, u_yy = nothing, nothing, nothing, nothing, nothing, nothing
        while mask != 0:
            block = lowest_set_bit(mask)
            mask &= mask - 1
            at = block * _BLOCK
            exponent = _log2_alpha(scratch, block, curvature)
            raw = choose(exponent, _BELOW_MIN_ALPHA, exp2(exponent), _ZERO)
            alpha = smaller(raw, _MAX_ALPHA)
            before = load(state, at)
            weight = alpha * before
            after = before - weight
            weight = choose(after, _MIN_LIGHT, weight, _ZERO)
            store(state, at, choose(after, _MIN_LIGHT, after, _ZERO))

            g0, g1 = load(state, at + 2 * _PIXELS), load(state, at + 3 * _PIXELS)
            g2, g3 = load(state, at + 4 * _PIXELS), load(state, at + 5 * _PIXELS)
            sum0 = sum0 + weight * g0
            sum1 = sum1 + weight * g1
            sum2 = sum2 + weight * g2
            sum3 = sum3 + weight * g3
            own = g0 * c0 + g1 * c1 + g2 * c2 + g3 * c3
            rest = load(state, at + _PIXELS) - weight * own
            store(state, at + _PIXELS, rest)

            # Derivative by ln α: none where the pixel was finished, nor where alpha was clamped.
            u = alpha * (before * own - rest / (_ONE - alpha))
            u = choose(after, _MIN_LIGHT, u, _ZERO)
            u = choose(raw, _MAX_ALPHA, _ZERO, u)
            dx = _pixel_x() + scratch[_CORNER_X + block]
            dy = _pixel_y() + scratch[_CORNER_Y + block]
            along_x, along_y = u * dx, u * dy
            u_1 = u_1 + u
            u_x = u_x + along_x
            u_y = u_y + along_y
            u_xx = u_xx + along_x * dx
            u_xy = u_xy + along_x * dy
            u_yy = u_yy + along_y * dy
        store_sums(slots, slot, sum0, sum1, sum2, sum3, u_1, u_x, u_y, u_xx, u_xy, u_yy)


@kernel
def _lane_of(x, y):
    """Where a tile's pixel lies in a plane that is stored block by block."""
    return (y // _SIDE * _SIDE + x // _SIDE) * _BLOCK + y % _SIDE * _SIDE + x % _SIDE


@kernel
def _write_plane(left, top, state, plane, behind, picture):
    """Copy a plane of a blended tile into a picture [h, w], over ``behind``."""
    height, width = picture.shape
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            at = _lane_of(x, y)
            picture[top + y, left + x] = state[plane * _PIXELS + at] + abs(state[at]) * behind


@kernel
def _write_tile(left, top, state, group, background, colors, alphas, depths):
    """Copy a blended tile into the pictures."""
    height, width, channels = colors.shape
    if group == 0:
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                alphas[top + y, left + x] = _ONE - abs(state[_lane_of(x, y)])
    for plane in range(GROUP):
        channel = group * GROUP + plane
        if channel < channels:
            _write_plane(left, top, state, plane + 1, background[channel], colors[:, :, channel])
        elif channel == channels:
            _write_plane(left, top, state, plane + 1, _ZERO, depths)


@kernel
def _read_plane(left, top, state, plane, picture, cotangents):
    """A plane's cotangents [h, w] into ``state``, and their product with the picture into the rest S."""
    height, width = picture.shape
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            at, cotangent = _lane_of(x, y), cotangents[top + y, left + x]
            state[plane * _PIXELS + at] = cotangent
            state[_PIXELS + at] += cotangent * picture[top + y, left + x]


@kernel
def _read_cotangents(left, top, state, group, colors, alphas, depths, g_colors, g_alphas, g_depths):
    """Prepare ``state`` for `_unblend_tile` from the pictures and their cotangents."""
    height, width, channels = colors.shape
    state[:] = _ZERO
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            at = _lane_of(x, y)
            state[at] = _ONE
            # The background is part of the colours, so its share of S is too.
            if group == 0:
                state[_PIXELS + at] = (alphas[top + y, left + x] - _ONE) * g_alphas[top + y, left + x]
    for plane in range(GROUP):
        channel = group * GROUP + plane
        if channel < channels:
            _read_plane(left, top, state, plane + 2, colors[:, :, channel], g_colors[:, :, channel])
        elif channel == channels:
            _read_plane(left, top, state, plane + 2, depths, g_depths)


@parallel_kernel
def blend(splats, members, starts, group, background, workers, masks, ends, colors, alphas, depths):
    """Forward pass over all tiles of all frames. Flat splats; pictures [f, h, w, c], [f, h, w], [f, h, w]."""
    frames, height, width = alphas.shape
    across = (width + TILE - 1) // TILE
    tiles = across * ((height + TILE - 1) // TILE)
    counter = np.zeros(1, np.int64)
    for _ in numba.prange(workers):
        state = np.empty((1 + GROUP) * _PIXELS, np.float32)
        scratch = np.empty(_SCRATCH, np.float32)
        ticket = take_ticket(counter)
        while ticket < frames * tiles:
            f, tile = ticket // tiles, ticket % tiles
            left, top = tile % across * TILE, tile // across * TILE
            begin, end = starts[ticket], starts[ticket + 1]
            ends[ticket] = _blend_tile(_f4(left), _f4(top), begin, end, splats, members, masks, state, scratch)
            _write_tile(left, top, state, group, background, colors[f], alphas[f], depths[f])
            ticket = take_ticket(counter)


@parallel_kernel
def unblend(
    splats, members, starts, group, workers, masks, ends, colors, alphas, depths, g_colors, g_alphas, g_depths, slots
):  # fmt: skip
    """Backward pass over all tiles; fills slots [pairs · SUMS], with zeros where a tile stopped before a splat."""
    frames, height, width = alphas.shape
    across = (width + TILE - 1) // TILE
    tiles = across * ((height + TILE - 1) // TILE)
    counter = np.zeros(1, np.int64)
    for _ in numba.prange(workers):
        state = np.empty((2 + GROUP) * _PIXELS, np.float32)
        scratch = np.empty(_SCRATCH, np.float32)
        ticket = take_ticket(counter)
        while ticket < frames * tiles:
            f, tile = ticket // tiles, ticket % tiles
            left, top = tile % across * TILE, tile // across * TILE
            begin, end = starts[ticket], ends[ticket]
            if end > begin:
                _read_cotangents(
                    left, top, state, group,
                    colors[f], alphas[f], depths[f], g_colors[f], g_alphas[f], g_depths[f],
                )  # fmt: skip
                _unblend_tile(_f4(left), _f4(top), begin, end, splats, members, masks, state, scratch, slots)
            for position in range(end, starts[ticket + 1]):
                store(slots, members[position, SLOT] * SUMS, spread(_ZERO))
            ticket = take_ticket(counter)


@parallel_kernel
def gather_slots(slots, slot_starts, group, chunks, sums, g_colors, g_depths):
    """Add up every splat's slots, which lie side by side: into ``sums`` [f · m · SUMS], where the moments of earlier
    groups are kept, and into the gradients of the planes."""
    frames, padded = g_depths.shape
    count, channels = g_colors.shape[1], g_colors.shape[2]
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        for i in range(chunk * padded // chunks, (chunk + 1) * padded // chunks):
            splat = f * padded + i
            total = spread(_ZERO)
            for slot in range(slot_starts[splat], slot_starts[splat + 1]):
                total = total + load(slots, slot * SUMS)
            at = splat * SUMS
            if group > 0:
                # The planes' sums of earlier groups have been read below: only the moments are still of use.
                for plane in range(GROUP):
                    sums[at + plane] = _ZERO
                total = total + load(sums, at)
            store(sums, at, total)
            for plane in range(GROUP):
                channel = group * GROUP + plane
                if channel < channels and i < count:
                    g_colors[f, i, channel] = sums[at + plane]
                elif channel == channels:
                    g_depths[f, i] = sums[at + plane]

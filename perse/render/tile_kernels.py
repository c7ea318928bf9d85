# mypy: disable-error-code="no-untyped-def"
"""Blending a tile, forward and backward, sixteen pixels at a time.

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

from perse.render.binning_kernels import TILE, edges_between
from perse.render.lanes import (
    choose,
    constant,
    exp2,
    larger,
    largest,
    load,
    lowest_set_bit,
    smaller,
    spread,
    store,
    store_sums,
    take_ticket,
)
from perse.render.projection_kernels import (
    HALF_HEIGHT,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    PLANES,
    QUAD_XX,
    QUAD_XY,
    QUAD_YY,
    project_one_backward,
)
from perse.render.rasterization import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE

GROUP = 4
"""Values blended in one pass: RGB and depth."""

SLOT = 12
"""Numbers that one splat gathers in one tile: four for its planes, six moments of its shape, two unused."""

_f4 = np.float32
_SIDE = 4
_BLOCKS = 16
_BLOCK = 16
_PIXELS = _BLOCKS * _BLOCK
_ALL = 0xFFFF
_CHECK_EVERY = 16  # splats between two looks at which blocks are finished

_ZERO, _ONE, _TWO, _HALF = _f4(0), _f4(1), _f4(2), _f4(0.5)
_LOG2_MIN_ALPHA = np.nextafter(_f4(math.log2(MIN_ALPHA)), _f4(-100))  # a strict > against it admits equality
_MAX_ALPHA, _MIN_LIGHT = _f4(MAX_ALPHA), _f4(MIN_TRANSMITTANCE)

_x_of_lane = [lane % _SIDE for lane in range(_BLOCK)]
_y_of_lane = [lane // _SIDE for lane in range(_BLOCK)]
_lane_x = constant(_x_of_lane)
_lane_y = constant(_y_of_lane)
_lane_xx = constant([x * x for x in _x_of_lane])
_lane_xy = constant([x * y for x, y in zip(_x_of_lane, _y_of_lane, strict=True)])
_lane_yy = constant([y * y for y in _y_of_lane])

_kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
_parallel_kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, parallel=True)


@_kernel
def _blocks_touched(splat, left, top):
    """Bit 4·row + column is set for each block, of the tile whose corner is at (left, top), that the ellipse touches."""
    mask = 0
    x = _f4(left) + _HALF - splat[MEAN_X]
    height = splat[HALF_HEIGHT]
    for row in range(_SIDE):
        y = _f4(top + _SIDE * row) + _HALF - splat[MEAN_Y]
        if y <= height and y + _f4(3) >= -height:
            from_x, to_x = edges_between(splat, y, y + _f4(3))
            # A block is touched if its last pixel centre is right of from_x and its first is left of to_x.
            first = int(math.ceil(min(max((from_x - x - _f4(3)) * _f4(0.25), _ZERO), _f4(4))))
            end = int(math.floor(min(max((to_x - x) * _f4(0.25), -_ONE), _f4(3)))) + 1
            if end > first:
                mask |= ((1 << end) - (1 << first)) << (_SIDE * row)
    return mask


@_kernel
def _log2_alpha(splat, curvature, block, left, top):
    """log2 α at the pixels of a block, expanded about the block's corner; ``curvature`` is its quadratic part."""
    dx = _f4(left + _SIDE * (block & 3)) + _HALF - splat[MEAN_X]
    dy = _f4(top + _SIDE * (block >> 2)) + _HALF - splat[MEAN_Y]
    xx, xy, yy = splat[QUAD_XX], splat[QUAD_XY], splat[QUAD_YY]
    at_corner = splat[LOG2_OPACITY] + dx * (xx * dx + xy * dy) + yy * dy * dy
    slope_x, slope_y = _TWO * xx * dx + xy * dy, xy * dx + _TWO * yy * dy
    return (curvature + at_corner) + _lane_x() * slope_x + _lane_y() * slope_y


@_kernel
def _curvature(splat):
    return _lane_xx() * splat[QUAD_XX] + _lane_xy() * splat[QUAD_XY] + _lane_yy() * splat[QUAD_YY]


@_kernel
def _blocks_with_light(state):
    """The blocks with a pixel whose transmittance (plane 0) is still positive."""
    mask = 0
    for block in range(_BLOCKS):
        if largest(load(state, block * _BLOCK)) > _ZERO:
            mask |= 1 << block
    return mask


@_kernel
def _blend_tile(left, top, begin, end, splats, members, masks, state):
    """Blend a tile's splats into ``state``: transmittance (negative once finished) and four planes, block by block.

    Returns one past the last splat looked at; ``masks`` remember which blocks each visited.
    """
    for block in range(_BLOCKS):
        store(state, block * _BLOCK, spread(_ONE))
        for plane in range(1, GROUP + 1):
            store(state, plane * _PIXELS + block * _BLOCK, spread(_ZERO))
    lit = _ALL
    for position in range(begin, end):
        if (position - begin) % _CHECK_EVERY == _CHECK_EVERY - 1:
            lit = _blocks_with_light(state)
            if lit == 0:
                return position
        splat = splats[members[position]]
        mask = _blocks_touched(splat, left, top) & lit
        masks[position] = mask
        curvature = _curvature(splat)
        c0, c1, c2, c3 = splat[PLANES], splat[PLANES + 1], splat[PLANES + 2], splat[PLANES + 3]
        while mask != 0:
            block = lowest_set_bit(mask)
            mask &= mask - 1
            at = block * _BLOCK
            exponent = _log2_alpha(splat, curvature, block, left, top)
            alpha = choose(exponent, _LOG2_MIN_ALPHA, smaller(exp2(exponent), _MAX_ALPHA), _ZERO)
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


@_kernel
def _unblend_tile(left, top, begin, end, splats, members, masks, state, slots):
    """The backward pass of `_blend_tile` over the splats it looked at.

    ``state``: transmittance, the rest S, and the cotangents of the four planes.
    """
    for position in range(begin, end):
        splat = splats[members[position]]
        mask = np.int64(masks[position])
        curvature = _curvature(splat)
        c0, c1, c2, c3 = splat[PLANES], splat[PLANES + 1], splat[PLANES + 2], splat[PLANES + 3]
        nothing = spread(_ZERO)
        sum0, sum1, sum2, sum3 = nothing, nothing, nothing, nothing
        u_1, u_x, u_y, u_xx, u_xy, u_yy = nothing, nothing, nothing, nothing, nothing, nothing
        while mask != 0:
            block = lowest_set_bit(mask)
            mask &= mask - 1
            at = block * _BLOCK
            exponent = _log2_alpha(splat, curvature, block, left, top)
            raw = choose(exponent, _LOG2_MIN_ALPHA, exp2(exponent), _ZERO)
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
            dx = _lane_x() + (_f4(left + _SIDE * (block & 3)) + _HALF - splat[MEAN_X])
            dy = _lane_y() + (_f4(top + _SIDE * (block >> 2)) + _HALF - splat[MEAN_Y])
            along_x, along_y = u * dx, u * dy
            u_1 = u_1 + u
            u_x = u_x + along_x
            u_y = u_y + along_y
            u_xx = u_xx + along_x * dx
            u_xy = u_xy + along_x * dy
            u_yy = u_yy + along_y * dy
        store_sums(slots, position * SLOT, sum0, sum1, sum2, sum3, u_1, u_x, u_y, u_xx, u_xy, u_yy)


@_kernel
def _write_tile(left, top, state, group, background, colors, alphas, depths):
    """Copy a blended tile into the pictures."""
    height, width, channels = colors.shape
    for y in range(top, min(top + TILE, height)):
        for x in range(left, min(left + TILE, width)):
            at = (
                ((y - top) // _SIDE * _SIDE + (x - left) // _SIDE) * _BLOCK
                + (y - top) % _SIDE * _SIDE
                + (x - left) % _SIDE
            )
            light = abs(state[at])
            if group == 0:
                alphas[y, x] = _ONE - light
            for plane in range(GROUP):
                channel = group * GROUP + plane
                value = state[(plane + 1) * _PIXELS + at]
                if channel < channels:
                    colors[y, x, channel] = value + light * background[channel]
                elif channel == channels:
                    depths[y, x] = value


@_kernel
def _read_cotangents(left, top, state, group, background, images, cotangents):
    """Prepare ``state`` for `_unblend_tile` from the pictures and their cotangents."""
    colors, alphas, depths = images
    g_colors, g_alphas, g_depths = cotangents
    height, width, channels = colors.shape
    for k in range(6 * _PIXELS):
        state[k] = _ZERO
    for y in range(top, min(top + TILE, height)):
        for x in range(left, min(left + TILE, width)):
            at = (
                ((y - top) // _SIDE * _SIDE + (x - left) // _SIDE) * _BLOCK
                + (y - top) % _SIDE * _SIDE
                + (x - left) % _SIDE
            )
            light = _ONE - alphas[y, x]
            state[at] = _ONE
            rest = -light * g_alphas[y, x] if group == 0 else _ZERO
            for plane in range(GROUP):
                channel = group * GROUP + plane
                cotangent = _ZERO
                if channel < channels:
                    cotangent = g_colors[y, x, channel]
                    rest += cotangent * colors[y, x, channel]
                elif channel == channels:
                    cotangent = g_depths[y, x]
                    rest += cotangent * depths[y, x]
                state[(plane + 2) * _PIXELS + at] = cotangent
            state[_PIXELS + at] = rest


@_parallel_kernel
def load_planes(colors, depths, group, splats):
    """Put the four planes of a group into the splats: channels 4g … 4g + 3, the depth after the last, then zeros."""
    frames, count, channels = colors.shape
    for i in numba.prange(frames * count):
        f, n = i // count, i % count
        for plane in range(GROUP):
            channel = group * GROUP + plane
            value = _ZERO
            if channel < channels:
                value = colors[f, n, channel]
            elif channel == channels:
                value = depths[f, n]
            splats[f, n, PLANES + plane] = value


@_parallel_kernel
def blend(splats, members, starts, group, background, workers, masks, ends, images):
    """Forward pass over all tiles of all frames; splats [f·n, 16], images = (colors, alphas, depths)."""
    colors, alphas, depths = images
    frames, height, width = alphas.shape
    columns = (width + TILE - 1) // TILE
    tiles = columns * ((height + TILE - 1) // TILE)
    counter = np.zeros(1, np.int64)
    for _ in numba.prange(workers):
        state = np.empty((1 + GROUP) * _PIXELS, np.float32)
        ticket = take_ticket(counter)
        while ticket < frames * tiles:
            f, tile = ticket // tiles, ticket % tiles
            left, top = tile % columns * TILE, tile // columns * TILE
            ends[ticket] = _blend_tile(left, top, starts[ticket], starts[ticket + 1], splats, members, masks, state)
            _write_tile(left, top, state, group, background, colors[f], alphas[f], depths[f])
            ticket = take_ticket(counter)


@_parallel_kernel
def unblend(splats, members, starts, group, background, workers, masks, ends, images, cotangents, slots):
    """Backward pass over all tiles; fills slots [pairs · SLOT], with zeros where a tile stopped before a splat."""
    colors, alphas, depths = images
    g_colors, g_alphas, g_depths = cotangents
    frames, height, width = alphas.shape
    columns = (width + TILE - 1) // TILE
    tiles = columns * ((height + TILE - 1) // TILE)
    counter = np.zeros(1, np.int64)
    for _ in numba.prange(workers):
        state = np.empty((2 + GROUP) * _PIXELS, np.float32)
        ticket = take_ticket(counter)
        while ticket < frames * tiles:
            f, tile = ticket // tiles, ticket % tiles
            left, top = tile % columns * TILE, tile // columns * TILE
            begin, end = starts[ticket], ends[ticket]
            if end > begin:
                _read_cotangents(
                    left, top, state, group, background,
                    (colors[f], alphas[f], depths[f]), (g_colors[f], g_alphas[f], g_depths[f]),
                )  # fmt: skip
                _unblend_tile(left, top, begin, end, splats, members, masks, state, slots)
            for k in range(end * SLOT, starts[ticket + 1] * SLOT):
                slots[k] = _ZERO
            ticket = take_ticket(counter)


@_parallel_kernel
def gather_slots(slots, places, first_place, group, chunks, moments, g_colors, g_depths):
    """Sum every Gaussian's slots: moments [f, n, 6] are added to, its planes' gradients written."""
    frames, count, channels = g_colors.shape
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            s0, s1, s2, s3 = _ZERO, _ZERO, _ZERO, _ZERO
            m0, m1, m2, m3, m4, m5 = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
            for k in range(first_place[f, i, 0], first_place[f, i, 1]):
                at = places[k] * SLOT
                s0 += slots[at]
                s1 += slots[at + 1]
                s2 += slots[at + 2]
                s3 += slots[at + 3]
                m0 += slots[at + 4]
                m1 += slots[at + 5]
                m2 += slots[at + 6]
                m3 += slots[at + 7]
                m4 += slots[at + 8]
                m5 += slots[at + 9]
            total = moments[f, i]
            total[0] += m0
            total[1] += m1
            total[2] += m2
            total[3] += m3
            total[4] += m4
            total[5] += m5
            planes = (s0, s1, s2, s3)
            for plane in range(GROUP):
                channel = group * GROUP + plane
                if channel < channels:
                    g_colors[f, i, channel] = planes[plane]
                elif channel == channels:
                    g_depths[f, i] = planes[plane]


@_parallel_kernel
def unproject(
    means, quats, scales, opacities, views, intrinsics, width, height, chunks, splats, depths, moments, g_depths,
    g_means, g_quats, g_scales, g_opacities,
):  # fmt: skip
    """From moments on the screen to gradients of the Gaussians; zero where culled."""
    frames, count = opacities.shape
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            if depths[f, i] > _ZERO:
                opacity = opacities[f, i]
                g_opacities[f, i] = moments[f, i, 0] / opacity if opacity <= _ONE else _ZERO
                project_one_backward(
                    means[f, i], quats[f, i], scales[f, i], views[f], intrinsics[f], width, height,
                    splats[f, i], moments[f, i], g_depths[f, i], g_means[f, i], g_quats[f, i], g_scales[f, i],
                )  # fmt: skip
            else:
                g_opacities[f, i] = _ZERO
                for k in range(3):
                    g_means[f, i, k] = _ZERO
                    g_scales[f, i, k] = _ZERO
                for k in range(4):
                    g_quats[f, i, k] = _ZERO

# mypy: ignore-errors
"""Fused EWA projection, forward and backward, for numba: what `perse.render.reference.project` says, in one pass.

Sixteen Gaussians at a time, one to a lane. A projected Gaussian is one *splat*: a row of sixteen float32, one cache
line, laid out for the tile kernels. The exponent of alpha is kept in base 2 with the opacity folded in,

    log2 α(d) = LOG2_OPACITY + QUAD_XX dx² + QUAD_XY dx dy + QUAD_YY dy²,

and the region where α ≥ 1/255 is an ellipse whose extents are kept beside it. Rows are padded to a multiple of sixteen
per frame with splats that are not drawn.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from perse.render.compiled import kernel, parallel_kernel
from perse.render.constants import DILATION_PX2, FRUSTUM_MARGIN, MIN_ALPHA, NEAR_M
from perse.render.lane_memory import gather, load, load_columns, scatter, store, store_columns, store_packed
from perse.render.lanes import (
    WIDTH,
    ceiling,
    choose,
    constant,
    floor,
    larger,
    log2,
    smaller,
    spread,
    square_root,
)
from perse.render.record_kernels import load_fours, load_vectors, store_fours, store_vectors

TILE = 16
"""Tiles are 16 × 16 pixels."""

SPLAT_SIZE = 16
MEAN_X, MEAN_Y = 0, 1
QUAD_XX, QUAD_XY, QUAD_YY = 2, 3, 4
LOG2_OPACITY = 5
HALF_HEIGHT = 6  # of the ellipse, pixels
RIGHTMOST_Y = 7  # dy of the ellipse's rightmost point; the leftmost is its mirror image
SHEAR, REACH, SHRINK = 8, 9, 10  # the ellipse's right edge at dy: SHEAR dy + sqrt(REACH - SHRINK dy²)
PLANES = 12  # four values to blend: channels or depth

GROUP = 4
"""Values blended in one pass: RGB and depth."""

SUMS = 16
"""Numbers a Gaussian gathers from the picture: four for its planes, six moments (see `unproject`), and padding."""

NOT_DRAWN = np.float32(np.inf)
"""Depth of a Gaussian that is not drawn: its bits are greater than those of any finite positive float."""

_f4 = np.float32
_ZERO, _ONE, _TWO, _HALF = _f4(0), _f4(1), _f4(2), _f4(0.5)
_LOG2_E = _f4(math.log2(math.e))
_LOG2_255 = _f4(math.log2(1 / MIN_ALPHA))
# Rounding must never exclude a pixel that the test of alpha would accept: the ellipse is drawn at log2 alpha - 0.004.
_SLACK = _f4(0.004)
_DILATION, _MARGIN = _f4(DILATION_PX2), _f4(0.5 * FRUSTUM_MARGIN)
# `choose` compares strictly; one step below makes it "at least".
_BELOW_NEAR = np.nextafter(_f4(NEAR_M), _f4(-1))
_BELOW_MIN_ALPHA = np.nextafter(_f4(MIN_ALPHA), _f4(-1))
_HUGE = _f4(1e30)
_PER_TILE = _f4(1 / TILE)

_lane_numbers = constant(list(range(WIDTH)))


@kernel
def _load_unit_quaternions(quats, row, valid):
    """Normalised w, x, y, z, the inverse of the norm, and its square."""
    w, x, y, z = load_fours(quats, row, valid)
    squared = w * w + x * x + y * y + z * z
    inverse = _ONE / square_root(squared)
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse, squared


@kernel
def _rotation(w, x, y, z):
    """Rows of the rotation matrix of a unit quaternion."""
    return (
        _ONE - _TWO * (y * y + z * z), _TWO * (x * y - w * z), _TWO * (x * z + w * y),
        _TWO * (x * y + w * z), _ONE - _TWO * (x * x + z * z), _TWO * (y * z - w * x),
        _TWO * (x * z - w * y), _TWO * (y * z + w * x), _ONE - _TWO * (x * x + y * y),
    )  # fmt: skip


@kernel
def _to_camera(view, x, y, z):
    return (
        x * view[0, 0] + y * view[0, 1] + z * view[0, 2] + view[0, 3],
        x * view[1, 0] + y * view[1, 1] + z * view[1, 2] + view[1, 3],
        x * view[2, 0] + y * view[2, 1] + z * view[2, 2] + view[2, 3],
    )


@kernel
def _clamped(slope, focal, centre, size):
    """x/z, no farther outside of the image than the frustum margin."""
    margin = _MARGIN * size / focal
    return smaller(larger(slope, -centre / focal - margin), (size - centre) / focal + margin)


@kernel
def _image_axes(view, intrinsics, x, y, inverse_z, width, height):
    """The two rows of J W, each without its factor f / z (6 numbers): W_0 - slope W_2 and W_1 - slope W_2."""
    slope_x = _clamped(x * inverse_z, intrinsics[0, 0], intrinsics[0, 2], _f4(width))
    slope_y = _clamped(y * inverse_z, intrinsics[1, 1], intrinsics[1, 2], _f4(height))
    return (
        view[0, 0] - slope_x * view[2, 0], view[0, 1] - slope_x * view[2, 1], view[0, 2] - slope_x * view[2, 2],
        view[1, 0] - slope_y * view[2, 0], view[1, 1] - slope_y * view[2, 1], view[1, 2] - slope_y * view[2, 2],
    )  # fmt: skip


@kernel
def _turned(a, b, c, r):
    """The row vector (a, b, c) times the rotation r."""
    return a * r[0] + b * r[3] + c * r[6], a * r[1] + b * r[4] + c * r[7], a * r[2] + b * r[5] + c * r[8]


@kernel
def _turned_back(a, b, c, r):
    """The row vector (a, b, c) times the rotation's transpose."""
    return a * r[0] + b * r[1] + c * r[2], a * r[3] + b * r[4] + c * r[5], a * r[6] + b * r[7] + c * r[8]


@kernel
def _store_range(array, to, drawn, first, last):
    """The tiles from that of pixel ``first`` to that of pixel ``last``, packed; an empty range where not drawn."""
    begin = choose(drawn, _ZERO, floor(first * _PER_TILE), _ZERO)
    end = choose(drawn, _ZERO, floor(last * _PER_TILE) + _ONE, _ZERO)
    store_packed(array, to, begin, end)


@kernel
def _project_strip(
    means, quats, scales, opacities, row, valid, view, intrinsics, width, height, to, splats, depths, columns, rows
):  # fmt: skip
    """Project Gaussians row … row + 15 into splats to … to + 15."""
    x, y, z = _to_camera(view, *load_vectors(means, row, valid))
    qw, qx, qy, qz, _, squared_norm = _load_unit_quaternions(quats, row, valid)
    s0, s1, s2 = load_vectors(scales, row, valid)
    opacity = gather(opacities, row, 1, valid)
    inverse_z = _ONE / z
    to_px_x, to_px_y = intrinsics[0, 0] * inverse_z, intrinsics[1, 1] * inverse_z
    mx, my = to_px_x * x + intrinsics[0, 2], to_px_y * y + intrinsics[1, 2]

    # Σ' = P Pᵀ + ε I, P = J W R diag(s) with rows p and k.
    r = _rotation(qw, qx, qy, qz)
    u = _image_axes(view, intrinsics, x, y, inverse_z, width, height)
    p0, p1, p2 = _turned(u[0], u[1], u[2], r)
    k0, k1, k2 = _turned(u[3], u[4], u[5], r)
    p0, p1, p2 = p0 * to_px_x * s0, p1 * to_px_x * s1, p2 * to_px_x * s2
    k0, k1, k2 = k0 * to_px_y * s0, k1 * to_px_y * s1, k2 * to_px_y * s2
    pp, xy, kk = p0 * p0 + p1 * p1 + p2 * p2, p0 * k0 + p1 * k1 + p2 * k2, k0 * k0 + k1 * k1 + k2 * k2
    xx, yy = pp + _DILATION, kk + _DILATION
    # det = ε² + ε (|p|² + |k|²) + |p × k|²: no cancellation, so never negative for flat or huge Gaussians.
    n0, n1, n2 = p1 * k2 - p2 * k1, p2 * k0 - p0 * k2, p0 * k1 - p1 * k0
    determinant = (pp + kk + _DILATION) * _DILATION + n0 * n0 + n1 * n1 + n2 * n2
    inverse = _ONE / determinant

    # α ≥ 1/255 inside dᵀ Σ'⁻¹ d ≤ reach²; the half sizes of that ellipse are reach times the standard deviations.
    log2_opacity = log2(smaller(opacity, _ONE))
    squared_reach = (log2_opacity + (_LOG2_255 + _SLACK)) * (_TWO / _LOG2_E)
    half_width, half_height = square_root(squared_reach * xx), square_root(squared_reach * yy)
    per_yy = _ONE / yy
    store_columns(
        splats, to * SPLAT_SIZE, mx, my,
        yy * inverse * (-_HALF * _LOG2_E), xy * inverse * _LOG2_E, xx * inverse * (-_HALF * _LOG2_E), log2_opacity,
        half_height, xy / xx * half_width, xy * per_yy, squared_reach * determinant * per_yy,
        determinant * per_yy * per_yy, spread(_ZERO),
    )  # fmt: skip

    # The pixels inside the image whose centres may be inside the ellipse's box. Comparisons are false for NaN.
    left, right = ceiling(mx - half_width - _HALF), floor(mx + half_width - _HALF)
    top, bottom = ceiling(my - half_height - _HALF), floor(my + half_height - _HALF)
    left, right = larger(left, _ZERO), smaller(right, _f4(width - 1))
    top, bottom = larger(top, _ZERO), smaller(bottom, _f4(height - 1))
    drawn = choose(_f4(valid), _lane_numbers(), _ONE, _ZERO)
    drawn = choose(z, _BELOW_NEAR, drawn, _ZERO)
    drawn = choose(_HUGE, z, drawn, _ZERO)
    drawn = choose(squared_norm, _ZERO, drawn, _ZERO)
    drawn = choose(_HUGE, squared_norm, drawn, _ZERO)
    drawn = choose(opacity, _BELOW_MIN_ALPHA, drawn, _ZERO)
    drawn = choose(_HUGE, opacity, drawn, _ZERO)
    drawn = choose(_HUGE, determinant, drawn, _ZERO)
    drawn = choose(_HUGE, half_width + half_height, drawn, _ZERO)
    drawn = choose(right + _HALF, left, drawn, _ZERO)
    drawn = choose(bottom + _HALF, top, drawn, _ZERO)
    store(depths, to, choose(drawn, _ZERO, z, NOT_DRAWN))
    _store_range(columns, to, drawn, left, right)
    _store_range(rows, to, drawn, top, bottom)


@kernel
def _load_planes(colors, depths, group, f, begin, end, splats):
    """Planes of the splats begin … end of a frame: channels 4g … 4g + 3, the depth after the last, then zeros."""
    padded, channels = depths.shape[1], colors.shape[2]
    for i in range(begin, min(end, colors.shape[1])):
        at = (f * padded + i) * SPLAT_SIZE + PLANES
        for plane in range(GROUP):
            channel = group * GROUP + plane
            value = _ZERO
            if channel < channels:
                value = colors[f, i, channel]
            elif channel == channels:
                value = depths[f, i]
            splats[at + plane] = value


@parallel_kernel
def load_planes(colors, depths, group, chunks, splats):
    """Put another group of values into the splats; `project_splats` puts the first."""
    frames, padded = depths.shape
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        _load_planes(colors, depths, group, f, chunk * padded // chunks, (chunk + 1) * padded // chunks, splats)


@parallel_kernel
def project_splats(
    means, quats, scales, opacities, colors, views, intrinsics, width, height, chunks,
    splats, depths, columns, rows,
):  # fmt: skip
    """Project [f, n] Gaussians, with m = n rounded up to a multiple of sixteen.

    Args:
        splats: [f · m · 16] float32 out.
        depths: [f, m] float32 out, camera z, `NOT_DRAWN` where culled.
        columns, rows: [f, m] int32 out, first tile + 65536 × end tile of the box; zero where culled.
    """
    frames, count = means.shape[0], means.shape[1]
    strips = (count + WIDTH - 1) // WIDTH
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        begin, end = chunk * strips // chunks * WIDTH, (chunk + 1) * strips // chunks * WIDTH
        for first in range(begin, end, WIDTH):
            _project_strip(
                means, quats, scales, opacities, f * count + first, min(count - first, WIDTH),
                views[f], intrinsics[f], width, height, f * strips * WIDTH + first, splats, depths, columns, rows,
            )  # fmt: skip
        _load_planes(colors, depths, 0, f, begin, end, splats)


@kernel
def _quaternion_gradient(w, x, y, z, inverse_norm, g):
    """From the gradient g of the rotation matrix (rows) to that of the unnormalised quaternion."""
    gw = _TWO * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1]))
    gx = _TWO * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6]) - _TWO * x * (g[4] + g[8]))
    gy = _TWO * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7]) - _TWO * y * (g[0] + g[8]))
    gz = _TWO * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7]) - _TWO * z * (g[0] + g[4]))
    radial = gw * w + gx * x + gy * y + gz * z
    return (
        (gw - radial * w) * inverse_norm, (gx - radial * x) * inverse_norm,
        (gy - radial * y) * inverse_norm, (gz - radial * z) * inverse_norm,
    )  # fmt: skip


@kernel
def _screen_gradients(splats, sums, at):
    """Derivatives by ln α, by the centre (2) and by the covariance (xx, xy, yy) on the screen."""
    splat, gathered = load_columns(splats, at), load_columns(sums, at)
    a, b, c = splat[QUAD_XX] * (-_TWO / _LOG2_E), splat[QUAD_XY] * (-_ONE / _LOG2_E), splat[QUAD_YY] * (-_TWO / _LOG2_E)
    u_x, u_y = gathered[GROUP + 1], gathered[GROUP + 2]
    g_a, g_b, g_c = gathered[GROUP + 3] * -_HALF, gathered[GROUP + 4] * -_ONE, gathered[GROUP + 5] * -_HALF
    # d(Σ⁻¹) = -Σ⁻¹ dΣ Σ⁻¹, written out for the three numbers of a symmetric matrix.
    return (
        gathered[GROUP],
        a * u_x + b * u_y,
        b * u_x + c * u_y,
        _ZERO - (a * a * g_a + a * b * g_b + b * b * g_c),
        _ZERO - (_TWO * a * b * g_a + (a * c + b * b) * g_b + _TWO * b * c * g_c),
        _ZERO - (b * b * g_a + b * c * g_b + c * c * g_c),
    )


@kernel
def _if_drawn(drawn, value):
    return choose(drawn, _ZERO, value, _ZERO)


@kernel
def _unproject_strip(
    means, quats, scales, opacities, row, valid, view, intrinsics, width, height, to, splats, depths, sums, g_depths,
    g_means, g_quats, g_scales, g_opacities,
):  # fmt: skip
    """Chain rule through `_project_strip`."""
    drawn = choose(_HUGE, load(depths, to), _ONE, _ZERO)
    opacity = gather(opacities, row, 1, valid)
    g_log_alpha, g_px, g_py, g_xx, g_xy, g_yy = _screen_gradients(splats, sums, to * SPLAT_SIZE)
    g_opacity = choose(opacity, _ONE, _ZERO, g_log_alpha / opacity)
    scatter(g_opacities, row, 1, valid, _if_drawn(drawn, g_opacity))

    # The forward pass again, up to P.
    x, y, z = _to_camera(view, *load_vectors(means, row, valid))
    qw, qx, qy, qz, inverse_norm, _ = _load_unit_quaternions(quats, row, valid)
    s0, s1, s2 = load_vectors(scales, row, valid)
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    inverse_z = _ONE / z
    to_px_x, to_px_y = fx * inverse_z, fy * inverse_z
    r = _rotation(qw, qx, qy, qz)
    u = _image_axes(view, intrinsics, x, y, inverse_z, width, height)
    u0, u1, u2 = u[0] * to_px_x, u[1] * to_px_x, u[2] * to_px_x
    v0, v1, v2 = u[3] * to_px_y, u[4] * to_px_y, u[5] * to_px_y
    e0, e1, e2 = _turned(u0, u1, u2, r)
    h0, h1, h2 = _turned(v0, v1, v2, r)

    # Σ' = P Pᵀ + ε I with rows p = e s and k = h s; g_e and g_h are the gradients by e and h.
    g_p0, g_k0 = (_TWO * g_xx * e0 + g_xy * h0) * s0, (_TWO * g_yy * h0 + g_xy * e0) * s0
    g_p1, g_k1 = (_TWO * g_xx * e1 + g_xy * h1) * s1, (_TWO * g_yy * h1 + g_xy * e1) * s1
    g_p2, g_k2 = (_TWO * g_xx * e2 + g_xy * h2) * s2, (_TWO * g_yy * h2 + g_xy * e2) * s2
    store_vectors(
        g_scales, row, valid, _if_drawn(drawn, g_p0 * e0 + g_k0 * h0), _if_drawn(drawn, g_p1 * e1 + g_k1 * h1),
        _if_drawn(drawn, g_p2 * e2 + g_k2 * h2),
    )  # fmt: skip
    g_e0, g_e1, g_e2 = g_p0 * s0, g_p1 * s1, g_p2 * s2
    g_h0, g_h1, g_h2 = g_k0 * s0, g_k1 * s1, g_k2 * s2

    # e = u r: the rotation receives u ⊗ g_e, and u receives g_e rᵀ.
    g_rotation = (
        u0 * g_e0 + v0 * g_h0, u0 * g_e1 + v0 * g_h1, u0 * g_e2 + v0 * g_h2,
        u1 * g_e0 + v1 * g_h0, u1 * g_e1 + v1 * g_h1, u1 * g_e2 + v1 * g_h2,
        u2 * g_e0 + v2 * g_h0, u2 * g_e1 + v2 * g_h1, u2 * g_e2 + v2 * g_h2,
    )  # fmt: skip
    g_quat = _quaternion_gradient(qw, qx, qy, qz, inverse_norm, g_rotation)
    store_fours(
        g_quats, row, valid, _if_drawn(drawn, g_quat[0]), _if_drawn(drawn, g_quat[1]), _if_drawn(drawn, g_quat[2]),
        _if_drawn(drawn, g_quat[3]),
    )  # fmt: skip
    gu0, gu1, gu2 = _turned_back(g_e0, g_e1, g_e2, r)
    gv0, gv1, gv2 = _turned_back(g_h0, g_h1, g_h2, r)

    # u = (f / z) (W_0 - slope W_2); the slope is x / z unless it was clamped. The centre is f · x / z.
    slope_x, slope_y = x * inverse_z, y * inverse_z
    off_x = _clamped(slope_x, fx, intrinsics[0, 2], _f4(width)) - slope_x
    off_y = _clamped(slope_y, fy, intrinsics[1, 2], _f4(height)) - slope_y
    g_slope_x = _ZERO - to_px_x * (gu0 * view[2, 0] + gu1 * view[2, 1] + gu2 * view[2, 2])
    g_slope_y = _ZERO - to_px_y * (gv0 * view[2, 0] + gv1 * view[2, 1] + gv2 * view[2, 2])
    g_slope_x = choose(off_x * off_x, _ZERO, _ZERO, g_slope_x) + fx * g_px
    g_slope_y = choose(off_y * off_y, _ZERO, _ZERO, g_slope_y) + fy * g_py
    g_inverse_z = (
        fx * (gu0 * u[0] + gu1 * u[1] + gu2 * u[2])
        + fy * (gv0 * u[3] + gv1 * u[4] + gv2 * u[5])
        + g_slope_x * x
        + g_slope_y * y
    )
    g_x, g_y = g_slope_x * inverse_z, g_slope_y * inverse_z
    g_z = load(g_depths, to) - g_inverse_z * inverse_z * inverse_z
    g_x, g_y, g_z = _if_drawn(drawn, g_x), _if_drawn(drawn, g_y), _if_drawn(drawn, g_z)
    store_vectors(
        g_means, row, valid,
        g_x * view[0, 0] + g_y * view[1, 0] + g_z * view[2, 0],
        g_x * view[0, 1] + g_y * view[1, 1] + g_z * view[2, 1],
        g_x * view[0, 2] + g_y * view[1, 2] + g_z * view[2, 2],
    )  # fmt: skip


@parallel_kernel
def unproject(
    means, quats, scales, opacities, views, intrinsics, width, height, chunks, splats, depths, sums, g_depths,
    g_means, g_quats, g_scales, g_opacities,
):  # fmt: skip
    """Gradients of the Gaussians, zero where culled, from what they gathered on the screen.

    Args:
        sums: [f · m · 16] of every splat, from its fifth number on sums over pixels of u, u dx, u dy, u dx², u dx dy,
            u dy², where u is the derivative of the loss by ln α: all that its shape needs to know about the picture.
        g_depths: [f, m] derivatives by camera z.
    """
    frames, count = opacities.shape
    strips = (count + WIDTH - 1) // WIDTH
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        for strip in range(chunk * strips // chunks, (chunk + 1) * strips // chunks):
            first = strip * WIDTH
            _unproject_strip(
                means, quats, scales, opacities, f * count + first, min(count - first, WIDTH),
                views[f], intrinsics[f], width, height, f * strips * WIDTH + first, splats, depths, sums, g_depths,
                g_means, g_quats, g_scales, g_opacities,
            )  # fmt: skip

# mypy: disable-error-code="no-untyped-def"
"""Fused EWA projection, forward and backward, for numba: what `perse.render.reference.project` says, in one pass.

A projected Gaussian is one *splat*: a row of sixteen float32, one cache line, laid out for the tile kernels.
The exponent of alpha is kept in base 2 with the opacity folded in,

    log2 α(d) = LOG2_OPACITY + QUAD_XX dx² + QUAD_XY dx dy + QUAD_YY dy²,

and the region where α ≥ 1/255 is an ellipse whose extents are kept beside it.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from perse.render.rasterization import DILATION_PX2, FRUSTUM_MARGIN, MIN_ALPHA, NEAR_M

SPLAT_SIZE = 16
MEAN_X, MEAN_Y = 0, 1
QUAD_XX, QUAD_XY, QUAD_YY = 2, 3, 4
LOG2_OPACITY = 5
HALF_WIDTH, HALF_HEIGHT = 6, 7  # of the ellipse's bounding box, pixels
RIGHTMOST_Y = 8  # dy of the ellipse's rightmost point; the leftmost is its mirror image
SHEAR, REACH, SHRINK = 9, 10, 11  # the ellipse's right edge at dy: SHEAR dy + sqrt(REACH - SHRINK dy²)
PLANES = 12  # four values to blend: channels or depth

CULLED = np.uint32(0xFFFFFFFF)
"""Depth key of a Gaussian that is not drawn. No finite positive float has these bits."""

_f4 = np.float32
_LOG2_E = _f4(math.log2(math.e))
_LOG2_255 = _f4(math.log2(1 / MIN_ALPHA))
# Rounding must never exclude a pixel that the test of alpha would accept: the ellipse is drawn at log2 alpha - 0.004.
_SLACK = _f4(0.004)
_DILATION, _NEAR, _MARGIN = _f4(DILATION_PX2), _f4(NEAR_M), _f4(0.5 * FRUSTUM_MARGIN)
_MIN_ALPHA = _f4(MIN_ALPHA)
_HUGE = _f4(1e30)
_ONE, _TWO, _HALF, _ZERO = _f4(1), _f4(2), _f4(0.5), _f4(0)

_kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
_parallel_kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, parallel=True)


@_kernel
def _rotation(qw, qx, qy, qz):
    """Rows of the rotation matrix of a unit quaternion."""
    return (
        _ONE - _TWO * (qy * qy + qz * qz), _TWO * (qx * qy - qw * qz), _TWO * (qx * qz + qw * qy),
        _TWO * (qx * qy + qw * qz), _ONE - _TWO * (qx * qx + qz * qz), _TWO * (qy * qz - qw * qx),
        _TWO * (qx * qz - qw * qy), _TWO * (qy * qz + qw * qx), _ONE - _TWO * (qx * qx + qy * qy),
    )  # fmt: skip


@_kernel
def _to_camera(view, x, y, z):
    return (
        view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3],
        view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3],
        view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3],
    )


@_kernel
def _clamped(slope, focal, centre, size):
    margin = _MARGIN * size / focal
    return min(max(slope, -centre / focal - margin), (size - centre) / focal + margin)


@_kernel
def _turned(row0, row1, row2, r):
    """A row vector times the rotation r."""
    return (
        row0 * r[0] + row1 * r[3] + row2 * r[6],
        row0 * r[1] + row1 * r[4] + row2 * r[7],
        row0 * r[2] + row1 * r[5] + row2 * r[8],
    )


@_kernel
def _turned_back(row0, row1, row2, r):
    """A row vector times the rotation's transpose."""
    return (
        row0 * r[0] + row1 * r[1] + row2 * r[2],
        row0 * r[3] + row1 * r[4] + row2 * r[5],
        row0 * r[6] + row1 * r[7] + row2 * r[8],
    )


@_kernel
def _image_rows(view, intrinsics, x, y, inverse_z, width, height):
    """J W of the local affine projection: the two rows without their factor f / z, and the slopes they were taken at."""
    slope_x = _clamped(x * inverse_z, intrinsics[0, 0], intrinsics[0, 2], _f4(width))
    slope_y = _clamped(y * inverse_z, intrinsics[1, 1], intrinsics[1, 2], _f4(height))
    return (
        view[0, 0] - slope_x * view[2, 0], view[0, 1] - slope_x * view[2, 1], view[0, 2] - slope_x * view[2, 2],
        view[1, 0] - slope_y * view[2, 0], view[1, 1] - slope_y * view[2, 1], view[1, 2] - slope_y * view[2, 2],
    )  # fmt: skip


@_kernel
def _project_one(mean, quat, scale, opacity, view, intrinsics, width, height, splat):
    """Fill one splat; returns its depth, or a negative number where it is not drawn."""
    x, y, z = _to_camera(view, mean[0], mean[1], mean[2])
    norm2 = quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3]
    # Each comparison is false for NaN.
    if not (z >= _NEAR and z < _HUGE and norm2 > _ZERO and norm2 < _HUGE and opacity >= _MIN_ALPHA and opacity < _HUGE):
        return -_ONE
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    inverse_z, inverse_norm = _ONE / z, _ONE / math.sqrt(norm2)
    mx, my = fx * x * inverse_z + intrinsics[0, 2], fy * y * inverse_z + intrinsics[1, 2]
    r = _rotation(quat[0] * inverse_norm, quat[1] * inverse_norm, quat[2] * inverse_norm, quat[3] * inverse_norm)
    u = _image_rows(view, intrinsics, x, y, inverse_z, width, height)
    p0, p1, p2 = _turned(u[0], u[1], u[2], r)
    k0, k1, k2 = _turned(u[3], u[4], u[5], r)
    to_px_x, to_px_y = fx * inverse_z, fy * inverse_z
    p0, p1, p2 = p0 * to_px_x * scale[0], p1 * to_px_x * scale[1], p2 * to_px_x * scale[2]
    k0, k1, k2 = k0 * to_px_y * scale[0], k1 * to_px_y * scale[1], k2 * to_px_y * scale[2]

    pp, pk, kk = p0 * p0 + p1 * p1 + p2 * p2, p0 * k0 + p1 * k1 + p2 * k2, k0 * k0 + k1 * k1 + k2 * k2
    # det(P Pᵀ + εI) = ε² + ε (|p|² + |k|²) + |p × k|²: no cancellation, so never negative for flat or huge Gaussians.
    n0, n1, n2 = p1 * k2 - p2 * k1, p2 * k0 - p0 * k2, p0 * k1 - p1 * k0
    determinant = _DILATION * (_DILATION + pp + kk) + n0 * n0 + n1 * n1 + n2 * n2
    xx, xy, yy = pp + _DILATION, pk, kk + _DILATION

    clear = min(opacity, _ONE)
    log2_opacity = math.log2(clear)
    # α ≥ 1/255 inside dᵀ Σ⁻¹ d ≤ reach2; the box of that ellipse is sqrt(reach2 · variance).
    reach2 = _TWO * (log2_opacity + _LOG2_255 + _SLACK) / _LOG2_E
    half_width, half_height = math.sqrt(reach2 * xx), math.sqrt(reach2 * yy)
    left, right = math.ceil(mx - half_width - _HALF), math.floor(mx + half_width - _HALF)
    top, bottom = math.ceil(my - half_height - _HALF), math.floor(my + half_height - _HALF)
    inside = left <= right and top <= bottom and right >= _ZERO and left < width and bottom >= _ZERO and top < height
    if not (inside and half_width < _HUGE and half_height < _HUGE and determinant > _ZERO and determinant < _HUGE):
        return -_ONE

    inverse = _ONE / determinant
    splat[MEAN_X], splat[MEAN_Y] = mx, my
    splat[QUAD_XX] = -_HALF * _LOG2_E * yy * inverse
    splat[QUAD_XY] = _LOG2_E * xy * inverse
    splat[QUAD_YY] = -_HALF * _LOG2_E * xx * inverse
    splat[LOG2_OPACITY] = log2_opacity
    splat[HALF_WIDTH], splat[HALF_HEIGHT] = half_width, half_height
    splat[RIGHTMOST_Y] = xy / xx * half_width
    splat[SHEAR] = xy / yy
    splat[REACH] = reach2 * determinant / yy
    splat[SHRINK] = determinant / (yy * yy)
    return z


@_parallel_kernel
def project_splats(means, quats, scales, opacities, views, intrinsics, width, height, chunks, splats, depths, keys):
    """Project [f, n] Gaussians into splats [f, n, 16], depths [f, n] (0 where culled) and sort keys [f, n] uint32."""
    frames, count = means.shape[0], means.shape[1]
    for unit in numba.prange(frames * chunks):
        f, chunk = unit // chunks, unit % chunks
        bits = depths.view(np.uint32)
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            depth = _project_one(
                means[f, i], quats[f, i], scales[f, i], opacities[f, i],
                views[f], intrinsics[f], width, height, splats[f, i],
            )  # fmt: skip
            depths[f, i] = max(depth, _ZERO)
            keys[f, i] = bits[f, i] if depth > _ZERO else CULLED


@_kernel
def _quaternion_gradient(w, x, y, z, inverse_norm, g, out):
    """From the gradient g of the rotation matrix (rows) to that of the unnormalised quaternion."""
    gw = _TWO * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1]))
    gx = _TWO * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6]) - _TWO * x * (g[4] + g[8]))
    gy = _TWO * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7]) - _TWO * y * (g[0] + g[8]))
    gz = _TWO * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7]) - _TWO * z * (g[0] + g[4]))
    radial = gw * w + gx * x + gy * y + gz * z
    out[0] = (gw - radial * w) * inverse_norm
    out[1] = (gx - radial * x) * inverse_norm
    out[2] = (gy - radial * y) * inverse_norm
    out[3] = (gz - radial * z) * inverse_norm


@_kernel
def project_one_backward(
    mean, quat, scale, view, intrinsics, width, height, splat, moments, g_depth, g_mean, g_quat, g_scale
):  # fmt: skip
    """Chain rule through `_project_one`.

    ``moments`` are the sums over pixels of u, u dx, u dy, u dx², u dx dy, u dy², where u is the derivative of the loss
    by ln α: everything that the shape of a splat needs to know about the picture.
    """
    # Inverse covariance [a b; b c] in natural units, and derivatives of the loss by a, b, c and by the centre.
    a = -_TWO * splat[QUAD_XX] / _LOG2_E
    b = -splat[QUAD_XY] / _LOG2_E
    c = -_TWO * splat[QUAD_YY] / _LOG2_E
    g_px, g_py = a * moments[1] + b * moments[2], b * moments[1] + c * moments[2]
    g_a, g_b, g_c = -_HALF * moments[3], -moments[4], -_HALF * moments[5]

    # d(Σ⁻¹) = -Σ⁻¹ dΣ Σ⁻¹, written out for the three numbers of a symmetric matrix.
    g_xx = -(a * a * g_a + a * b * g_b + b * b * g_c)
    g_xy = -(_TWO * a * b * g_a + (a * c + b * b) * g_b + _TWO * b * c * g_c)
    g_yy = -(b * b * g_a + b * c * g_b + c * c * g_c)

    # The forward pass again, up to the covariance.
    x, y, z = _to_camera(view, mean[0], mean[1], mean[2])
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    inverse_z = _ONE / z
    inverse_norm = _ONE / math.sqrt(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3])
    qw, qx, qy, qz = quat[0] * inverse_norm, quat[1] * inverse_norm, quat[2] * inverse_norm, quat[3] * inverse_norm
    r = _rotation(qw, qx, qy, qz)
    u = _image_rows(view, intrinsics, x, y, inverse_z, width, height)
    to_px_x, to_px_y = fx * inverse_z, fy * inverse_z
    e0, e1, e2 = _turned(u[0] * to_px_x, u[1] * to_px_x, u[2] * to_px_x, r)
    h0, h1, h2 = _turned(u[3] * to_px_y, u[4] * to_px_y, u[5] * to_px_y, r)
    s0, s1, s2 = scale[0], scale[1], scale[2]

    # Σ' = P Pᵀ with rows p = e s, k = h s.
    g_p0 = _TWO * g_xx * e0 * s0 + g_xy * h0 * s0
    g_p1 = _TWO * g_xx * e1 * s1 + g_xy * h1 * s1
    g_p2 = _TWO * g_xx * e2 * s2 + g_xy * h2 * s2
    g_k0 = _TWO * g_yy * h0 * s0 + g_xy * e0 * s0
    g_k1 = _TWO * g_yy * h1 * s1 + g_xy * e1 * s1
    g_k2 = _TWO * g_yy * h2 * s2 + g_xy * e2 * s2
    g_scale[0] = g_p0 * e0 + g_k0 * h0
    g_scale[1] = g_p1 * e1 + g_k1 * h1
    g_scale[2] = g_p2 * e2 + g_k2 * h2
    g_e0, g_e1, g_e2 = g_p0 * s0, g_p1 * s1, g_p2 * s2
    g_h0, g_h1, g_h2 = g_k0 * s0, g_k1 * s1, g_k2 * s2

    # e = (f/z) u r, so the rotation receives u ⊗ g_e and u receives g_e rᵀ.
    u0, u1, u2 = u[0] * to_px_x, u[1] * to_px_x, u[2] * to_px_x
    v0, v1, v2 = u[3] * to_px_y, u[4] * to_px_y, u[5] * to_px_y
    g_rotation = (
        u0 * g_e0 + v0 * g_h0, u0 * g_e1 + v0 * g_h1, u0 * g_e2 + v0 * g_h2,
        u1 * g_e0 + v1 * g_h0, u1 * g_e1 + v1 * g_h1, u1 * g_e2 + v1 * g_h2,
        u2 * g_e0 + v2 * g_h0, u2 * g_e1 + v2 * g_h1, u2 * g_e2 + v2 * g_h2,
    )  # fmt: skip
    _quaternion_gradient(qw, qx, qy, qz, inverse_norm, g_rotation, g_quat)
    gu0, gu1, gu2 = _turned_back(g_e0, g_e1, g_e2, r)
    gv0, gv1, gv2 = _turned_back(g_h0, g_h1, g_h2, r)

    # u = W_0 - slope W_2; the slope is x/z unless it was clamped.
    g_slope_x = -to_px_x * (gu0 * view[2, 0] + gu1 * view[2, 1] + gu2 * view[2, 2])
    g_slope_y = -to_px_y * (gv0 * view[2, 0] + gv1 * view[2, 1] + gv2 * view[2, 2])
    slope_x, slope_y = x * inverse_z, y * inverse_z
    if _clamped(slope_x, fx, intrinsics[0, 2], _f4(width)) != slope_x:
        g_slope_x = _ZERO
    if _clamped(slope_y, fy, intrinsics[1, 2], _f4(height)) != slope_y:
        g_slope_y = _ZERO
    g_slope_x += fx * g_px
    g_slope_y += fy * g_py
    g_inverse_z = (
        fx * (gu0 * u[0] + gu1 * u[1] + gu2 * u[2])
        + fy * (gv0 * u[3] + gv1 * u[4] + gv2 * u[5])
        + g_slope_x * x
        + g_slope_y * y
    )
    g_x, g_y = g_slope_x * inverse_z, g_slope_y * inverse_z
    g_z = g_depth - g_inverse_z * inverse_z * inverse_z
    g_mean[0] = view[0, 0] * g_x + view[1, 0] * g_y + view[2, 0] * g_z
    g_mean[1] = view[0, 1] * g_x + view[1, 1] * g_y + view[2, 1] * g_z
    g_mean[2] = view[0, 2] * g_x + view[1, 2] * g_y + view[2, 2] * g_z

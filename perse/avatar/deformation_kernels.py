# mypy: ignore-errors
"""Linear blend skinning of Gaussians and its gradient, for numba: `perse.avatar.deformation` sixteen points at a time.

Attributes are rows [s, n, 14] of subjects, of which the first seven columns are read: x, y, z and the quaternion.
"""

from __future__ import annotations

import numba

from perse.avatar.canonical import N_ATTRIBUTES
from perse.avatar.deformation import POWER_STEPS
from perse.render.compiled import kernel, parallel_kernel
from perse.render.lane_memory import gather, scatter
from perse.render.lanes import WIDTH, spread, square_root
from perse.render.record_kernels import load_fours, load_vectors, store_fours, store_vectors

BLOCK = 32 * WIDTH
"""Points that one thread takes at a time."""

_STRIDE = N_ATTRIBUTES
_TINY = 1e-20


@kernel
def _multiplied(a, b):
    """Product of two quaternions."""
    return (
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    )


@kernel
def _blended_matrix(skinning, row, valid, transforms):
    """The twelve numbers of Σ_j w_j T_j, row by row."""
    joints = transforms.shape[0]
    zero = spread(0.0)
    m00, m01, m02, m03 = zero, zero, zero, zero
    m10, m11, m12, m13 = zero, zero, zero, zero
    m20, m21, m22, m23 = zero, zero, zero, zero
    for j in range(joints):
        w, t = gather(skinning, row * joints + j, joints, valid), transforms[j]
        m00, m01, m02, m03 = m00 + w * t[0, 0], m01 + w * t[0, 1], m02 + w * t[0, 2], m03 + w * t[0, 3]
        m10, m11, m12, m13 = m10 + w * t[1, 0], m11 + w * t[1, 1], m12 + w * t[1, 2], m13 + w * t[1, 3]
        m20, m21, m22, m23 = m20 + w * t[2, 0], m21 + w * t[2, 1], m22 + w * t[2, 2], m23 + w * t[2, 3]
    return m00, m01, m02, m03, m10, m11, m12, m13, m20, m21, m22, m23


@kernel
def _nearest_turn(skinning, row, valid, turns):
    """Dominant eigenvector of Σ_j w_j q_j q_jᵀ by power iteration from the blend of the aligned q_j."""
    joints = turns.shape[0]
    w = x = y = z = spread(0.0)
    ww = wx = wy = wz = xx = xy = xz = yy = yz = zz = spread(0.0)
    for j in range(joints):
        weight, q = gather(skinning, row * joints + j, joints, valid), turns[j]
        kw, kx, ky, kz = weight * q[0], weight * q[1], weight * q[2], weight * q[3]
        w, x, y, z = w + kw, x + kx, y + ky, z + kz
        ww, wx, wy, wz = ww + kw * q[0], wx + kw * q[1], wy + kw * q[2], wz + kw * q[3]
        xx, xy, xz = xx + kx * q[1], xy + kx * q[2], xz + kx * q[3]
        yy, yz, zz = yy + ky * q[2], yz + ky * q[3], zz + kz * q[3]
    for _ in range(POWER_STEPS):
        w, x, y, z = (
            ww * w + wx * x + wy * y + wz * z,
            wx * w + xx * x + xy * y + xz * z,
            wy * w + xy * x + yy * y + yz * z,
            wz * w + xz * x + yz * y + zz * z,
        )
        inverse = spread(1.0) / square_root(w * w + x * x + y * y + z * z + _TINY)
        w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
    return w, x, y, z


@kernel
def _displaced(attributes, at, shift, row, valid):
    """x_fc plus its displacement."""
    dx, dy, dz = load_vectors(shift, row, valid)
    x, y, z = (
        gather(attributes, at, _STRIDE, valid),
        gather(attributes, at + 1, _STRIDE, valid),
        gather(attributes, at + 2, _STRIDE, valid),
    )
    return x + dx, y + dy, z + dz


@kernel
def _add(array, at, stride, valid, value):
    scatter(array, at, stride, valid, gather(array, at, stride, valid) + value)


@parallel_kernel
def deform(attributes, skinning, shift, transforms, aligned, of_frame, means, quats, turns):
    """Posed means and quaternions in f frames (Eq. 22 and 29).

    Args:
        attributes: [s, n, 14].
        skinning: [s, n, j], or [1, n, j] for all subjects.
        shift: [f, n, 3] displacements before skinning, metres.
        transforms: [f, j, 4, 4].
        aligned: [f, j, 4] the joints' unit quaternions, all on the first one's side.
        of_frame: [f] int64 subjects.
        means, quats: out, [f, n, 3] and [f, n, 4].
        turns: [f, n, 4] out, the rotations that the quaternions were turned by.
    """
    frames, count = shift.shape[0], shift.shape[1]
    for block in numba.prange((count + BLOCK - 1) // BLOCK):
        for first in range(block * BLOCK, min(count, (block + 1) * BLOCK), WIDTH):
            valid = min(count - first, WIDTH)
            for f in range(frames):
                subject = of_frame[f]
                at = (subject * count + first) * _STRIDE
                row = f * count + first
                weights_row = (subject if skinning.shape[0] > 1 else 0) * count + first
                x, y, z = _displaced(attributes, at, shift, row, valid)
                m = _blended_matrix(skinning, weights_row, valid, transforms[f])
                store_vectors(
                    means, row, valid,
                    m[0] * x + m[1] * y + m[2] * z + m[3],
                    m[4] * x + m[5] * y + m[6] * z + m[7],
                    m[8] * x + m[9] * y + m[10] * z + m[11],
                )  # fmt: skip
                turn = _nearest_turn(skinning, weights_row, valid, aligned[f])
                store_fours(turns, row, valid, turn[0], turn[1], turn[2], turn[3])
                own = (
                    gather(attributes, at + 3, _STRIDE, valid), gather(attributes, at + 4, _STRIDE, valid),
                    gather(attributes, at + 5, _STRIDE, valid), gather(attributes, at + 6, _STRIDE, valid),
                )  # fmt: skip
                q = _multiplied(turn, own)
                store_fours(quats, row, valid, q[0], q[1], q[2], q[3])


@parallel_kernel
def deform_gradients(
    attributes, skinning, shift, transforms, of_frame, turns, g_means, g_quats, g_attributes, g_skinning, g_shift
):  # fmt: skip
    """Chain rule through `deform`, the turns being constants.

    Args:
        g_attributes, g_skinning: added to; of the attributes only the first seven columns.
        g_shift: out.
    """
    frames, count, joints = shift.shape[0], shift.shape[1], skinning.shape[2]
    for block in numba.prange((count + BLOCK - 1) // BLOCK):
        for first in range(block * BLOCK, min(count, (block + 1) * BLOCK), WIDTH):
            valid = min(count - first, WIDTH)
            for f in range(frames):
                subject = of_frame[f]
                at = (subject * count + first) * _STRIDE
                row = f * count + first
                weights_row = (subject if skinning.shape[0] > 1 else 0) * count + first
                x, y, z = _displaced(attributes, at, shift, row, valid)
                gx, gy, gz = load_vectors(g_means, row, valid)
                sx = sy = sz = spread(0.0)
                for j in range(joints):
                    t = transforms[f, j]
                    # The gradient in the joint's own axes: of its weight it takes the product with the point.
                    own_x = gx * t[0, 0] + gy * t[1, 0] + gz * t[2, 0]
                    own_y = gx * t[0, 1] + gy * t[1, 1] + gz * t[2, 1]
                    own_z = gx * t[0, 2] + gy * t[1, 2] + gz * t[2, 2]
                    moved = gx * t[0, 3] + gy * t[1, 3] + gz * t[2, 3]
                    place = weights_row * joints + j
                    w = gather(skinning, place, joints, valid)
                    sx, sy, sz = sx + w * own_x, sy + w * own_y, sz + w * own_z
                    _add(g_skinning, place, joints, valid, own_x * x + own_y * y + own_z * z + moved)
                store_vectors(g_shift, row, valid, sx, sy, sz)
                # A unit quaternion's inverse is its conjugate, and so is the transpose of multiplying by it.
                turn = load_fours(turns, row, valid)
                conjugate = (turn[0], turn[1] * -1.0, turn[2] * -1.0, turn[3] * -1.0)
                q = _multiplied(conjugate, load_fours(g_quats, row, valid))
                for column, value in enumerate((sx, sy, sz, q[0], q[1], q[2], q[3])):
                    _add(g_attributes, at + column, _STRIDE, valid, value)

"""From canonical Gaussians to the Gaussians of a frame, in one pass over the points.

Blendshapes, skinning, the turn of the quaternions, a first-order pose response and the activations are seven
operations over [f, n, ·] tensors; one after another in torch they cost more than rasterizing does. `pose_fused`
makes them one numba kernel that reads a point once for all frames, with a hand-written backward; `pose_plain` is the
same function in plain torch: the specification, and what runs on accelerators. `pose_points` picks.

The *pose response* is the part-bases decoder's stand-in for MLP_pose (P Eq. 24–25): opacity and colour logits answer
linearly to the six numbers that describe what happens to the point: its blendshape displacement and its turn.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from perse.avatar.canonical import COLOR, LOG_SCALE, MEAN, N_ATTRIBUTES, OPACITY, QUAT, CanonicalGaussians, per_frame
from perse.avatar.deformation import POWER_STEPS, deform
from perse.avatar.motion import FrameMotion
from perse.gaussians import Gaussians
from perse.render.threads import limited_threads, thread_count

LOG_SCALE_RANGE = (-8.5, -3.0)
"""Scales stay between 0.2 mm and 5 cm: smaller is invisible at any size we render, larger is a fog."""

N_RESPONSES = 4 * 6
"""A pose response maps (displacement, turn) to (opacity, RGB) logits."""

DISPLACEMENT_UNIT = 100.0
"""Displacements enter the response in centimetres, of the order of one as the turns are (radians)."""


def pose_points(canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Tensor) -> Gaussians:
    """Gaussians [f, n] of f frames.

    Args:
        canonical: with a leading [s]; `pose_condition` [n, 24] is the pose response, [n, 0] is none.
        motion: f frames.
        of_frame: [f] int64 in [0, s), the subject of each frame.
    """
    fast = canonical.attributes.device.type == "cpu" and canonical.attributes.dtype == torch.float32
    shared = canonical.blend_basis.ndim == 3 and canonical.skinning.ndim == 2
    return (pose_fused if fast and shared else pose_plain)(canonical, motion, of_frame)


def pose_plain(canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Tensor) -> Gaussians:
    """`pose_points`, written for the reader."""
    attributes = canonical.attributes[of_frame]  # [f, n, 14]
    basis, skinning = per_frame(canonical.blend_basis, 3, of_frame), per_frame(canonical.skinning, 2, of_frame)
    means, quats, shift, turn = deform(attributes[..., MEAN], attributes[..., QUAT], basis, skinning, motion)
    opacity, color = attributes[..., OPACITY], attributes[..., COLOR]
    if canonical.pose_condition.shape[-1]:
        response = canonical.pose_condition.unflatten(-1, (4, 6))
        angles = 2 * turn[..., 1:] * torch.where(turn[..., :1] < 0, -1.0, 1.0)
        happening = torch.cat([DISPLACEMENT_UNIT * shift, angles.expand(len(motion), *angles.shape[1:])], -1)
        change = torch.einsum("nac,fnc->fna", response, happening.expand(len(motion), *happening.shape[1:]))
        opacity, color = opacity + change[..., 0], color + change[..., 1:]
    scales = torch.exp(attributes[..., LOG_SCALE].clamp(*LOG_SCALE_RANGE))
    return Gaussians(means, quats, scales, torch.sigmoid(opacity), torch.sigmoid(color))


def pose_fused(canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Tensor) -> Gaussians:
    """`pose_points` on the CPU for bases and weights that all subjects share. Deterministic for any thread count.

    Gradients reach attributes, skinning weights and response; the blendshape basis is a constant here.
    """
    return Gaussians(
        *_FusedPose.apply(canonical.attributes, canonical.skinning, canonical.pose_condition, canonical.blend_basis,
                          motion, of_frame)
    )  # fmt: skip


class _FusedPose(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, attributes: Tensor, skinning: Tensor, response: Tensor, basis: Tensor, motion: FrameMotion,
        of_frame: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        arrays = [_array(t) for t in (attributes, basis, skinning, response)]
        frames = [_array(t) for t in (motion.coefficients, motion.transforms, motion.turns, of_frame)]
        f, n = len(motion), attributes.shape[1]
        outs = [np.empty((f, n, *tail), np.float32) for tail in ((3,), (4,), (3,), (), (3,))]
        saved = np.empty((f, n, 3 + 4), np.float32)
        with limited_threads(thread_count(None)):
            _pose_forward(*arrays, *frames, *outs, saved)
        ctx.kept = (arrays, frames, outs, saved)
        return tuple(torch.from_numpy(out) for out in outs)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        arrays, frames, outs, saved = ctx.kept
        attributes, basis, skinning, response = arrays
        gradients = [np.zeros_like(a) for a in (attributes, skinning, response)]
        with limited_threads(thread_count(None)):
            _pose_backward(
                attributes, basis, skinning, response, *frames, *outs[2:], saved, *(_array(g) for g in cotangents),
                *gradients,
            )  # fmt: skip
        return *(torch.from_numpy(g) for g in gradients), None, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())


_FAST: Any = {"fastmath": True, "cache": True, "nogil": True, "error_model": "numpy"}


@numba.njit(inline="always", **_FAST)
def _nearest_turn(weights, turns, turn):  # type: ignore[no-untyped-def]
    """Dominant eigenvector of Σ w q qᵀ by power iteration from the aligned blend; see `deformation`."""
    a00 = a01 = a02 = a03 = a11 = a12 = a13 = a22 = a23 = a33 = np.float32(0)
    w = x = y = z = np.float32(0)
    for j in range(weights.shape[0]):
        k = weights[j]
        q0, q1, q2, q3 = turns[j, 0], turns[j, 1], turns[j, 2], turns[j, 3]
        if q0 * turns[0, 0] + q1 * turns[0, 1] + q2 * turns[0, 2] + q3 * turns[0, 3] < 0:
            q0, q1, q2, q3 = -q0, -q1, -q2, -q3
        w += k * q0
        x += k * q1
        y += k * q2
        z += k * q3
        a00 += k * q0 * q0
        a01 += k * q0 * q1
        a02 += k * q0 * q2
        a03 += k * q0 * q3
        a11 += k * q1 * q1
        a12 += k * q1 * q2
        a13 += k * q1 * q3
        a22 += k * q2 * q2
        a23 += k * q2 * q3
        a33 += k * q3 * q3
    for _ in range(POWER_STEPS):
        nw = a00 * w + a01 * x + a02 * y + a03 * z
        nx = a01 * w + a11 * x + a12 * y + a13 * z
        ny = a02 * w + a12 * x + a22 * y + a23 * z
        nz = a03 * w + a13 * x + a23 * y + a33 * z
        inverse = np.float32(1) / np.sqrt(nw * nw + nx * nx + ny * ny + nz * nz + np.float32(1e-20))
        w, x, y, z = nw * inverse, nx * inverse, ny * inverse, nz * inverse
    turn[0], turn[1], turn[2], turn[3] = w, x, y, z


@numba.njit(inline="always", **_FAST)
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return np.float32(1) / (np.float32(1) + np.exp(-x))


@numba.njit(parallel=True, **_FAST)
def _pose_forward(  # type: ignore[no-untyped-def]
    attributes, basis, skinning, response, coefficients, transforms, turns, of_frame,
    means, quats, scales, opacities, colors, saved,
):  # fmt: skip
    n_frames, n_coefficients = coefficients.shape
    n_joints = skinning.shape[1]
    low, high = np.float32(LOG_SCALE_RANGE[0]), np.float32(LOG_SCALE_RANGE[1])
    for i in numba.prange(attributes.shape[1]):
        blend = np.empty(12, np.float32)
        happening = np.empty(6, np.float32)
        change = np.empty(4, np.float32)
        weights = skinning[i]
        for f in range(n_frames):
            a = attributes[of_frame[f], i]
            c = coefficients[f]
            kept = saved[f, i]
            for axis in range(3):
                e = basis[i, axis]
                shift = np.float32(0)
                for m in range(n_coefficients):
                    shift += e[m] * c[m]
                kept[axis] = a[axis] + shift
                happening[axis] = np.float32(DISPLACEMENT_UNIT) * shift
            for r in range(12):
                blend[r] = 0
            for j in range(n_joints):
                w = weights[j]
                for r in range(12):
                    blend[r] += w * transforms[f, j, r // 4, r % 4]
            for r in range(3):
                means[f, i, r] = (
                    blend[4 * r] * kept[0] + blend[4 * r + 1] * kept[1] + blend[4 * r + 2] * kept[2] + blend[4 * r + 3]
                )
            turn = kept[3:7]
            _nearest_turn(weights, turns[f], turn)
            tw, tx, ty, tz = turn[0], turn[1], turn[2], turn[3]
            qw, qx, qy, qz = a[3], a[4], a[5], a[6]
            quats[f, i, 0] = tw * qw - tx * qx - ty * qy - tz * qz
            quats[f, i, 1] = tw * qx + tx * qw + ty * qz - tz * qy
            quats[f, i, 2] = tw * qy - tx * qz + ty * qw + tz * qx
            quats[f, i, 3] = tw * qz + tx * qy - ty * qx + tz * qw
            for axis in range(3):
                scales[f, i, axis] = np.exp(min(max(a[7 + axis], low), high))
            for r in range(4):
                change[r] = a[10 + r]
            if response.shape[1] > 0:
                sign = np.float32(-2) if tw < 0 else np.float32(2)
                for axis in range(3):
                    happening[3 + axis] = sign * turn[1 + axis]
                for r in range(4):
                    for p in range(6):
                        change[r] += response[i, 6 * r + p] * happening[p]
            opacities[f, i] = _sigmoid(change[0])
            for r in range(3):
                colors[f, i, r] = _sigmoid(change[1 + r])


@numba.njit(parallel=True, **_FAST)
def _pose_backward(  # type: ignore[no-untyped-def]
    attributes, basis, skinning, response, coefficients, transforms, turns, of_frame,
    scales, opacities, colors, saved,
    g_means, g_quats, g_scales, g_opacities, g_colors, g_attributes, g_skinning, g_response,
):  # fmt: skip
    n_frames = coefficients.shape[0]
    n_joints = skinning.shape[1]
    low, high = np.float32(LOG_SCALE_RANGE[0]), np.float32(LOG_SCALE_RANGE[1])
    for i in numba.prange(attributes.shape[1]):
        happening = np.empty(6, np.float32)
        g_change = np.empty(4, np.float32)
        g_shifted = np.empty(3, np.float32)
        weights = skinning[i]
        for f in range(n_frames):
            s = of_frame[f]
            a = attributes[s, i]
            out = g_attributes[s, i]
            kept = saved[f, i]
            x0, x1, x2 = kept[0], kept[1], kept[2]
            m0, m1, m2 = g_means[f, i, 0], g_means[f, i, 1], g_means[f, i, 2]
            g_shifted[:] = 0
            for j in range(n_joints):
                t = transforms[f, j]
                w = weights[j]
                g_skinning[i, j] += (
                    m0 * (t[0, 0] * x0 + t[0, 1] * x1 + t[0, 2] * x2 + t[0, 3])
                    + m1 * (t[1, 0] * x0 + t[1, 1] * x1 + t[1, 2] * x2 + t[1, 3])
                    + m2 * (t[2, 0] * x0 + t[2, 1] * x1 + t[2, 2] * x2 + t[2, 3])
                )
                for axis in range(3):
                    g_shifted[axis] += w * (t[0, axis] * m0 + t[1, axis] * m1 + t[2, axis] * m2)
            for axis in range(3):
                out[axis] += g_shifted[axis]
            # A unit quaternion's inverse is its conjugate, and so is the transpose of multiplying by it.
            tw, tx, ty, tz = kept[3], -kept[4], -kept[5], -kept[6]
            q0, q1, q2, q3 = g_quats[f, i, 0], g_quats[f, i, 1], g_quats[f, i, 2], g_quats[f, i, 3]
            out[3] += tw * q0 - tx * q1 - ty * q2 - tz * q3
            out[4] += tw * q1 + tx * q0 + ty * q3 - tz * q2
            out[5] += tw * q2 - tx * q3 + ty * q0 + tz * q1
            out[6] += tw * q3 + tx * q2 - ty * q1 + tz * q0
            for axis in range(3):
                if low <= a[7 + axis] <= high:
                    out[7 + axis] += g_scales[f, i, axis] * scales[f, i, axis]
            o = opacities[f, i]
            g_change[0] = g_opacities[f, i] * o * (np.float32(1) - o)
            for r in range(3):
                k = colors[f, i, r]
                g_change[1 + r] = g_colors[f, i, r] * k * (np.float32(1) - k)
            for r in range(4):
                out[10 + r] += g_change[r]
            if response.shape[1] > 0:
                sign = np.float32(-2) if kept[3] < 0 else np.float32(2)
                for axis in range(3):
                    happening[axis] = np.float32(DISPLACEMENT_UNIT) * (kept[axis] - a[axis])
                    happening[3 + axis] = sign * kept[4 + axis]
                for r in range(4):
                    for p in range(6):
                        g_response[i, 6 * r + p] += g_change[r] * happening[p]


assert N_ATTRIBUTES == 14  # the kernels above spell the layout out

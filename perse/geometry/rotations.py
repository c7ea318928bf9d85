"""Rotations. Quaternions are wxyz, as in gsplat. Everything is batched and differentiable."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of axis-angle vectors in radians (Rodrigues' formula).

    Differentiable at zero, where the usual ``v / |v|`` is not: sin(t)/t and (1 - cos t)/t² are taken by series there.
    """
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / safe)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*axis_angle.shape[:-1], 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + sine * skew + cosine * (skew @ skew)


def quaternion_to_matrix(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of quaternions (wxyz, normalised here)."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*quaternion.shape[:-1], 3, 3)


def matrix_to_quaternion(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions of rotation matrices, wxyz, w ≥ 0.

    Of the four algebraic solutions the one with the largest denominator is used, so that no digit is lost (Shepperd).
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squared = torch.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    candidates = torch.stack(
        [
            squared[..., 0], m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1],
            m[..., 2, 1] - m[..., 1, 2], squared[..., 1], m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0],
            m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] + m[..., 0, 1], squared[..., 2], m[..., 2, 1] + m[..., 1, 2],
            m[..., 1, 0] - m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2], squared[..., 3],
        ],
        -1,
    ).reshape(*m.shape[:-2], 4, 4)  # fmt: skip
    best = squared.argmax(-1)[..., None, None].expand(*m.shape[:-2], 1, 4)
    quaternion = torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def quaternion_multiply(a: Float[Tensor, "*#batch 4"], b: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "... 4"]:
    """Hamilton product of quaternions, wxyz: the rotation b followed by a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def nearest_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation nearest to a matrix in the Frobenius norm (orthogonal Procrustes, by SVD)."""
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.ones(*matrix.shape[:-1], dtype=matrix.dtype, device=matrix.device)
    sign[..., 2] = torch.det(u @ vh).sign()
    return (u * sign[..., None, :]) @ vh

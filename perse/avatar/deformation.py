"""Blendshapes and linear blend skinning of Gaussians (P Eq. 21–22, 29), in plain torch.

The specification of the fused kernel in `posing.py`, and what runs on accelerators.

The paper turns a Gaussian's rotation by the Jacobian of its skinning map. That Jacobian is a *blend* of rotations,
not a rotation, so the nearest rotation is taken. For M = Σ w_j R_j the rotation nearest in the Frobenius norm
maximises Σ w_j tr(Rᵀ R_j), and tr(RᵀR_j) = 4 (q · q_j)² − 1: it is the quaternion that maximises qᵀ (Σ w_j q_j q_jᵀ) q,
an eigenvector of a symmetric 4 × 4 matrix. The sign-aligned blend of quaternions is so close to it that
`POWER_STEPS` multiplications finish the job; no SVD is needed (a test compares with `geometry.nearest_rotation`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from perse.avatar.motion import FrameMotion
from perse.geometry import quaternion_multiply

POWER_STEPS = 4
"""For joints up to 60° apart the eigenvalues differ 14-fold or more: four steps leave an error below 1e-5."""


def blended_turns(skinning: Float[Tensor, "*f n j"], turns: Float[Tensor, "f j 4"]) -> Float[Tensor, "f n 4"]:
    """The rotation nearest to the blend of the joints' rotations.

    Args:
        skinning: of every frame, or the same in all.
        turns: unit quaternions.

    Returns:
        Unit quaternions. No gradient flows through them: the derivative of a nearest rotation is
        unbounded where the blend degenerates, and weights learn from positions anyway.
    """
    with torch.no_grad():
        aligned = torch.where((turns * turns[:, :1]).sum(-1, keepdim=True) < 0, -turns, turns)  # [f, j, 4]
        outer = aligned[..., :, None] * aligned[..., None, :]  # [f, j, 4, 4]
        moment = (skinning @ outer.flatten(-2)).unflatten(-1, (4, 4))  # [f, n, 4, 4]
        turn = skinning @ aligned
        for _ in range(POWER_STEPS):
            turn = torch.nn.functional.normalize((moment @ turn[..., None])[..., 0], dim=-1)
        return turn


def displace(
    means: Float[Tensor, "*f n 3"], blend_basis: Float[Tensor, "*g n 3 m"], motion: FrameMotion
) -> tuple[Float[Tensor, "f n 3"], Float[Tensor, "f n 3"]]:
    """Canonical means after blendshapes (Eq. 21): x_fc + E ψ + P vec(R − I).

    Returns:
        displaced points and the displacements, metres.
    """
    equation = "fncm,fm->fnc" if blend_basis.ndim == 4 else "ncm,fm->fnc"
    shift = torch.einsum(equation, blend_basis, motion.coefficients)
    return means + shift, shift


def skin(
    points: Float[Tensor, "f n 3"], skinning: Float[Tensor, "*g n j"], motion: FrameMotion
) -> Float[Tensor, "f n 3"]:
    """Points after linear blend skinning (Eq. 22), with weights of every frame, or the same in all."""
    matrices = (skinning @ motion.transforms[..., :3, :].flatten(-2)).unflatten(-1, (3, 4))  # [f, n, 3, 4]
    return (matrices[..., :3] @ points[..., None])[..., 0] + matrices[..., 3]


def deform(
    means: Float[Tensor, "*a n 3"],
    quats: Float[Tensor, "*b n 4"],
    blend_basis: Float[Tensor, "*c n 3 m"],
    skinning: Float[Tensor, "*d n j"],
    motion: FrameMotion,
) -> tuple[Float[Tensor, "f n 3"], Float[Tensor, "f n 4"], Float[Tensor, "f n 3"], Float[Tensor, "f n 4"]]:
    """Posed means and quaternions of canonical ones (Eq. 21, 22 and 29).

    Args:
        means: [(f,) n, 3], quats: [(f,) n, 4], blend_basis: [(f,) n, 3, m], skinning: [(f,) n, j]; each with the
            frames' leading dimension or without one.

    Returns:
        posed means [f, n, 3], posed quaternions [f, n, 4], displacements [f, n, 3], turns [f, n, 4].
    """
    displaced, shift = displace(means, blend_basis, motion)
    turn = blended_turns(skinning, motion.turns)
    return skin(displaced, skinning, motion), quaternion_multiply(turn, quats.expand_as(turn)), shift, turn

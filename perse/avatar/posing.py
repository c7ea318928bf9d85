"""Posing: from canonical Gaussians to the Gaussians of a frame, in two passes over the points.

Blendshapes, skinning, the turn of the quaternions, a first-order pose response and the activations are seven
operations over [f, n, ·] tensors; one after another in torch they cost more than rasterizing does. `pose_fused` makes
them one matrix product and two numba kernels, `deformation_kernels` and `response_kernels`, with hand-written
gradients; `pose_plain` is the same function in plain torch: the specification, and what runs on accelerators.
`pose_points` picks. Decoders with a response of their own take `deform_fused` and go on from there.

The *pose response* is the part-bases decoder's stand-in for MLP_pose (P Eq. 24–25): opacity and colour logits answer
linearly to the six numbers that describe what happens to the point: its blendshape displacement and its turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.avatar.canonical import COLOR, LOG_SCALE, MEAN, OPACITY, QUAT, CanonicalGaussians, per_frame
from perse.avatar.deformation import deform
from perse.avatar.motion import FrameMotion
from perse.avatar.response_kernels import ANSWERS, DISPLACEMENT_UNIT, LOG_SCALE_RANGE, QUESTIONS
from perse.gaussians import Gaussians
from perse.render.threads import limited_threads, thread_count

N_RESPONSES = ANSWERS * QUESTIONS
"""A pose response maps (displacement, turn) to (opacity, RGB) logits."""


def fits_fused(canonical: CanonicalGaussians) -> bool:
    """Whether the fused kernels can deform these: float32 on the CPU, with one blendshape basis for all subjects."""
    attributes = canonical.attributes
    return attributes.device.type == "cpu" and attributes.dtype == torch.float32 and canonical.blend_basis.ndim == 3


def pose_points(canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
    """Gaussians [f, n] of f frames.

    Args:
        canonical: with a leading [s]; `pose_condition` [n, 24] is the pose response, [n, 0] is none.
        motion: f frames.
        of_frame: in [0, s), the subject of each frame.
    """
    return (pose_fused if fits_fused(canonical) else pose_plain)(canonical, motion, of_frame)


def pose_plain(canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
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


def pose_fused(canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
    """`pose_points` where `fits_fused`. Deterministic for any thread count.

    Gradients reach attributes, skinning weights and response; the blendshape basis is a constant here.
    """
    shift = blend_shift(canonical.blend_basis, motion)
    means, quats, turns = _Deform.apply(canonical.attributes, canonical.skinning, shift, motion, of_frame)
    return Gaussians(
        means, quats, *_Activate.apply(canonical.attributes, canonical.pose_condition, shift, turns, of_frame)
    )  # fmt: skip


def deform_fused(
    attributes: Float[Tensor, "s n 14"],
    skinning: Float[Tensor, "*subjects n j"],
    shift: Float[Tensor, "f n 3"],
    motion: FrameMotion,
    of_frame: Int[Tensor, " f"],
) -> tuple[Float[Tensor, "f n 3"], Float[Tensor, "f n 4"]]:
    """Eq. 22 and 29 on the CPU: what `perse.avatar.deformation.deform` does to displaced points.

    Args:
        attributes: positions and quaternions are read.
        skinning: of every subject, or the same for all.
        shift: the displacement of Eq. 21, metres.
        of_frame: in [0, s).

    Returns:
        posed means and quaternions. Gradients reach the first three arguments.
    """
    means, quats, _ = _Deform.apply(attributes, skinning, shift, motion, of_frame)
    return means, quats


def blend_shift(blend_basis: Float[Tensor, "n 3 m"], motion: FrameMotion) -> Float[Tensor, "f n 3"]:
    """Shift by a basis that is a constant: Eq. 21's E ψ + P vec(R − I)."""
    n, _, m = blend_basis.shape
    return (motion.coefficients @ blend_basis.detach().reshape(n * 3, m).T).view(len(motion), n, 3)


class _Deform(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, attributes: Tensor, skinning: Tensor, shift: Tensor, motion: FrameMotion, of_frame: Tensor
    ) -> tuple[Tensor, ...]:
        from perse.avatar.deformation_kernels import deform as deform_kernel

        weights = skinning if skinning.ndim == 3 else skinning[None]
        arrays = [_array(values) for values in (attributes, weights, shift)]
        transforms, frames = _array(motion.transforms), _array(of_frame)
        turns = _array(motion.turns)
        aligned = np.where((turns * turns[:, :1]).sum(-1, keepdims=True) < 0, -turns, turns)
        outs = [np.empty((*shift.shape[:2], width), np.float32) for width in (3, 4, 4)]
        with limited_threads(thread_count(None)):
            deform_kernel(*arrays, transforms, aligned, frames, *outs)
        ctx.kept = (arrays, transforms, frames, outs[2], skinning.ndim)
        means, quats, own_turns = (torch.from_numpy(out) for out in outs)
        ctx.mark_non_differentiable(own_turns)
        return means, quats, own_turns

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        from perse.avatar.deformation_kernels import deform_gradients

        arrays, transforms, frames, turns, ndim = ctx.kept
        g_attributes, g_skinning = np.zeros_like(arrays[0]), np.zeros_like(arrays[1])
        g_shift = np.empty_like(arrays[2])
        with limited_threads(thread_count(None)):
            deform_gradients(
                *arrays, transforms, frames, turns, *(_array(g) for g in cotangents[:2]), g_attributes, g_skinning,
                g_shift,
            )  # fmt: skip
        g_weights = torch.from_numpy(g_skinning if ndim == 3 else g_skinning[0])
        return torch.from_numpy(g_attributes), g_weights, torch.from_numpy(g_shift), None, None


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, attributes: Tensor, response: Tensor, shift: Tensor, turns: Tensor, of_frame: Tensor
    ) -> tuple[Tensor, ...]:
        from perse.avatar.response_kernels import activate

        arrays = [_array(values) for values in (attributes, response, shift, turns, of_frame)]
        outs = [np.empty((*shift.shape[:2], *tail), np.float32) for tail in ((3,), (), (3,))]
        with limited_threads(thread_count(None)):
            activate(*arrays, *outs)
        ctx.kept = (arrays, outs)
        return tuple(torch.from_numpy(out) for out in outs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        from perse.avatar.response_kernels import activate_gradients

        (attributes, response, *others), outs = ctx.kept
        g_attributes, g_response = np.zeros_like(attributes), np.empty_like(response)
        with limited_threads(thread_count(None)):
            activate_gradients(
                attributes, *others, *outs, *(_array(g) for g in cotangents), g_attributes, g_response
            )  # fmt: skip
        return torch.from_numpy(g_attributes), torch.from_numpy(g_response), None, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())

"""Blendshapes, skinning and turns: the fused kernel against its twin, and both against geometry."""

from __future__ import annotations

import pytest
import torch
from tolerances import CHAIN, CHAIN_GRADIENT, SINGLE

from perse.avatar.canonical import CanonicalGaussians
from perse.avatar.deformation import blended_turns, deform
from perse.avatar.motion import FrameMotion, Skeleton
from perse.avatar.posing import deform_fused, pose_fused, pose_plain
from perse.geometry import axis_angle_to_matrix, matrix_to_quaternion, nearest_rotation, quaternion_to_matrix
from perse.head import HeadParameters, pose_head

N, J, M, S, F = 60, 5, 11, 3, 4


def motion(angle: float = 0.5) -> FrameMotion:
    rotations = axis_angle_to_matrix(angle * torch.randn(F, J, 3))
    transforms = torch.eye(4).repeat(F, J, 1, 1)
    transforms[..., :3, :3] = rotations
    transforms[..., :3, 3] = 0.1 * torch.randn(F, J, 3)
    return FrameMotion(torch.rand(F, M), transforms, matrix_to_quaternion(rotations))


def canonical(responses: int = 24) -> CanonicalGaussians:
    attributes = torch.randn(S, N, 14)
    attributes[..., :3] *= 0.1
    attributes[..., 7:10] = -5 + 0.5 * torch.randn(S, N, 3)
    attributes[0, 0, 7] = 0.0  # beyond the largest scale: clamped, without a gradient
    leaves = [attributes, 0.01 * torch.randn(N, 3, M), torch.rand(N, J).softmax(-1), 0.3 * torch.randn(N, responses)]
    return CanonicalGaussians(*(leaf.requires_grad_(i != 1) for i, leaf in enumerate(leaves)))


@pytest.mark.parametrize("responses", [24, 0])
def test_the_kernel_equals_its_twin_in_value_and_gradient(responses: int) -> None:
    """Float32 against float32, so a few units in the last place of sums of a dozen terms."""
    points, frames, of_frame = canonical(responses), motion(), torch.tensor([2, 0, 0, 1])
    fast, plain = pose_fused(points, frames, of_frame), pose_plain(points, frames, of_frame)
    leaves = [points.attributes, points.skinning] + ([points.pose_condition] if responses else [])
    names = ("means", "quats", "scales", "opacities", "colors")
    cotangents = {name: torch.randn_like(getattr(plain, name)) for name in names}
    gradients = []
    for posed in (fast, plain):
        for name in names:
            torch.testing.assert_close(getattr(posed, name), getattr(plain, name), **CHAIN)
        total = sum((getattr(posed, name) * cotangents[name]).sum() for name in names)
        gradients.append(torch.autograd.grad(total, leaves))
    for ours, twin in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, twin, **CHAIN_GRADIENT)


@pytest.mark.parametrize("shared", [True, False])
def test_the_deformation_kernel_equals_its_twin_in_value_and_gradient(shared: bool) -> None:
    """With a learned displacement and, as the networks have them, skinning weights of each subject's own."""
    points, frames, of_frame = canonical(0), motion(), torch.tensor([2, 0, 0, 1])
    skinning = points.skinning if shared else torch.rand(S, N, J).softmax(-1).requires_grad_()
    shift = (0.01 * torch.randn(F, N, 3)).requires_grad_()
    attributes = points.attributes
    weights = skinning if shared else skinning[of_frame]
    plain = deform(
        attributes[of_frame][..., :3] + shift, attributes[of_frame][..., 3:7], torch.zeros(N, 3, M), weights, frames
    )[:2]
    fast = deform_fused(attributes, skinning, shift, frames, of_frame)
    cotangents = [torch.randn_like(values) for values in plain]
    gradients = []
    for posed in (fast, plain):
        for ours, twin in zip(posed, plain, strict=True):
            torch.testing.assert_close(ours, twin, **CHAIN)
        gradients.append(torch.autograd.grad(posed, [attributes, skinning, shift], cotangents))
    for ours, twin in zip(*gradients, strict=True):
        assert float(twin.norm()) > 0
        torch.testing.assert_close(ours, twin, **CHAIN_GRADIENT)


def test_posing_gives_the_same_bits_on_any_number_of_threads() -> None:
    """More points than one thread takes at a time, and a last strip that is not full."""
    points = canonical()
    many = CanonicalGaussians(
        points.attributes.detach().repeat(1, 20, 1)[:, :1190].requires_grad_(),
        points.blend_basis.repeat(20, 1, 1)[:1190],
        points.skinning.detach().repeat(20, 1)[:1190], points.pose_condition.detach().repeat(20, 1)[:1190],
    )  # fmt: skip
    still, results, before = motion(), [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            posed = pose_fused(many, still, torch.tensor([2, 0, 0, 1]))
            total = posed.means.sum() + posed.quats.square().sum() + posed.opacities.sum() + posed.scales.sum()
            results.append([posed.means, posed.quats, posed.colors, *torch.autograd.grad(total, [many.attributes])])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_nan_logit_stays_visible() -> None:
    points = canonical()
    with torch.no_grad():
        points.attributes[2, 5, 7], points.attributes[2, 6, 10], points.attributes[2, 7, 12] = 3 * (float("nan"),)
    posed = pose_fused(points, motion(), torch.tensor([2, 0, 0, 1]))
    assert posed.scales[0, 5, 0].isnan() and posed.opacities[0, 6].isnan() and posed.colors[0, 7, 1].isnan()
    assert posed.scales[0, 6:].isfinite().all() and posed.opacities[1:].isfinite().all()


def test_the_blended_turn_is_the_rotation_nearest_to_the_blended_matrix() -> None:
    """Against Procrustes by SVD. Joints here differ by up to 100°, more than a neck can."""
    frames, weights = motion(), torch.rand(N, J).softmax(-1)
    blend = torch.einsum("nj,fjrc->fnrc", weights, frames.transforms[..., :3, :3])
    ours = quaternion_to_matrix(blended_turns(weights, frames.turns))
    torch.testing.assert_close(
        ours, nearest_rotation(blend), atol=2e-3, rtol=0
    )  # four power steps: 1e-5 up to 60°, less exact beyond


def test_turning_the_quaternion_is_turning_the_covariance() -> None:
    points, frames = canonical(0), motion()
    attributes = points.attributes.detach()[0]
    rigid = torch.nn.functional.one_hot(torch.full((N,), 1), J).float()
    _, quats, _, _ = deform(attributes[:, :3], attributes[:, 3:7], points.blend_basis, rigid, frames)
    squares = torch.diag_embed(torch.exp(2 * attributes[:, 7:10]))
    before = quaternion_to_matrix(attributes[:, 3:7])
    covariance = before @ squares @ before.mT
    after = quaternion_to_matrix(quats)
    rotation = frames.transforms[:, 1, None, :3, :3]
    torch.testing.assert_close(
        after @ squares @ after.mT, rotation @ covariance @ rotation.mT, rtol=1e-3, atol=1e-6
    )  # millimetres squared, through float32 quaternions


def test_points_at_the_head_models_vertices_move_with_the_head_model(head_model) -> None:  # type: ignore[no-untyped-def]
    from perse.avatar.points import IdentityMesh

    generator = torch.Generator().manual_seed(3)
    frames = HeadParameters(
        0.5 * torch.randn(head_model.n_shape, generator=generator),
        0.001 * torch.randn(head_model.n_vertices, 3, generator=generator),
        torch.rand(2, head_model.n_expression, generator=generator),
        0.2 * torch.randn(2, head_model.n_joints, 3, generator=generator),
    )
    mesh = IdentityMesh(head_model, frames)
    skeleton = Skeleton(mesh.joints, head_model.parents, head_model.n_expression, correctives=mesh.correctives)
    at = mesh.at_vertices
    upright = torch.tensor([1.0, 0, 0, 0]).expand(len(at), 4)
    moved, _, _, _ = deform(at.rest, upright, at.blend_basis, at.skinning, skeleton(frames))
    torch.testing.assert_close(moved, pose_head(head_model, frames).vertices, atol=SINGLE, rtol=0)


def test_a_motion_of_another_head_model_is_refused() -> None:
    skeleton = Skeleton(torch.zeros(J, 3), torch.tensor([-1, 0, 1, 1, 1]), 7, correctives=False)
    with pytest.raises(ValueError, match="expects 7 expressions"):
        skeleton(HeadParameters(torch.zeros(1), torch.zeros(1, 3), torch.zeros(2, 8), torch.zeros(2, J, 3)))


def test_posing_leaves_torch_its_threads() -> None:
    """numba's pool, when it starts, would give torch as many threads as it has itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pose_fused(canonical(), motion(), torch.tensor([2, 0, 0, 1]))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)

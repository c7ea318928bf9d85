"""Blendshapes and linear blend skinning (FLAME; P Eq. 21–22). Differentiable, batched over leading dimensions.

Paper's slip: Eq. 22 writes J(ψ); joints depend on the shape β, and so they do here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from perse.geometry.rotations import axis_angle_to_matrix
from perse.geometry.transforms import transform_points
from perse.head.model import HeadModel, PosedHead
from perse.head.parameters import HeadParameters


def rest_vertices(model: HeadModel, parameters: HeadParameters) -> Float[Tensor, "v 3"]:
    """Vertices of the identity without expression or pose: template + shape blendshapes + offsets, metres."""
    return model.template + model.shape_basis @ parameters.betas + parameters.vertex_offsets


def joint_transforms(
    joints: Float[Tensor, "j 3"], pose: Float[Tensor, "*frames j 3"], parents: Sequence[int]
) -> Float[Tensor, "*frames j 4 4"]:
    """Rest-to-posed transforms along the kinematic chain.

    Args:
        joints: rest positions, metres.
        pose: axis-angle, radians, relative to the parent.
        parents: j numbers, -1 for the root; parents come before their children. Not a tensor: reading one would make
            a GPU wait.

    Returns:
        Applied to a rest-pose point rigidly attached to the joint, gives its posed position.
    """
    rotations = axis_angle_to_matrix(pose)
    world_rotations: list[Tensor] = []
    world_positions: list[Tensor] = []
    for index, parent in enumerate(parents):
        if parent < 0:
            rotation, position = rotations[..., index, :, :], joints[index].expand(*pose.shape[:-2], 3)
        else:
            offset = joints[index] - joints[parent]
            rotation = world_rotations[parent] @ rotations[..., index, :, :]
            position = world_positions[parent] + (world_rotations[parent] @ offset[:, None])[..., 0]
        world_rotations.append(rotation)
        world_positions.append(position)
    rotation = torch.stack(world_rotations, -3)
    translation = torch.stack(world_positions, -2) - (rotation @ joints[..., None])[..., 0]
    top = torch.cat([rotation, translation[..., None]], -1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], -2)


def blend_transforms(
    transforms: Float[Tensor, "*frames j 4 4"], weights: Float[Tensor, "n j"]
) -> Float[Tensor, "*frames n 4 4"]:
    """Linear blend skinning matrices of n points from those of j joints."""
    flat = transforms.reshape(*transforms.shape[:-2], 16)
    return (weights @ flat).reshape(*flat.shape[:-2], weights.shape[0], 4, 4)


def pose_head(model: HeadModel, parameters: HeadParameters) -> PosedHead:
    """Posed head after blendshapes, pose correctives and skinning, for one frame or a batch of frames.

    Returns:
        vertices [..., v, 3] where ... is the frame dimension of the parameters (absent for a single frame).
    """
    rest = rest_vertices(model, parameters)
    joints = model.joint_regressor @ rest
    shaped = rest + torch.einsum("vce,...e->...vc", model.expression_basis, parameters.expression)
    if model.pose_basis.shape[-1]:
        identity = torch.eye(3, dtype=rest.dtype, device=rest.device)
        feature = (axis_angle_to_matrix(parameters.pose[..., 1:, :]) - identity).flatten(-3)
        shaped = shaped + torch.einsum("vcp,...p->...vc", model.pose_basis, feature)
    transforms = joint_transforms(joints, parameters.pose, model.parents.tolist())
    matrices = blend_transforms(transforms, model.skinning_weights)
    vertices = transform_points(matrices, shaped)
    return PosedHead(vertices, joints, transforms)

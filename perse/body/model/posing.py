"""Posing a body: the head's blendshapes and skinning along a longer joint tree."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from perse.body.model.parameters import BodyParameters
from perse.head import HeadModel, PosedHead, pose_head, rest_vertices


def shaped_body(model: HeadModel, parameters: BodyParameters) -> Float[Tensor, "v 3"]:
    """Vertices of the identity in rest pose, metres."""
    return rest_vertices(model, parameters.surface)


def pose_body(model: HeadModel, parameters: BodyParameters) -> PosedHead:
    """Posed body: `pose_head`, and the translation in vertices and transforms."""
    posed = pose_head(model, parameters.surface)
    transforms = posed.transforms.clone()
    transforms[..., :3, 3] += parameters.translation[..., None, :]
    return PosedHead(posed.vertices + parameters.translation[..., None, :], posed.joints, transforms)

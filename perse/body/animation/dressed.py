"""A person as a textured surface: skin, hair and garment layer over the body, coloured by the photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from numpy.typing import NDArray
from torch import Tensor

from perse.body.animation.cloth import hung, lagged
from perse.body.model import BodyParameters, pose_body
from perse.body.model.upsampling import FineMesh
from perse.geometry import Camera, transform_points
from perse.head import HeadModel, blend_transforms


@dataclass(frozen=True)
class DressedPerson:
    """A surface that can be posed and drawn.

    Attributes:
        model: the body below.
        fine: the finer mesh over its vertices.
        parameters: a single frame: identity, photographed pose and place.
        rest: [n, 3], the dressed surface in rest pose, metres.
        thickness_m: [n], how far it stands off the skin.
        looseness: [n] in [0, 1].
        skinning: [n, 55].
        covers: [n] values of `Cover`.
        hands: [n] bool.
        photograph: [h, w, 3] float32 in [0, 1].
        photo_px: [n, 2], where each point is in the photograph.
        seen: [n] in [0, 1], how well it is seen there.
        fill: [n, 3], its colour where it is not.
        camera: of the photograph.
    """

    model: HeadModel
    fine: FineMesh
    parameters: BodyParameters
    rest: Float[Tensor, "n 3"]
    thickness_m: Float[Tensor, " n"]
    looseness: Float[Tensor, " n"]
    skinning: Float[Tensor, "n 55"]
    covers: Int[Tensor, " n"]
    hands: Bool[Tensor, " n"]
    photograph: Float32[NDArray[np.float32], "h w 3"]
    photo_px: Float[Tensor, "n 2"]
    seen: Float[Tensor, " n"]
    fill: Float[Tensor, "n 3"]
    camera: Camera

    @property
    def faces(self) -> Int[Tensor, "t 3"]:
        return torch.from_numpy(self.fine.faces)

    def posed(self, motion: BodyParameters) -> Float[Tensor, "*f n 3"]:
        """Skinned points [f, n, 3] of a motion, cloth as at rest."""
        transforms = pose_body(self.model, motion).transforms
        matrices = blend_transforms(transforms, self.skinning)
        return transform_points(matrices, self.rest)

    def moved(self, motion: BodyParameters, seconds: float) -> Float[Tensor, "*f n 3"]:
        """Points [f, n, 3] of a cycle of that duration, whose cloth lags behind."""
        points = hung(self.posed(motion), self.faces, self.looseness, self.thickness_m)
        return lagged(points, self.looseness, seconds)

"""Body as fitted to a photograph: at rest and as photographed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from numpy.typing import NDArray
from torch import Tensor

from perse.body.fitting.layer import smooth_normals
from perse.body.model import BodyParameters, body_regions, pose_body, shaped_body
from perse.geometry import Camera
from perse.head import HeadModel, blend_transforms
from perse.render import project_vertices, rasterize_mesh


@dataclass(frozen=True)
class FittedBody:
    """A fitted body with smooth normals, metres.

    Attributes:
        model: the body model.
        regions: [v] values of `BodyRegion`.
        parameters: a single frame: identity, photographed pose and place.
        camera: of the photograph.
        skin: [v, 3] in rest pose; vertices: [v, 3] posed.
        rest_normals, normals: [v, 3], in rest pose and posed.
        turns: [v, 3, 3], rest pose to posed.
        joints: [55, 3] in rest pose; posed_joints: [55, 3] posed.
    """

    model: HeadModel
    regions: Int[Tensor, " v"]
    parameters: BodyParameters
    camera: Camera
    skin: Float[Tensor, "v 3"]
    vertices: Float[Tensor, "v 3"]
    rest_normals: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    turns: Float[Tensor, "v 3 3"]
    joints: Float[Tensor, "55 3"]
    posed_joints: Float[Tensor, "55 3"]

    @classmethod
    def of(cls, model: HeadModel, parameters: BodyParameters, camera: Camera) -> FittedBody:
        """The body of these parameters."""
        skin, posed = shaped_body(model, parameters), pose_body(model, parameters)
        normals = smooth_normals(skin, model.faces)
        turns = blend_transforms(posed.transforms, model.skinning_weights)[:, :3, :3]
        turned = torch.nn.functional.normalize((turns @ normals[..., None])[..., 0], dim=-1)
        return cls(
            model, body_regions(model), parameters, camera, skin, posed.vertices, normals, turned, turns, posed.joints,
            posed.posed_joints,
        )  # fmt: skip

    def shaped(self, change: Float[Tensor, " s"]) -> FittedBody:
        """The same with other shape coefficients: these are added."""
        return self.of(self.model, replace(self.parameters, betas=self.parameters.betas + change), self.camera)

    @property
    def template_joints(self) -> Float[Tensor, "55 3"]:
        """Joints of the model's template, on which parts of the body are told apart."""
        return self.model.joint_regressor @ self.model.template

    def drawn(self) -> Float32[NDArray[np.float32], "h w"]:
        """1 where the body covers the photograph, else 0."""
        pixels = project_vertices(self.vertices.numpy(), self.camera)
        faces = self.model.faces.numpy().astype(np.int32)
        return (rasterize_mesh(pixels, faces, self.camera.width, self.camera.height).face >= 0).astype(np.float32)

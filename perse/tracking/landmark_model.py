"""The head model reduced to its landmarks: parameters in, pixels out, derivatives by forward mode."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from perse.geometry import axis_angle_to_matrix, transform_points
from perse.head import HeadModel, blend_transforms, joint_transforms
from perse.head.model import Joint

FLIP = (1.0, -1.0, -1.0)
"""World to camera: the camera's axes are the picture's, y down and z forward."""


@dataclass(frozen=True)
class FitLayout:
    """Layout of the fit's parameter vector.

    neck rotation 3 | translation 3, metres | jaw opening 1 | gaze 4 (left x y, right x y) | betas | expression
    """

    n_shape: int
    n_expression: int

    rotation = slice(0, 3)
    translation = slice(3, 6)
    jaw = 6
    gaze = slice(7, 11)

    @property
    def betas(self) -> slice:
        return slice(11, 11 + self.n_shape)

    @property
    def expression(self) -> slice:
        return slice(11 + self.n_shape, self.size)

    @property
    def size(self) -> int:
        return 11 + self.n_shape + self.n_expression

    def pose(self, vector: Float[Tensor, " p"]) -> Float[Tensor, "j 3"]:
        """Pose [5, 3] axis-angle: neck, jaw and eyes filled in, the global joint at rest."""
        zero = torch.zeros(3, dtype=vector.dtype)
        jaw = torch.cat([vector[self.jaw, None], zero[:2]])
        gaze = vector[self.gaze]
        left, right = torch.cat([gaze[:2], zero[:1]]), torch.cat([gaze[2:], zero[:1]])
        return torch.stack([zero, vector[self.rotation], jaw, left, right])


_FORWARD_MODE = threading.Lock()
"""torch counts levels of forward mode once a process: two threads in it at a time end each other's."""


class LandmarkModel:
    """Blendshapes and skinning of the landmarks' triangle corners only, in float64 on the CPU.

    Args:
        model: a head with embedded landmarks.
        focal_px, centre_px: intrinsics of the (square-pixel) camera, whose axes are aligned with the photograph.
        offsets: [v, 3] metres, identity residual.
    """

    def __init__(
        self,
        model: HeadModel,
        focal_px: float,
        centre_px: tuple[float, float],
        offsets: Float[Tensor, "v 3"] | None = None,
    ) -> None:
        if model.n_joints != len(Joint):
            raise ValueError(f"tracking needs the joints {[j.name for j in Joint]}, the head has {model.joint_names}")
        self.layout = FitLayout(model.n_shape, model.n_expression)
        self.focal_px = focal_px
        self.centre_px = torch.tensor(centre_px, dtype=torch.float64)
        rest = model.template if offsets is None else model.template + offsets
        corners = model.faces[model.landmark_faces].reshape(-1)  # [3 l]
        regressor = model.joint_regressor.double()
        self._rest = rest.double()[corners]
        self._shape = model.shape_basis.double()[corners]
        self._expression = model.expression_basis.double()[corners]
        self._pose_basis = model.pose_basis.double()[corners]
        self._skinning = model.skinning_weights.double()[corners]
        self._weights = model.landmark_weights.double()
        self._joints = regressor @ rest.double()
        self._joint_shape = torch.einsum("jv,vcs->jcs", regressor, model.shape_basis.double())
        self._parents: list[int] = model.parents.tolist()

    @cached_property
    def average(self) -> Float[Tensor, "n 3"]:
        """Landmarks of the average head at rest, [l, 3] metres."""
        return self.positions(torch.zeros(self.layout.size, dtype=torch.float64))

    def positions(self, vector: Float[Tensor, " p"]) -> Float[Tensor, "n 3"]:
        """Posed landmarks in world space, [l, 3] metres (the translation is the camera's)."""
        betas, pose = vector[self.layout.betas], self.layout.pose(vector)
        shaped = self._rest + self._shape @ betas + self._expression @ vector[self.layout.expression]
        if self._pose_basis.shape[-1]:
            feature = (axis_angle_to_matrix(pose[1:]) - torch.eye(3, dtype=pose.dtype)).flatten()
            shaped = shaped + self._pose_basis @ feature
        matrices = self._matrices(betas, pose)
        posed = transform_points(matrices, shaped)
        return (posed.reshape(-1, 3, 3) * self._weights[..., None]).sum(1)

    def _matrices(self, betas: Float[Tensor, " b"], pose: Float[Tensor, "j 3"]) -> Float[Tensor, "m 4 4"]:
        """Skinning of the triangles' corners, [3 l, 4, 4]."""
        transforms = joint_transforms(self._joints + self._joint_shape @ betas, pose, self._parents)
        return blend_transforms(transforms, self._skinning)

    def pixels(self, vector: Float[Tensor, " p"]) -> Float[Tensor, "n 2"]:
        """Projected landmarks, [l, 2] pixels."""
        in_camera = self._in_camera(vector)
        return self.focal_px * in_camera[:, :2] / in_camera[:, 2:] + self.centre_px

    def _in_camera(self, vector: Float[Tensor, " p"]) -> Float[Tensor, "n 3"]:
        world = self.positions(vector)
        return world * torch.tensor(FLIP, dtype=world.dtype) + vector[self.layout.translation]

    def jacobian(self, vector: Float[Tensor, " p"], free: Bool[Tensor, " p"]) -> Float[Tensor, "n 2 q"]:
        """Derivatives d pixels / d vector[free], [l, 2, n]; only the columns of the free entries ([size] bool) are
        computed."""
        linear = torch.zeros_like(free)
        linear[self.layout.expression] = True
        out = torch.empty(*self._weights.shape[:1], 2, int(free.sum()), dtype=vector.dtype)
        place = torch.cumsum(free, 0) - 1
        for chosen, columns_of in ((free & ~linear, self._by_forward_mode), (free & linear, self._of_expressions)):
            if chosen.any():
                out[..., place[chosen]] = columns_of(vector, chosen)
        return out

    def _by_forward_mode(self, vector: Float[Tensor, " p"], free: Bool[Tensor, " p"]) -> Float[Tensor, "n 2 q"]:
        place = torch.eye(len(vector), dtype=vector.dtype)[:, free]

        def pixels_of(part: Tensor) -> Tensor:
            return self.pixels(torch.where(free, torch.zeros_like(vector), vector) + place @ part)

        with _FORWARD_MODE:
            return torch.func.jacfwd(pixels_of)(vector[free])

    def _of_expressions(self, vector: Float[Tensor, " p"], free: Bool[Tensor, " p"]) -> Float[Tensor, "n 2 q"]:
        """In closed form, as skinning is linear in them, which spares a fit to a video most of its work."""
        turns = self._matrices(vector[self.layout.betas], self.layout.pose(vector))[:, :3, :3]
        moved = turns @ self._expression[..., free[self.layout.expression]]  # [3 l, 3, n]
        world = (moved.unflatten(0, (-1, 3)) * self._weights[..., None, None]).sum(1)  # [l, 3, n]
        moved = world * torch.tensor(FLIP, dtype=world.dtype)[:, None]
        at = self._in_camera(vector)
        away = moved[:, :2] - (at[:, :2] / at[:, 2:])[..., None] * moved[:, 2:]
        return self.focal_px * away / at[:, 2:, None]

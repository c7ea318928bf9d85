"""Motion of a frame: blendshape coefficients, joint transforms and joint turns (P Eq. 21–22).

Computed once for a whole motion, and then only indexed: a training step never touches the kinematic chain.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from perse.geometry import axis_angle_to_matrix, matrix_to_quaternion
from perse.head import HeadParameters, joint_transforms


@dataclass(frozen=True)
class FrameMotion:
    """The effect of expression and pose, per frame.

    Attributes:
        coefficients: ψ followed by the entries of R(θ) − I of all joints but the root.
        transforms: rest to posed, per joint.
        turns: the rotations of `transforms` as unit quaternions, wxyz.
    """

    coefficients: Float[Tensor, "f m"]
    transforms: Float[Tensor, "f j 4 4"]
    turns: Float[Tensor, "f j 4"]

    def __len__(self) -> int:
        return self.coefficients.shape[0]

    def __getitem__(self, index: Shaped[Tensor, " _"] | slice) -> FrameMotion:
        """Several frames."""
        return FrameMotion(*(getattr(self, f.name)[index] for f in fields(self)))

    @property
    def rigid(self) -> FrameMotion:
        """The same motion for points without blendshapes."""
        return FrameMotion(self.coefficients[:, :0], self.transforms, self.turns)

    def to(self, device: torch.device | str) -> FrameMotion:
        return FrameMotion(*(getattr(self, f.name).to(device) for f in fields(self)))


class Skeleton(nn.Module):
    """The joints of one identity: what is left of the head model inside an avatar, so that it can be posed alone."""

    joints: Float[Tensor, "j 3"]
    parents: Int[Tensor, " j"]

    def __init__(
        self, joints: Float[Tensor, "j 3"], parents: Int[Tensor, " j"], n_expression: int, *, correctives: bool
    ) -> None:
        """
        Args:
            joints: rest positions of this identity's joints, metres.
            n_expression: e, length of ψ.
            correctives: whether the blendshape bases have columns for pose correctives.
        """
        super().__init__()
        self.register_buffer("joints", joints)
        self.register_buffer("parents", parents)
        self._parents: tuple[int, ...] = tuple(parents.tolist())
        self.n_expression = n_expression
        self.correctives = correctives

    def forward(self, parameters: HeadParameters) -> FrameMotion:
        """Motion of one frame or of f frames; always with a leading [f]. Betas and offsets are not read: an avatar has
        its own identity.

        Raises:
            ValueError: expression or pose do not have this avatar's sizes.
        """
        expression = torch.atleast_2d(parameters.expression).to(self.joints)
        pose = parameters.pose.reshape(-1, *parameters.pose.shape[-2:]).to(self.joints)
        if expression.shape[-1] != self.n_expression or pose.shape[-2] != len(self._parents):
            raise ValueError(
                f"this avatar expects {self.n_expression} expressions and {len(self._parents)} joints, got "
                f"{expression.shape[-1]} and {pose.shape[-2]}; use parameters of the head model it was made with"
            )
        transforms = joint_transforms(self.joints, pose, self._parents)
        coefficients = expression
        if self.correctives:
            identity = torch.eye(3).to(pose)
            features = (axis_angle_to_matrix(pose[:, 1:]) - identity).flatten(1)
            coefficients = torch.cat([expression, features], 1)
        turns = matrix_to_quaternion(transforms[..., :3, :3])
        return FrameMotion(coefficients.contiguous(), transforms.contiguous(), turns.contiguous())

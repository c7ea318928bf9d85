"""Avatar of a person as Gaussians that a pose moves.

::

    rest + offset ─► un-offset asset ─────────────────────────► LBS ─► Gaussians ("plain")
              └────► + pose-driven offset (triplane, MLP) ────► LBS ─► Gaussians ("refined")

Scales are isotropic and opacities fixed: what a body looks like is decided by where its points are and what colour they
have, which is what keeps it sharp in poses that nobody has seen. In generated frames an auxiliary colour is added,
which learns what their maker does to colours and is left out everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perse.avatar.pose_offsets import TURNING_JOINTS, OffsetConfig, PoseOffsets
from perse.gaussians import Gaussians
from perse.geometry import axis_angle_to_matrix
from perse.head import blend_transforms, joint_transforms

OPACITY = 0.99
"""Of every Gaussian. At .8 and scales of .45 edges, 9 % of a jumper's front was what lies behind it, up to 29 % between
the points: a lattice on cloth, specks on a face. At .99 and .5 edges 2 % is, and it is nearer to the fitted surface."""


@dataclass(frozen=True)
class Structure:
    """Constants of a training: what it does not change.

    Attributes:
        rest: [n, 3], the dressed surface in rest pose, metres.
        skinning: [n, 55], diffused away from the skin.
        faces: [t, 3], triangles between the points.
        joints: [55, 3], rest positions.
        parents: [55].
        vertices: [v, 3], places in rest pose at which the pose-driven offset is asked for.
        mixture: sparse [n, v], carries offsets from there to the points.
        covers: [n] values of `Cover`.
        hands, face: [n] bool.
        fitted: [n, 3] in [0, 1], colours of the fitted surface, which training starts from.
        fitted_log_scales: [n], the same of the logarithms of scales.
        seen: [n] in [0, 1], how well the photograph shows a point and those beside it.
    """

    rest: Float[Tensor, "n 3"]
    skinning: Float[Tensor, "n 55"]
    faces: Int[Tensor, "t 3"]
    joints: Float[Tensor, "55 3"]
    parents: Int[Tensor, "55"]
    vertices: Float[Tensor, "v 3"]
    mixture: Float[Tensor, "n v"]
    covers: Int[Tensor, " n"]
    hands: Bool[Tensor, " n"]
    face: Bool[Tensor, " n"]
    fitted: Float[Tensor, "n 3"]
    fitted_log_scales: Float[Tensor, " n"]
    seen: Float[Tensor, " n"]


@dataclass(frozen=True)
class PosedAvatar:
    """Posed points of several frames.

    Attributes:
        plain: [f, n, 3] without the pose-driven offset; refined: [f, n, 3] with it.
        scales: [n], standard deviations.
        offsets: [f, n, 3], the pose-driven ones, rest pose.
    """

    plain: Float[Tensor, "f n 3"]
    refined: Float[Tensor, "f n 3"]
    scales: Float[Tensor, " n"]
    offsets: Float[Tensor, "f n 3"]


class BodyAvatar(nn.Module):
    """Avatar of one person's body."""

    rest: Float[Tensor, "n 3"]
    skinning: Float[Tensor, "n 55"]
    faces: Int[Tensor, "t 3"]
    joints: Float[Tensor, "55 3"]
    vertices: Float[Tensor, "v 3"]
    mixture: Float[Tensor, "n v"]
    covers: Int[Tensor, " n"]
    hands: Bool[Tensor, " n"]
    face: Bool[Tensor, " n"]
    fitted: Float[Tensor, "n 3"]
    fitted_log_scales: Float[Tensor, " n"]
    seen: Float[Tensor, " n"]

    def __init__(self, structure: Structure, config: OffsetConfig) -> None:
        super().__init__()
        for name, value in vars(structure).items():
            self.register_buffer(name, value, persistent=False)
        self.structure = structure
        self._parents = structure.parents.tolist()
        n = len(structure.rest)
        margin = 0.1
        self.offsets = PoseOffsets(
            config, structure.vertices.min(0).values - margin, structure.vertices.max(0).values + margin
        )
        self.moved = nn.Parameter(torch.zeros(n, 3))
        self.log_scales = nn.Parameter(structure.fitted_log_scales.clone())
        self.colors = nn.Parameter(structure.fitted.clone())
        self.auxiliary = nn.Parameter(torch.zeros(n, 3))

    def __len__(self) -> int:
        """Number of Gaussians."""
        return len(self.moved)

    def pose(self, pose: Float[Tensor, "f 55 3"], translation: Float[Tensor, "f 3"]) -> PosedAvatar:
        """Posed points in several poses."""
        transforms = joint_transforms(self.joints, pose, self._parents)
        matrices = blend_transforms(transforms, self.skinning)  # [f, n, 4, 4]
        coarse = self.offsets(self.vertices, joint_changes(pose))
        offsets = torch.stack([self.mixture @ one for one in coarse])
        canonical = self.rest + self.moved
        turned, shift = matrices[..., :3, :3], matrices[..., :3, 3] + translation[:, None]
        # Products and sums, not 30,000 matrix products of 3 × 3, which torch does one by one.
        plain = (turned * canonical[:, None, :]).sum(-1) + shift
        refined = plain + (turned * offsets[..., None, :]).sum(-1)
        return PosedAvatar(plain, refined, self.log_scales.exp(), offsets)

    def shown_colors(self, *, generated: bool) -> Float[Tensor, "n 3"]:
        """Colours that are drawn, RGB in [0, 1]; with the auxiliary colour for generated frames."""
        return (self.colors + self.auxiliary if generated else self.colors).clamp(0, 1)

    def gaussians(self, points: Float[Tensor, "*f n 3"], values: Float[Tensor, "*v n c"]) -> Gaussians:
        """Gaussians at posed points that show some values; colours, normals or parts."""
        lead = points.shape[:-1]
        unturned = torch.zeros(*lead, 4, device=points.device)
        unturned[..., 0] = 1
        scales = self.log_scales.exp()[:, None].expand(*lead, 3)
        opacities = torch.full(lead, OPACITY, device=points.device)
        return Gaussians(points, unturned, scales, opacities, values.expand(*lead, values.shape[-1]))

    @torch.no_grad()
    def posed(self, pose: Float[Tensor, "55 3"], translation: Float[Tensor, "3"]) -> Gaussians:
        """Gaussians that are shown: the refined asset in one pose."""
        points = self.pose(pose[None], translation[None]).refined
        return self.gaussians(points, self.shown_colors(generated=False))[0]

    def on(self, device: torch.device) -> BodyAvatar:
        """Copy of this avatar on a device."""
        moved = self.to(device)
        moved.structure = replace(self.structure, **{name: getattr(moved, name) for name in vars(self.structure)})
        return moved


def joint_changes(pose: Float[Tensor, "f 55 3"]) -> Float[Tensor, "f 21 3 3"]:
    """Changes R(θ) − I of the joints that the pose-driven offset asks about: the body's, without the root."""
    turns = axis_angle_to_matrix(pose[:, 1 : 1 + TURNING_JOINTS])
    return turns - torch.eye(3).to(turns)

"""*Whole body* decoder: part bases on a body, whose cloth and hair also answer to the pose.

::

    a(z) = a_0 + Σ_k B_k · tanh(W_k (z_k − z_ref,k))        part bases, without a network
    x(z, θ) = x + M · offset(place, R(θ) − I)               triplane and MLP at the body's vertices, carried by M
    LBS, then lifted so that the lowest foot stands on the floor

What a body's training has learned (PERSONA: `perse.body`) is moved in here when it is finished, so that viewer,
service, exports and registry, which know avatars, know bodies as well. The offset does not depend on z: an edited
garment hangs in a pose as the photographed one does. A pose has no place in the world, and needs none: feet do not
leave the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.avatar.canonical import MEAN, CanonicalGaussians
from perse.avatar.motion import FrameMotion
from perse.avatar.part_bases import PartBases, PartBasesConfig
from perse.avatar.points import StartingPoints
from perse.avatar.pose_offsets import TURNING_JOINTS, OffsetConfig, PoseOffsets
from perse.avatar.posing import pose_points
from perse.gaussians import Gaussians
from perse.geometry.sparse_tensors import csr_tensor


@dataclass(frozen=True, kw_only=True)
class WholeBodyConfig(PartBasesConfig):
    """Sizes of the whole-body decoder. It is assembled, not trained: see `perse.body.avatar.assembly`."""

    kind: ClassVar[str] = "whole_body"

    rank: int = 8
    """Basis directions of one category: as many edits of it can be exact."""
    features: int = 0
    """There is no shared MLP that they would enter."""
    encoding_octaves: int = 0
    """Nor an encoding of places."""
    depth: int = 0
    """No shared MLP: colours were learned point by point."""
    pose_response: bool = False
    """Colours do not answer to the pose."""
    learn_skinning: bool = False
    """Skinning weights were diffused into space, and stay."""
    plane_features: int = 32
    """Of a plane of the pose-driven offset."""
    plane_resolution: int = 128
    """Cells along a side of a plane."""
    plane_hidden: int = 128
    """Of the offset's MLP."""
    feet: tuple[int, ...] = (7, 8, 10, 11)
    """Joints of which the lowest stands on the floor: SMPL-X's ankles and feet."""
    motions: tuple[str, ...] = ()
    """Names of the motions that the avatar brings along."""
    fps: float = 24.0
    """Of these motions."""

    def __post_init__(self) -> None:
        for name in ("feet", "motions"):  # lists, where they come from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def build(self, latent_dimensions: int, start: StartingPoints, n_subjects: int) -> WholeBody:
        """The decoder, without offsets as yet."""
        return WholeBody(self, latent_dimensions, start, n_subjects)


class WholeBody(PartBases):
    """Decoder of a body: part bases, pose-driven offsets, and feet on the floor.

    Attributes:
        places: [v, 3], where the offset is asked for, rest pose, metres.
        mixture_rows, mixture_columns, mixture_values: CSR [n, v], carries offsets to the points.
        motions: [m, f, j, 3] axis-angle, of the configuration's names.
        rest_joints: [j, 3], metres.
    """

    LEAST_SKINNING = 1e-9
    """A body has 55 joints: a ten-thousandth of each would pull a hand by centimetres."""

    places: Float[Tensor, "v 3"]
    mixture_rows: Int[Tensor, " n+1"]
    mixture_columns: Int[Tensor, " entries"]
    mixture_values: Float[Tensor, " entries"]
    motions: Float[Tensor, "m f j 3"]
    rest_joints: Float[Tensor, "j 3"]

    def __init__(
        self, config: WholeBodyConfig, latent_dimensions: int, start: StartingPoints, n_subjects: int = 0
    ) -> None:
        super().__init__(config, latent_dimensions, start, n_subjects)
        sizes = OffsetConfig(
            features=config.plane_features, resolution=config.plane_resolution, hidden=config.plane_hidden
        )
        self.body = config
        joints = start.prior.skinning.shape[1]
        self.offsets = PoseOffsets(sizes, -torch.ones(3), torch.ones(3))
        self.register_buffer("places", torch.zeros(0, 3))
        self.register_buffer("mixture_rows", torch.zeros(len(start) + 1, dtype=torch.long))
        self.register_buffer("mixture_columns", torch.zeros(0, dtype=torch.long))
        self.register_buffer("mixture_values", torch.zeros(0))
        self.register_buffer("motions", torch.zeros(len(config.motions), 1, joints, 3))
        self.register_buffer("rest_joints", torch.zeros(joints, 3))

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the tensors that a trained body brings along."""
        super().make_room(tensors)
        for name in ("places", "mixture_columns", "mixture_values", "motions"):
            setattr(self, name, torch.zeros_like(tensors[name]))

    @torch.no_grad()
    def take(
        self,
        offsets: PoseOffsets,
        places: Float[Tensor, "v 3"],
        mixture: Float[Tensor, "n v"],
        joints: Float[Tensor, "j 3"],
        motions: Mapping[str, Tensor],
    ) -> None:
        """Take over what was learned elsewhere.

        Args:
            offsets: of the sizes that the configuration says.
            places: [v, 3]; mixture: sparse CSR [n, v].
            joints: [j, 3], rest positions.
            motions: by name in the configuration's order, [f, j, 3] each, all of one length.
        """
        self.offsets.load_state_dict(offsets.state_dict())
        self.places, self.rest_joints = places.clone(), joints.clone()
        self.mixture_rows, self.mixture_columns = mixture.crow_indices().clone(), mixture.col_indices().clone()
        self.mixture_values = mixture.values().clone()
        self.motions = torch.stack([motions[name] for name in self.body.motions]) if motions else self.motions

    @property
    def performances(self) -> dict[str, Tensor]:
        """Motions that the avatar brings along, by name; see `Decoder`."""
        return dict(zip(self.body.motions, self.motions, strict=True))

    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
        """Gaussians [f, n] of f frames."""
        n_expression = self.blend_basis.shape[-1]
        changes = motion.coefficients[:, n_expression:].unflatten(1, (-1, 3, 3))[:, :TURNING_JOINTS]
        attributes = canonical.attributes[of_frame].clone()
        attributes[..., MEAN] += self._offsets(changes)
        frames = torch.arange(len(motion), device=of_frame.device)
        face = FrameMotion(motion.coefficients[:, :n_expression].contiguous(), motion.transforms, motion.turns)
        posed = pose_points(replace(canonical, attributes=attributes), face, frames)
        up = torch.zeros_like(posed.means[:, :1])
        up[..., 1] = self.lift(motion)[:, None]
        return replace(posed, means=posed.means + up)

    def _offsets(self, changes: Tensor) -> Tensor:
        """[f, n, 3] metres, rest pose."""
        size = (len(self), len(self.places))
        mixture = csr_tensor(self.mixture_rows, self.mixture_columns, self.mixture_values, size)
        return torch.stack([mixture @ one for one in self.offsets(self.places, changes)])

    def lift(self, motion: FrameMotion) -> Float[Tensor, " f"]:
        """Height [f], metres, that brings the lowest foot back to the height of the lowest one at rest."""
        feet = list(self.body.feet)
        rest = self.rest_joints[feet]
        transforms = motion.transforms[:, feet]
        height = (transforms[..., 1, :3] * rest).sum(-1) + transforms[..., 1, 3]
        return rest[:, 1].min() - height.amin(-1)

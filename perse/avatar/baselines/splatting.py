"""Conditional SplattingAvatar (Shao et al., CVPR 2024, made conditional by P 5.1): Gaussians that ride on a mesh.

::

    Gaussian i sits on triangle t_i at barycentrics b_i and height d_i:   x = Σ b v + d · n(b)
    b, base (d, r, s, o, c) learned for each;   (Δd, Δr, Δs, Δo, Δc) = MLP(x at rest, z), of PEGASUS' size
    the head model moves v; a Gaussian turns with its triangle

The mesh is the head model's and moves by blendshapes and skinning alone, which are not learned. Barycentrics stay
inside their triangle: the original's walk from one triangle to its neighbour is left out, triangles being no larger
than the Gaussians' spacing here. Clothes below the mesh's border keep the place where they start in their triangle's
frame (the original cannot show them at all), as points of a hull do that stand beside a border.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from perse.attributes import CATEGORIES
from perse.avatar.baselines.embedding import Embedding, embed, interpolated_normals, triangle_turns
from perse.avatar.canonical import COLOR, LOG_SCALE, OPACITY, QUAT, CanonicalGaussians, per_frame
from perse.avatar.decoder import Decoder, layers_flop
from perse.avatar.deformation import displace, skin
from perse.avatar.mlp import ConditionedMLP, encoding_width, positional_encoding
from perse.avatar.motion import FrameMotion
from perse.avatar.networks import HEAD_RADIUS_M
from perse.avatar.points import StartingPoints, vertex_normals
from perse.avatar.posing import LOG_SCALE_RANGE
from perse.gaussians import Gaussians
from perse.geometry import quaternion_multiply, quaternion_to_matrix

N_BASE = 12
"""Height, quaternion, logarithms of scales, opacity logit, colour logits."""

_HEIGHT_UNIT_M = 0.005
_LEAST_WEIGHT = 0.01


@dataclass(frozen=True, kw_only=True)
class SplattingAvatarConfig:
    """Size of the conditional MLP; the defaults are those of PEGASUS' MLP_g."""

    kind: ClassVar[str] = "splatting_avatar"

    width: int = 512
    """Width of the MLP."""
    depth: int = 8
    """Hidden layers of the MLP."""
    octaves: int = 6
    """Octaves of the positional encoding of the points at rest."""

    def build(self, latent_dimensions: int, start: StartingPoints, n_subjects: int) -> SplattingAvatar:
        """The decoder; it needs no number of subjects."""
        return SplattingAvatar(self, latent_dimensions, start)

    def training_flop(self, points: int) -> float:
        """Operations of a training image; see `DecoderConfig`."""
        return layers_flop(points, [encoding_width(self.octaves), *[self.width] * self.depth, N_BASE])


class SplattingAvatar(Decoder):
    """Gaussians bound to triangles."""

    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "t 3"]
    vertex_basis: Float[Tensor, "v 3 m"]
    vertex_skinning: Float[Tensor, "v j"]
    triangles: Int[Tensor, " n"]
    rest_offsets: Float[Tensor, "n 3"]
    skinning: Float[Tensor, "n j"]
    encoded: Float[Tensor, "n e"]

    def __init__(self, config: SplattingAvatarConfig, latent_dimensions: int, start: StartingPoints) -> None:
        super().__init__()
        self.config = config
        prior, n = start.prior, len(start)
        bound = Embedding(
            torch.zeros(n, dtype=torch.long), torch.full((n, 3), 1 / 3), torch.zeros(n), torch.zeros(n, 3)
        )
        vertices, faces = torch.zeros(3, 3), torch.zeros(1, 3, dtype=torch.long)
        basis, weights = prior.blend_basis[:0], prior.skinning[:0]
        if start.mesh is not None:
            mesh = start.mesh
            vertices, faces = mesh.at_vertices.rest, mesh.faces
            basis, weights = mesh.at_vertices.blend_basis, mesh.at_vertices.skinning
            bound = embed(prior.rest, vertices, faces)
        self.register_buffer("vertices", vertices.clone())
        self.register_buffer("faces", faces.clone())
        self.register_buffer("vertex_basis", basis.contiguous().clone())
        self.register_buffer("vertex_skinning", weights.clone())
        self.register_buffer("triangles", bound.triangles)
        self.register_buffer("rest_offsets", bound.rest_offsets)
        self.register_buffer("blend_basis", prior.blend_basis.contiguous())
        self.register_buffer("skinning", prior.skinning.clone())
        self.register_buffer("regions", start.regions)
        self.register_buffer("encoded", positional_encoding(prior.rest / HEAD_RADIUS_M, config.octaves))
        self.barycentrics = nn.Parameter(bound.weights.clamp_min(_LEAST_WEIGHT).log())
        height = (bound.heights / _HEIGHT_UNIT_M)[:, None]
        self.base = nn.Parameter(torch.cat([height, start.attributes[:, 3:] / _units()], -1))
        self.residual = ConditionedMLP(
            encoding_width(config.octaves), len(CATEGORIES) * latent_dimensions, N_BASE, hidden=config.width,
            depth=config.depth, activation=torch.relu, out_gain=0.1,
        )  # fmt: skip

    def __len__(self) -> int:
        """Number of Gaussians n."""
        return self.base.shape[0]

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Make tensors of the size of a state's mesh."""
        for name in ("vertices", "faces", "vertex_basis", "vertex_skinning"):
            setattr(self, name, torch.zeros_like(tensors[name]))

    def canonicalise(self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]) -> CanonicalGaussians:
        """Canonical Gaussians of codes [s, k, d]; `pose_condition` [s, n, 1] is the height, metres."""
        values = self.base + self.residual(self.encoded, codes.flatten(1))  # [s, n, 12]
        height = _HEIGHT_UNIT_M * values[..., :1]
        rest = self._placed(self.vertices[None], height, self.rest_offsets)
        attributes = torch.cat([rest, values[..., 1:] * _units().to(values)], -1)
        return CanonicalGaussians(attributes, self.blend_basis, self.skinning, height)

    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
        """Gaussians [f, n] on the mesh of every frame."""
        attributes = per_frame(canonical.attributes, 2, of_frame)
        with torch.no_grad():
            vertices = self.posed_mesh(motion)
            turns = quaternion_multiply(
                triangle_turns(vertices, self.faces), _inverse(triangle_turns(self.vertices[None], self.faces))
            )[:, self.triangles]  # [f, n, 4]
            offsets = (quaternion_to_matrix(turns) @ self.rest_offsets[..., None])[..., 0]
        means = self._placed(vertices, per_frame(canonical.pose_condition, 2, of_frame), offsets)
        scales = torch.exp(attributes[..., LOG_SCALE].clamp(*LOG_SCALE_RANGE))
        quats = quaternion_multiply(turns, attributes[..., QUAT])
        return Gaussians(
            means, quats, scales, torch.sigmoid(attributes[..., OPACITY]), torch.sigmoid(attributes[..., COLOR])
        )

    def posed_mesh(self, motion: FrameMotion) -> Float[Tensor, "f v 3"]:
        """Vertices [f, v, 3] of every frame."""
        displaced, _ = displace(self.vertices, self.vertex_basis, motion)
        return skin(displaced, self.vertex_skinning, motion)

    def _placed(
        self, vertices: Float[Tensor, "m v 3"], heights: Float[Tensor, "... n 1"], offsets: Float[Tensor, "... n 3"]
    ) -> Float[Tensor, "f n 3"]:
        """Means [f, n, 3] on one mesh or one a frame [m, v, 3], at heights [(f,) n, 1] and with offsets [(f,) n, 3]."""
        corners = self.faces[self.triangles]
        weights = torch.softmax(self.barycentrics, -1)
        normals = torch.stack([vertex_normals(one, self.faces) for one in vertices])
        on_mesh = (vertices[:, corners] * weights[..., None]).sum(-2)
        return on_mesh + heights * interpolated_normals(normals, corners, weights) + offsets

    def gradient_pattern(self) -> bool:
        """Constant: every step reaches the same parameters."""
        return True


def _inverse(quats: Tensor) -> Tensor:
    return quats * torch.tensor([1.0, -1, -1, -1]).to(quats)


def _units() -> Tensor:
    """What a step of 1 means for quaternion, scales, opacity and colour: as in `part_bases`."""
    return torch.tensor([0.25] * 7 + [1.0] * 4)

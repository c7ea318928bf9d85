"""Points x_gc where Gaussians start, and what the head model knows about each of them (P A.1.1).

The generic canonical pose has the mouth open by 0.4 rad, so that the two lips are apart and a network of x_gc can
tell them. Blendshapes and skinning, however, are defined on the closed rest pose: every point carries both positions,
and O_sc→fc starts at their difference.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from perse.head import HeadModel, HeadParameters, Joint, Region, pose_head, rest_vertices

MOUTH_OPEN_RAD = 0.4
"""Jaw angle of the generic canonical pose (docs/reference.md#method-numbers)."""

SHELL_REACH_M = 0.015
"""Off the surface, blendshapes fade over this distance: a beard follows the smile under it, a hat does not."""

N_NEIGHBOURS = 4
"""Mesh vertices that a point off the surface takes its skinning from (the paper's k nearest vertices)."""


class Layer(IntEnum):
    """Origin of a point."""

    HEAD = 0
    SHELL = 1
    BODY = 2
    BACK = 3


@dataclass(frozen=True)
class MeshPrior:
    """Prior of n points from the head model: places, normals, blendshapes and skinning.

    Attributes:
        open_mouth: [n, 3] x_gc, metres.
        rest: [n, 3] metres, the same points in the closed rest pose.
        normals: [n, 3] unit, rest pose.
        blend_basis: [n, 3, m], metres: expressions, then pose correctives (no columns where the model has none).
        skinning: [n, j].
    """

    open_mouth: Float[Tensor, "n 3"]
    rest: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    blend_basis: Float[Tensor, "n 3 m"]
    skinning: Float[Tensor, "n j"]

    def __len__(self) -> int:
        return self.rest.shape[0]

    def __getitem__(self, index: Shaped[Tensor, " _"]) -> MeshPrior:
        return MeshPrior(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def joined(priors: list[MeshPrior]) -> MeshPrior:
        """Prior of several sets of points one after another."""
        return MeshPrior(*(torch.cat([getattr(p, f.name) for p in priors]) for f in fields(MeshPrior)))


class IdentityMesh:
    """A head model with one person's shape: the source of every `MeshPrior`.

    Attributes:
        faces: [t, 3] int64.
        regions: [v] int64, values of `Region`.
        landmarks: [l, 3], embedded landmarks in rest pose, metres.
        joints: [j, 3] rest positions, metres.
        correctives: whether the blendshape bases include pose correctives.
        at_vertices: the prior at the mesh's own vertices.
    """

    def __init__(self, model: HeadModel, identity: HeadParameters) -> None:
        rest = rest_vertices(model, identity)
        pose = torch.zeros(model.n_joints, 3)
        pose[Joint.JAW, 0] = MOUTH_OPEN_RAD
        opened = HeadParameters(identity.betas, identity.vertex_offsets, torch.zeros(model.n_expression), pose)
        self.correctives = bool(model.pose_basis.numel()) and bool((model.pose_basis != 0).any())
        basis = torch.cat([model.expression_basis, *([model.pose_basis] if self.correctives else [])], -1)
        self.faces = model.faces
        self.regions = model.regions
        self.landmarks = model.landmarks(rest)
        self.joints = model.joint_regressor @ rest
        self.at_vertices = MeshPrior(
            pose_head(model, opened).vertices, rest, vertex_normals(rest, model.faces), basis, model.skinning_weights
        )
        self._tree = cKDTree(rest.numpy())

    def on_surface(self, triangles: Int[Tensor, " n"], weights: Float[Tensor, "n 3"]) -> MeshPrior:
        """Prior at barycentric points: triangles [n] int64, weights [n, 3]."""
        corners = self.faces[triangles]

        def at(values: Tensor) -> Tensor:
            spread = weights.reshape(*weights.shape, *(1,) * (values.ndim - 1))
            return (values[corners] * spread).sum(1)

        prior = MeshPrior(*(at(getattr(self.at_vertices, f.name)) for f in fields(MeshPrior)))
        normals = torch.nn.functional.normalize(prior.normals, dim=-1)
        return MeshPrior(prior.open_mouth, prior.rest, normals, prior.blend_basis, prior.skinning)

    def near(self, positions: Float[Tensor, "n 3"], *, rigid: bool = False) -> MeshPrior:
        """Prior at points [n, 3] off the surface, from their nearest vertices, weighted by inverse distance.

        Blendshapes fade with the distance from the surface over `SHELL_REACH_M`. `rigid` leaves them out (no columns):
        for half a million voxels they would fill gigabytes.
        """
        distance, index = self._tree.query(positions.numpy(), k=N_NEIGHBOURS)
        distance, index = torch.from_numpy(distance).float(), torch.from_numpy(index)
        weights = 1 / (distance + 1e-4)
        weights = weights / weights.sum(1, keepdim=True)

        def at(values: Tensor) -> Tensor:
            return (values[index] * weights.reshape(*weights.shape, *(1,) * (values.ndim - 1))).sum(1)

        vertices = self.at_vertices
        fade = torch.exp(-((distance[:, 0] / SHELL_REACH_M) ** 2))
        opening = at(vertices.open_mouth - vertices.rest)
        normals = torch.nn.functional.normalize(at(vertices.normals), dim=-1)
        return MeshPrior(
            positions + opening * fade[:, None], positions, normals,
            at(vertices.blend_basis[..., :0] if rigid else vertices.blend_basis) * fade[:, None, None],
            at(vertices.skinning),
        )  # fmt: skip

    def height_above(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance [n] of points to the nearest vertex' tangent plane, metres; negative inside the head."""
        _, index = self._tree.query(positions.numpy())
        index = torch.from_numpy(index)
        return ((positions - self.at_vertices.rest[index]) * self.at_vertices.normals[index]).sum(-1)

    def triangle_density(self, *, detail_radius_m: float = 0.012, detail_gain: float = 0.25) -> Float[Tensor, " t"]:
        """Density [t] of the points that each triangle deserves: its area, more where landmarks crowd (eyes, lips,
        brows).

        Mediapipe's 478 landmarks are dense exactly where people look.
        """
        rest, corners = self.at_vertices.rest, self.faces
        edge_a, edge_b = rest[corners[:, 1]] - rest[corners[:, 0]], rest[corners[:, 2]] - rest[corners[:, 0]]
        area = torch.linalg.cross(edge_a, edge_b).norm(dim=-1) / 2
        centres = rest[corners].mean(1).numpy()
        crowd = torch.zeros(len(corners))
        if len(self.landmarks):
            near = cKDTree(self.landmarks.numpy()).query_ball_point(centres, detail_radius_m, return_length=True)
            crowd = torch.from_numpy(np.asarray(near, np.float32))
        region = self.regions[corners[:, 0]]
        hidden = (region == Region.UPPER_TEETH) | (region == Region.LOWER_TEETH) | (region == Region.TONGUE)
        return area * (1 + detail_gain * crowd) * torch.where(hidden, 0.5, 1.0)


def vertex_normals(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, "v 3"]:
    """Area-weighted unit normals [v, 3]."""
    corners = vertices[faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed.index_add_(0, faces[:, corner], normals)
    return torch.nn.functional.normalize(summed, dim=-1)


def sample_triangles(
    density: Float[Tensor, " t"], count: int, rng: np.random.Generator
) -> tuple[Int[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Draw surface points with a given density.

    Systematic sampling: one random number shifts an even comb over the cumulated density, so neighbouring triangles
    share points fairly and no hole opens by chance.

    Returns:
        triangles [count] int64 and barycentric weights [count, 3].
    """
    cumulated = np.cumsum(density.numpy().astype(np.float64))
    comb = (np.arange(count) + rng.random()) * (cumulated[-1] / max(count, 1))
    triangles = np.searchsorted(cumulated, comb).clip(max=len(cumulated) - 1)
    root, second = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - root, root * (1 - second), root * second], 1)
    return torch.from_numpy(triangles), torch.from_numpy(weights.astype(np.float32))


def spacing(positions: Float[Tensor, "n 3"], neighbours: int = 3) -> Float[Tensor, " n"]:
    """Mean distance [n] to the nearest neighbours, metres: the natural size of a Gaussian."""
    distance, _ = cKDTree(positions.numpy()).query(positions.numpy(), k=neighbours + 1)
    return torch.from_numpy(distance[:, 1:].mean(1).astype(np.float32))


def quaternions_facing(normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
    """Unit quaternions [n, 4] that turn the z axis to the normals [n, 3]: flat Gaussians lie on the surface."""
    half = torch.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], torch.zeros(len(normals))], -1)
    backwards = (normals[:, 2] < -0.999)[:, None]  # 180° about x where the formula degenerates
    half = torch.where(backwards, torch.tensor([0.0, 1.0, 0.0, 0.0]), half)
    return torch.nn.functional.normalize(half, dim=-1)


@dataclass(frozen=True)
class StartingPoints:
    """Starting values of a decoder: everything it begins from.

    Attributes:
        prior: of the n points.
        attributes: [n, 14], packed as in `canonical`: the reference as first seen in the clips.
        layers: [n] int64, values of `Layer`.
        regions: [n, k] bool, the categories that may change a point (the region prior).
        edits: [s, n, 14], first guess of every subject's difference from `attributes`; zeros outside the region of
            its category and for the reference.
        mesh: the person's head, for decoders that are bound to triangles; None inside a loaded avatar.
    """

    prior: MeshPrior
    attributes: Float[Tensor, "n 14"]
    layers: Int[Tensor, " n"]
    regions: Bool[Tensor, "n k"]
    edits: Float[Tensor, "s n 14"]
    mesh: IdentityMesh | None = None

    def __len__(self) -> int:
        return len(self.prior)

    def __getitem__(self, index: Shaped[Tensor, " _"]) -> StartingPoints:
        """Some of the points."""
        return StartingPoints(
            self.prior[index], self.attributes[index], self.layers[index], self.regions[index], self.edits[:, index],
            self.mesh,
        )  # fmt: skip


def as_array(tensor: Shaped[Tensor, "..."]) -> Float[NDArray[np.float32], "..."]:
    """Contiguous float32 array for a numba kernel."""
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)

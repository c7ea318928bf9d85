"""PEGASUS (Cha et al., CVPR 2024), the avatar that PERSE grew out of: points with albedo and normals.

::

    x_gc, z ── MLP_d ──► O_gc→sc, O_sc→fc, E, P, W      as in `networks`, which took it from here
    x_sc, z ── MLP_g ──► signed distance s, albedo a    the points lie on s = 0
    n = ∇s(x_sc), turned with the head                  c = a · MLP_s(n)
    {x_d, c} ── isotropic discs, opaque, of one radius ──► image

The distance starts as a sphere's around the points' centre, so that the first normals point outwards. Normals need the
gradient of a gradient in training, which is what a PEGASUS step costs more than one of `networks`.

Left out: its segmentation cues and its densification; and discs fall off as the rasterizer's Gaussians do, with the
curvature of PyTorch3D's 1 − d²/r² at their centre, instead of to zero at r. An opaque disc cannot be absent, so points
start on head and body and where the *reference* has hair, not where only an edit has something.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize, softplus

from perse.attributes import CATEGORIES
from perse.avatar.canonical import COLOR, OPACITY, CanonicalGaussians, pack_attributes, per_frame
from perse.avatar.decoder import layers_flop
from perse.avatar.mlp import ConditionedMLP, encoding_width
from perse.avatar.motion import FrameMotion
from perse.avatar.networks import HEAD_RADIUS_M, SKINNING_TEMPERATURE, Networks, NetworksConfig
from perse.avatar.points import Layer, StartingPoints
from perse.gaussians import Gaussians
from perse.geometry import quaternion_to_matrix

OPAQUE_LOGIT = 5.0
"""Opacity 0.993: discs hide what is behind them."""

SURFACE_WEIGHT, EIKONAL_WEIGHT = 0.1, 0.1
"""Of |s| at the points and of (|∇s| − 1)²."""


@dataclass(frozen=True, kw_only=True)
class PegasusConfig(NetworksConfig):
    """Sizes of its networks. `color_*` are MLP_g's and `pose_*` are MLP_s'."""

    kind: ClassVar[str] = "pegasus"

    color_width: int = 512
    """Width of MLP_g."""
    color_depth: int = 8
    """Hidden layers of MLP_g."""

    def build(self, latent_dimensions: int, start: StartingPoints, n_subjects: int) -> Pegasus:
        """The decoder; it needs no number of subjects."""
        return Pegasus(self, latent_dimensions, start)

    def training_flop(self, points: int) -> float:
        """Operations of a training image (`DecoderConfig`): MLP_g is run for its gradient too."""
        widths = [encoding_width(self.color_octaves), *[self.color_width] * self.color_depth, 4]
        return super().training_flop(points) + layers_flop(points, widths)


class Pegasus(Networks):
    """Point avatar of lit discs."""

    centre: Float[Tensor, "3"]

    def __init__(self, config: PegasusConfig, latent_dimensions: int, start: StartingPoints) -> None:
        there = (start.layers != Layer.SHELL) | (start.attributes[:, OPACITY] > 0)
        if len(start.edits):  # and not inside an avatar that is being loaded
            start = start[torch.nonzero(there)[:, 0]]
        super().__init__(config, latent_dimensions, start)
        self.register_buffer("centre", self.positions.detach().mean(0))
        self.color = ConditionedMLP(
            encoding_width(config.color_octaves), len(CATEGORIES) * latent_dimensions, 4, hidden=config.color_width,
            depth=config.color_depth, activation=_smooth, skip_at=config.color_skip,
        )  # fmt: skip
        with torch.no_grad():
            self.color.out.weight[0].mul_(0.1)  # the distance begins as nearly the sphere's
        self.response = ConditionedMLP(
            3, 0, 3, hidden=config.pose_width, depth=config.pose_depth, activation=torch.relu, out_gain=0.05
        )

    def canonicalise(self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]) -> CanonicalGaussians:
        """Canonical discs of codes [s, k, d]; `pose_condition` [s, n, 4] is ∇s and s, in head radii."""
        z = codes.flatten(1)
        features = self.deform.features(self.positions / HEAD_RADIUS_M, z)
        offsets, skinning = self._offsets_and_skinning(features)
        x_sc, x_fc = self.displaced(offsets)
        geometry, albedo = self.geometry(x_sc, z)
        upright = torch.zeros(*x_fc.shape[:-1], 4).to(x_fc)
        upright[..., 0] = 1
        radius = self.first_log_scale.expand(*x_fc.shape)
        opaque = torch.full_like(albedo[..., 0], OPAQUE_LOGIT)
        return CanonicalGaussians(
            pack_attributes(x_fc, upright, radius, opaque, albedo),
            self.blend_basis,
            torch.softmax(self.skinning_logits + SKINNING_TEMPERATURE * skinning, -1),
            geometry,
            features,
        )

    def geometry(
        self, x_sc: Float[Tensor, "s n 3"], z: Float[Tensor, "s kd"]
    ) -> tuple[Float[Tensor, "s n 4"], Float[Tensor, "s n 3"]]:
        """(∇s, s) [s, n, 4] and albedo logits [s, n, 3] of points [s, n, 3], metres, under codes [s, k · d]."""
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            place = x_sc if x_sc.requires_grad else x_sc.detach().requires_grad_(True)
            out = self.color(self.encoded(place), z)
            sphere = (place - self.centre).norm(dim=-1) / HEAD_RADIUS_M - 1
            distance = sphere + out[..., 0]
            (normal,) = torch.autograd.grad(distance.sum(), place, create_graph=training, retain_graph=True)
        found = torch.cat([HEAD_RADIUS_M * normal, distance[..., None]], -1), out[..., 1:]
        return found if training else (found[0].detach(), found[1].detach())

    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
        """Discs [f, n], lit by where their normals point to in the frame."""
        attributes = per_frame(canonical.attributes, 2, of_frame)
        x_d, turned = self._deformed(canonical, attributes, motion, of_frame)
        normals = normalize(per_frame(canonical.pose_condition, 2, of_frame)[..., :3], dim=-1)
        seen = (quaternion_to_matrix(normalize(turned, dim=-1)) @ normals[..., None])[..., 0]
        light = 2 * torch.sigmoid(self.response(seen))
        radius = (self.first_log_scale.exp() / math.sqrt(2)).expand(*x_d.shape)
        opaque = torch.sigmoid(attributes[..., OPACITY])
        return Gaussians(x_d, turned, radius, opaque, torch.sigmoid(attributes[..., COLOR]) * light)

    def own_loss(self, canonical: CanonicalGaussians) -> Float[Tensor, ""]:
        """Loss of the surface: its points have distance 0, and the gradient of the distance has length 1."""
        normal, distance = canonical.pose_condition[..., :3], canonical.pose_condition[..., 3]
        eikonal = (normal.norm(dim=-1) - 1).square().mean()
        return SURFACE_WEIGHT * distance.abs().mean() + EIKONAL_WEIGHT * eikonal

    def gradient_pattern(self) -> bool:
        """Constant: every step reaches the same parameters."""
        return True


def _smooth(x: Tensor) -> Tensor:
    """Softplus with a second derivative."""
    return softplus(x, beta=100)

"""*Networks* decoder: the paper's (P A.1, Eq. 18–29).

::

    x_gc, z ── MLP_d ──► O_gc→sc, O_sc→fc, E, P, W            per subject
    x_sc, z ── MLP_c ──► o, r, s, c                           per subject      x_sc = x_gc + O_gc→sc
    x_d − x_fc, z ── MLP_pose ──► Δo, Δr, Δs, Δc              per frame        x_fc = x_sc + O_sc→fc

Where the authors' released code differs, the paper is followed: points start on the head model with its mouth open,
O_gc→sc is real, and the LBS rotation turns the quaternions (as the nearest rotation).

E, P and W are predicted as *differences* from what the head model says at the point, and x_fc starts at the closed
rest pose (O_sc→fc starts at "close the mouth"). The paper's FLAME term, which pulls them towards the nearest vertices'
(Eq. 31, `perse.losses.deformation_loss`), then pulls the differences to zero, and the first image is a head instead
of a cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from perse.attributes import CATEGORIES
from perse.avatar.activations import softplus_100
from perse.avatar.canonical import COLOR, LOG_SCALE, OPACITY, QUAT, CanonicalGaussians, pack_attributes, per_frame
from perse.avatar.decoder import Decoder, LearnedDeformation, PointPlan, inherit_rows, layers_flop
from perse.avatar.deformation import deform
from perse.avatar.mlp import ConditionedMLP, encoding_width, positional_encoding
from perse.avatar.motion import FrameMotion
from perse.avatar.points import StartingPoints, spacing
from perse.avatar.posing import LOG_SCALE_RANGE, blend_shift, deform_fused, fits_fused
from perse.avatar.precision import Precision, matmul_arithmetic
from perse.gaussians import Gaussians

HEAD_RADIUS_M = 0.15
"""Points are divided by this before a network sees them."""

SKINNING_TEMPERATURE = 20.0
"""Factor on the skinning logits before the softmax (docs/reference.md#method-numbers)."""

FIRST_OPACITY_LOGIT = 2.0
"""Points start nearly opaque (0.88)."""


@dataclass(frozen=True, kw_only=True)
class NetworksConfig:
    """Sizes of the networks; the defaults are the paper's."""

    kind: ClassVar[str] = "networks"

    deform_width: int = 128
    """Width of MLP_d."""
    deform_depth: int = 4
    """Hidden layers of MLP_d."""
    color_width: int = 512
    """Width of MLP_c."""
    color_depth: int = 9
    """Hidden layers of MLP_c."""
    color_skip: int = 4
    """Hidden layer of MLP_c that sees its input again."""
    color_octaves: int = 6
    """Octaves of the positional encoding of x_sc."""
    pose_width: int = 128
    """Width of MLP_pose."""
    pose_depth: int = 3
    """Hidden layers of MLP_pose."""
    subject_offsets: bool = True
    """Whether O_gc→sc is learned; without it x_sc is x_gc, as in the authors' released code (an ablation)."""
    turn_gaussians: bool = True
    """Whether Gaussians turn with the skinning (Eq. 29); an ablation without."""
    precision: Precision = "float32"
    """Arithmetic of the three networks: tf32 or bf16 on accelerators."""
    compile: bool = False
    """Whether MLP_c, nearly all of the time at the paper's sizes, goes through torch.compile on CUDA devices."""

    def build(self, latent_dimensions: int, start: StartingPoints, n_subjects: int) -> Networks:
        """The decoder; it needs no number of subjects."""
        return Networks(self, latent_dimensions, start)

    def training_flop(self, points: int) -> float:
        """Operations of a training image (`DecoderConfig`). The condition enters once for a subject and counts nothing
        here."""
        heads = 260  # what comes out of MLP_d: offsets, E and P of FLAME's sizes, W
        return (
            layers_flop(points, [3, *[self.deform_width] * self.deform_depth, heads])
            + layers_flop(points, [encoding_width(self.color_octaves), *[self.color_width] * self.color_depth, 11])
            + layers_flop(points, [3, *[self.pose_width] * self.pose_depth, 11])
        )


class Networks(Decoder):
    """Decoder of MLP_d, MLP_c and MLP_pose over learned points.

    Attributes:
        positions: [n, 3] x_gc, metres; learned.
        pose_active: whether MLP_pose takes part; off during the first epoch (P A.1.2).
    """

    closing: Float[Tensor, "n 3"]
    skinning_logits: Float[Tensor, "n j+1"]
    first_log_scale: Float[Tensor, ""]

    def __init__(self, config: NetworksConfig, latent_dimensions: int, start: StartingPoints) -> None:
        super().__init__()
        self.config = config
        self.pose_active = True
        prior = start.prior
        code_width = len(CATEGORIES) * latent_dimensions
        m, j = prior.blend_basis.shape[-1], prior.skinning.shape[-1]
        self.positions = nn.Parameter(prior.open_mouth.clone())
        self.register_buffer("closing", prior.rest - prior.open_mouth)
        self.register_buffer("blend_basis", prior.blend_basis.contiguous())
        ghost = torch.full((len(prior), 1), 1e-4)
        self.register_buffer("skinning_logits", torch.log(torch.cat([prior.skinning, ghost], -1).clamp_min(1e-4)))
        self.register_buffer("regions", start.regions)
        size = spacing(prior.rest).clamp(0.0005, 0.02).mean() if len(prior) > 4 else torch.tensor(0.004)
        self.register_buffer("first_log_scale", size.log())
        self.deform = ConditionedMLP(
            3, code_width, 6 + 3 * m + j + 1, hidden=config.deform_width, depth=config.deform_depth,
            activation=softplus_100, out_gain=0.0, precision=config.precision,
        )  # fmt: skip
        self.color = ConditionedMLP(
            encoding_width(config.color_octaves), code_width, 11, hidden=config.color_width, depth=config.color_depth,
            activation=softplus_100, skip_at=config.color_skip, precision=config.precision,
        )  # fmt: skip
        self.response = ConditionedMLP(
            3,
            code_width,
            11,
            hidden=config.pose_width,
            depth=config.pose_depth,
            activation=torch.relu,
            out_gain=0.05,
            precision=config.precision,
        )

    def __len__(self) -> int:
        """Number of points n."""
        return self.positions.shape[0]

    def canonicalise(self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]) -> CanonicalGaussians:
        """Canonical Gaussians of codes [s, k, d] (Eq. 18–20 and 23); z_ref is not needed here. `perse.avatar.naive` is
        its twin."""
        z = codes.flatten(1)
        features = self.deform.features(self.positions / HEAD_RADIUS_M, z)  # [s, n, h]
        offsets, skinning = self._offsets_and_skinning(features)
        x_sc, x_fc = self.displaced(offsets)
        seen = self.color(self.encoded(x_sc), z)
        return self.assembled(z, x_fc, seen, self.blend_basis, skinning, features)

    def displaced(self, offsets: Float[Tensor, "s n 6"]) -> tuple[Float[Tensor, "s n 3"], Float[Tensor, "s n 3"]]:
        """Means x_sc and x_fc [s, n, 3] from O_gc→sc and O_sc→fc side by side, [s, n, 6] in head radii (Eq. 19–20)."""
        to_subject, to_flame = offsets.split(3, -1)
        if not self.config.subject_offsets:
            to_subject = torch.zeros_like(to_subject)
        x_sc = self.positions + HEAD_RADIUS_M * to_subject
        return x_sc, x_sc + HEAD_RADIUS_M * to_flame + self.closing

    def encoded(self, x_sc: Float[Tensor, "s n 3"]) -> Float[Tensor, "s n w"]:
        """Inputs of MLP_c at points [s, n, 3]."""
        return positional_encoding(x_sc / HEAD_RADIUS_M, self.config.color_octaves)

    def assembled(
        self,
        z: Float[Tensor, "s kd"],
        x_fc: Float[Tensor, "s n 3"],
        seen: Float[Tensor, "s n 11"],
        basis: Float[Tensor, "*b"],
        skinning: Float[Tensor, "s n j"],
        features: Float[Tensor, "s n hidden"] | None,
    ) -> CanonicalGaussians:
        """Canonical Gaussians of codes z [s, k · d] from what MLP_c gave, [s, n, 11], and skinning logits [s, n, j]."""
        opacity, quats, scales, colors = seen.split([1, 4, 3, 3], -1)
        upright = torch.zeros_like(quats)
        upright[..., 0] = 1
        condition = self.response.first.of_point.bias.expand(len(z), -1)
        if self.response.first.of_code is not None:
            condition = condition + self.response.first.of_code(z)
        return CanonicalGaussians(
            pack_attributes(
                x_fc, upright + quats, self.first_log_scale + scales, FIRST_OPACITY_LOGIT + opacity[..., 0], colors
            ),
            basis,
            torch.softmax(self.skinning_logits + SKINNING_TEMPERATURE * skinning, -1),
            condition[:, None],
            features,
        )

    def deform_rows(self) -> list[int]:
        """Numbers of outputs of MLP_d that are offsets, E and P, and skinning logits, in this order."""
        return [6, 3 * self.blend_basis.shape[-1], self.skinning_logits.shape[1]]

    def _offsets_and_skinning(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer of MLP_d without its E and P."""
        weights, biases = (part.split(self.deform_rows()) for part in (self.deform.out.weight, self.deform.out.bias))
        out = nn.functional.linear(features, torch.cat([weights[0], weights[2]]), torch.cat([biases[0], biases[2]]))
        return out[..., :6], out[..., 6:]

    def _learned_shift(self, features: Float[Tensor, "f n h"], motion: FrameMotion) -> Float[Tensor, "f n 3"]:
        """What the learned part of E and P adds to points [f, n, 3], metres, from features [f, n, h].

        ``Σ_m (W h + b)_m ψ_m = (Σ_m ψ_m W_m) h + Σ_m ψ_m b_m``: the frame's coefficients enter the last layer's weights
        instead of its outputs, 3 rows instead of 3 m (237 with FLAME's or our sizes).
        """
        m = self.blend_basis.shape[-1]
        weight = self.deform.out.weight[6 : 6 + 3 * m].unflatten(0, (3, m))
        bias = self.deform.out.bias[6 : 6 + 3 * m].unflatten(0, (3, m))
        rows = torch.einsum("cmh,fm->fhc", weight, motion.coefficients)
        return HEAD_RADIUS_M * (features @ rows + (motion.coefficients @ bias.T)[:, None])

    def blend_bases(self, canonical: CanonicalGaussians) -> Float[Tensor, "s n 3 m"]:
        """Blendshape bases E and P in full, [s, n, 3, m]: the head model's and what was learned."""
        if canonical.blend_features is None:
            return canonical.blend_basis
        rows = slice(6, 6 + 3 * self.blend_basis.shape[-1])
        learned = nn.functional.linear(
            canonical.blend_features, self.deform.out.weight[rows], self.deform.out.bias[rows]
        )  # fmt: skip
        return self.blend_basis + HEAD_RADIUS_M * learned.unflatten(-1, self.blend_basis.shape[1:])

    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
        """Gaussians [f, n] of f frames (Eq. 21–22 and 24–29). The pose network sees x_d − x_fc without its gradient."""
        attributes = per_frame(canonical.attributes, 2, of_frame)
        x_fc = attributes[..., :3]
        x_d, turned = self._deformed(canonical, attributes, motion, of_frame)
        log_scales, opacity, color = attributes[..., LOG_SCALE], attributes[..., OPACITY], attributes[..., COLOR]
        if self.pose_active:
            moved = ((x_d - x_fc) / HEAD_RADIUS_M).detach()
            entered = moved @ self.response.first.of_point.weight.T + per_frame(canonical.pose_condition, 2, of_frame)
            change = self.response.tail(entered)
            opacity = opacity + change[..., 0]
            turned = turned + change[..., 1:5]
            log_scales = log_scales + change[..., 5:8]
            color = color + change[..., 8:]
        scales = torch.exp(log_scales.clamp(*LOG_SCALE_RANGE))
        return Gaussians(x_d, turned, scales, torch.sigmoid(opacity), torch.sigmoid(color))

    def _deformed(
        self, canonical: CanonicalGaussians, attributes: Float[Tensor, "f n 14"], motion: FrameMotion, of_frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Eq. 21–22 and 29: posed means [f, n, 3] and quaternions [f, n, 4] of attributes [f, n, 14]."""
        learned = None
        if canonical.blend_features is not None:
            learned = self._learned_shift(per_frame(canonical.blend_features, 2, of_frame), motion)
        if fits_fused(canonical):
            shift = blend_shift(canonical.blend_basis, motion)
            shift = shift if learned is None else shift + learned
            x_d, turned = deform_fused(canonical.attributes, canonical.skinning, shift, with_ghost(motion), of_frame)
            return x_d, turned if self.config.turn_gaussians else attributes[..., QUAT].expand_as(turned)
        basis, skinning = per_frame(canonical.blend_basis, 3, of_frame), per_frame(canonical.skinning, 2, of_frame)
        moving = attributes[..., :3] if learned is None else attributes[..., :3] + learned
        x_d, turned, _, _ = deform(moving, attributes[..., QUAT], basis, skinning, with_ghost(motion))
        return x_d, turned if self.config.turn_gaussians else attributes[..., QUAT].expand_as(turned)

    # What a training asks

    def arithmetic(self) -> AbstractContextManager[None]:
        return matmul_arithmetic(self.config.precision)

    def compile(self, *_: object, **__: object) -> None:
        """Compile MLP_c, which is nearly all of the time at the paper's sizes."""
        if self.config.compile:
            self.color.compile()

    def gradient_pattern(self) -> bool:
        """Whether a step reaches all parameters: at first it does not reach MLP_pose's."""
        return self.pose_active

    def begin_step(self, progress: float, *, pose_networks_from: float) -> None:
        self.pose_active = progress >= pose_networks_from

    def learned_deformation(self, canonical: CanonicalGaussians) -> LearnedDeformation:
        """Pairs of Eq. 31, of all subjects one after another."""
        basis = self.blend_bases(canonical).flatten(0, 1)
        copies = len(canonical.attributes)
        return LearnedDeformation(
            basis,
            canonical.skinning.flatten(0, 1),
            self.blend_basis.repeat(copies, 1, 1),
            self.prior_skinning().repeat(copies, 1),
        )

    def prior_skinning(self) -> Float[Tensor, "n j"]:
        """The head model's skinning weights [n, j + 1], the ghost's last."""
        return torch.softmax(self.skinning_logits, -1)

    def point_tensors(self) -> Sequence[str]:
        """Names of the parameters and buffers with one row a point, for densification."""
        return ("positions", "closing", "blend_basis", "skinning_logits", "regions")

    @torch.no_grad()
    def replace_points(self, plan: PointPlan, radius_m: float, rng: np.random.Generator) -> None:
        """Carry out a densification event: children inherit all of their parent but its exact place."""
        device = self.positions.device
        inherit_rows(self, plan, device)
        jitter = rng.normal(0, radius_m / np.sqrt(3), (len(plan), 3)).astype(np.float32)
        jitter[~plan.fresh.numpy()] = 0
        self.positions.add_(torch.from_numpy(jitter).to(device))

    @torch.no_grad()
    def shrink_scales(self, factor: float) -> None:
        self.first_log_scale.add_(float(np.log(factor)))


def with_ghost(motion: FrameMotion) -> FrameMotion:
    """The motion with one more joint that never moves: the "ghost" bone for what follows neither head nor body."""
    frames = len(motion)
    still = torch.eye(4).to(motion.transforms).expand(frames, 1, 4, 4)
    upright = torch.tensor([1.0, 0, 0, 0]).to(motion.turns).expand(frames, 1, 4)
    return FrameMotion(
        motion.coefficients, torch.cat([motion.transforms, still], 1), torch.cat([motion.turns, upright], 1)
    )

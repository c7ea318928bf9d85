"""Latent codes: what makes two subjects of one person different (P 4.1, Eq. 4 and 5).

::

    f_I, f_T ──MLP_z──► z_k          the edited part of a subject, from its picture and its prompt     Eq. 5
    z_ref                            one row per category: learned, or the shared z_zero where the
                                     portrait has no such part (no beard, no hat, ...)
    z = z_ref with row k ← z_k       a subject                                                        Eq. 4
    z = z_ref with several rows      a mix of edits
    (1 − α) z_a + α z_b              an interpolation                                                 Eq. 13

A code is a tensor [..., k, d]: k categories in the order of `CATEGORIES`, d latent dimensions. Everything here
works on such tensors and is differentiable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from perse.attributes import CATEGORIES, Category


@dataclass(frozen=True, kw_only=True)
class LatentConfig:
    """Sizes and starting values of the latent space."""

    dimensions: int = 32
    """d, latent dimensions of one part (P Fig. 11)."""
    features: int = 512
    """Width of f_I and of f_T, each (CLIP ViT-B/32; the embedded encoder has the same)."""
    hidden: int = 512
    """Width of the two hidden layers of MLP_z (P Fig. 11); 128 does as well for a few dozen subjects."""
    reference_std: float = 0.05
    """Standard deviation of the learned rows of z_ref and of z_zero at the start
    (C, docs/reference.md#method-numbers)."""
    subject_spread: float = 1.0
    """Standard deviation, a dimension, of z_k between the subjects of one category at the start."""
    subject_offset: float = 1.0
    """Root mean square, a dimension, of what the subjects' z_k have in common at the start. Without it the middle
    between two edits would lie beside the reference, and a morph of two beards would pass through a shaven chin."""
    part_wise: bool = True
    """Whether a part has a row of its own; otherwise all edits share the first one (an ablation, for decoders whose
    networks read the whole code)."""


@dataclass(frozen=True)
class SubjectFeatures:
    """Features of some subjects, as the encoder gave them.

    Attributes:
        image: [s, 512], f_I of the edited picture.
        text: [s, 512], f_T of the prompt.
        categories: [s] int64, row of z that the edit replaces; -1 for the reference, which has no features.
    """

    image: Float[Tensor, "s 512"]
    text: Float[Tensor, "s 512"]
    categories: Int[Tensor, " s"]

    def __post_init__(self) -> None:
        if self.image.shape != self.text.shape or self.image.ndim != 2:
            raise ValueError(
                f"image and text features must both be [s, w], got {tuple(self.image.shape)} "
                f"and {tuple(self.text.shape)}"
            )
        if self.categories.shape != self.image.shape[:1]:
            raise ValueError(f"categories must be [{self.image.shape[0]}], got {tuple(self.categories.shape)}")

    def __len__(self) -> int:
        return self.image.shape[0]

    def __getitem__(self, index: Shaped[Tensor, " _"] | slice) -> SubjectFeatures:
        return SubjectFeatures(self.image[index], self.text[index], self.categories[index])


class LatentSpace(nn.Module):
    """Latent space: MLP_z, z_ref and z_zero.

    MLP_z sees features as deviations from the mean of their category's training subjects (of all subjects, where a
    category has only one), in units of their root mean square. Raw CLIP features of two edits of one portrait agree
    to within a few per cent, and a randomly initialised MLP would map them to nearly one code. The statistics are
    buffers: a new subject is encoded with the same ones.
    """

    feature_mean: Float[Tensor, "k w"]
    feature_scale: Float[Tensor, " k"]
    absent: Bool[Tensor, " k"]

    def __init__(self, config: LatentConfig, absent: Sequence[Category], statistics: SubjectFeatures) -> None:
        """
        Args:
            config: sizes.
            absent: categories that the portrait does not show; their row of z_ref is z_zero.
            statistics: training subjects, for the normalisation and the scale of the first codes.
        """
        super().__init__()
        self.config = config
        width = 2 * config.features
        self.encoder = nn.Sequential(
            nn.Linear(width, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.dimensions),
        )
        self.learned_reference = nn.Parameter(
            config.reference_std * torch.randn(len(CATEGORIES), config.dimensions)
        )  # fmt: skip
        self.zero = nn.Parameter(config.reference_std * torch.randn(config.dimensions))
        self.register_buffer("absent", torch.tensor([c in absent for c in CATEGORIES]))
        self.register_buffer("feature_mean", torch.zeros(len(CATEGORIES), width))
        self.register_buffer("feature_scale", torch.ones(len(CATEGORIES)))
        self._measure(statistics)
        self._calibrate(statistics)

    @property
    def reference(self) -> Float[Tensor, "k d"]:
        """z_ref [k, d]: the unedited person. Rows of absent parts are z_zero itself."""
        return torch.where(self.absent[:, None], self.zero, self.learned_reference)

    def encode(self, features: SubjectFeatures) -> Float[Tensor, "s d"]:
        """Codes [s, d] of edited subjects (Eq. 5): z_k = MLP_z(f_I, f_T)."""
        return self.encoder(self._normalised(features))

    def forward(self, features: SubjectFeatures) -> Float[Tensor, "s k d"]:
        """Codes z [s, k, d] of subjects: Eq. 5 into Eq. 4. The reference (category -1) gets exactly `reference`."""
        own = self.encode(features)  # the reference's too, which is not taken: looking for it would make a GPU wait
        rows = features.categories if self.config.part_wise else features.categories.clamp(max=0)
        chosen = rows[:, None] == torch.arange(len(CATEGORIES), device=own.device)
        return torch.where(chosen[..., None], own[:, None], self.reference)

    def _normalised(self, features: SubjectFeatures) -> Tensor:
        joined = torch.cat([features.image, features.text], -1)
        rows = features.categories
        return (joined - self.feature_mean[rows]) / self.feature_scale[rows, None]

    @torch.no_grad()
    def _measure(self, subjects: SubjectFeatures) -> None:
        joined = torch.cat([subjects.image, subjects.text], -1)
        edited = joined[subjects.categories >= 0]
        if len(edited) == 0:
            return
        for row in range(len(CATEGORIES)):
            members = joined[subjects.categories == row]
            self.feature_mean[row], self.feature_scale[row] = _spread(members, edited)

    @torch.no_grad()
    def _calibrate(self, subjects: SubjectFeatures) -> None:
        """Scale the last layer so that codes start with the spread and the common offset of the configuration."""
        final = self.encoder[-1]
        assert isinstance(final, nn.Linear)
        final.bias.zero_()
        edited = subjects[torch.nonzero(subjects.categories >= 0)[:, 0]]
        if len(edited) > 1:
            spread = (self.encode(edited) - self.encode(edited).mean(0)).square().mean().sqrt()
            final.weight.mul_(self.config.subject_spread / spread.clamp_min(1e-3))
            final.bias.sub_(self.encode(edited).mean(0))
        offset = torch.randn(self.config.dimensions)
        final.bias.add_(self.config.subject_offset * offset / offset.square().mean().sqrt())


def _spread(members: Tensor, edited: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [w] and scale of a category's features [m, w], or of all edits' [s, w] where the category does not spread.

    One subject says nothing about how its category spreads; all edits together say a little. A person with a single
    edit has features in units of their own size: as deviations from themselves they would be zero, and MLP_z blind.
    """
    for known in (members, edited):
        if len(known) > 1:
            mean = known.mean(0)
            scale = (known - mean).square().mean().sqrt()
            if scale > 1e-6:
                return mean, scale
    return torch.zeros_like(edited[0]), edited.square().mean().sqrt().clamp_min(1e-6)


def swap_parts(
    code: Float[Tensor, "*batch k d"], donor: Float[Tensor, "*batch k d"], categories: Sequence[Category]
) -> Float[Tensor, "*batch k d"]:
    """Codes with the rows of some categories taken from a donor (Eq. 4)."""
    chosen = torch.zeros(code.shape[-2], dtype=torch.bool, device=code.device)
    chosen[[category.index for category in categories]] = True
    return torch.where(chosen[:, None], donor, code)


def mix_edits(reference: Float[Tensor, "k d"], edits: Mapping[Category, Float[Tensor, " d"]]) -> Float[Tensor, "k d"]:
    """Code of several edits at once: z_ref with row k replaced by edits[k] for each given category."""
    mixed = reference
    for category, code in edits.items():
        row = torch.zeros_like(reference)
        row[category.index] = code
        mixed = swap_parts(mixed, row, [category])
    return mixed


def interpolate(
    start: Float[Tensor, "*batch k d"],
    end: Float[Tensor, "*batch k d"],
    alpha: Float[Tensor, "*steps"] | float,
) -> Float[Tensor, "... k d"]:
    """Code between two (Eq. 13): (1 − α) z_a + α z_b. The ends are exact: α = 0 gives z_a and α = 1 gives z_b, to the
    bit.

    And so are the rows that both have in common: (1 − α) x + α x is not x in floating point, and a row that is off the
    reference by a rounding error would wake its part, and Adam would blow its gradient up to a full step.

    Args:
        alpha: a number, or one for each of the leading dimensions.
    """
    weight = torch.as_tensor(alpha, dtype=start.dtype, device=start.device)[..., None, None]
    return torch.where(start == end, start, (1 - weight) * start + weight * end)

"""Pieces of an evaluation: small, independent, and the same whoever measures them, in any order.

One subject, one mix of edits or one pair of subjects is one piece. A cluster measures many at the same time; what comes
back are plain numbers, which `perse.evaluation.evaluate.summarise` puts together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, Subject, mix_edits
from perse.data import PortraitClip
from perse.errors import StageError
from perse.evaluation.interpolations import (
    MorphTeacher,
    distances_from_morphs,
    interpolation_pairs,
    path_scores,
    paths,
)
from perse.evaluation.perceptual import multi_scale_distance, structural_similarity
from perse.evaluation.pictures import absolute_difference, psnr, squared_error
from perse.evaluation.regions import changed_part, unchanged
from perse.evaluation.viewing import Viewer
from perse.identity import FaceEmbedder, identity_distance
from perse.render import Rasterizer


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Extent of an evaluation: how much is measured."""

    frames: int = 16
    """Test frames at most, spread evenly over the clips."""
    identity_frames: int = 1
    """Frames of each subject that the face embedder sees (80 ms each, twice); 0 leaves identity out."""
    mixes: int = 8
    """Mixes of several edits for `leakage_mix`."""
    edits_per_mix: int = 4
    """Categories in a mix."""
    pairs_per_category: int = 3
    """Interpolations of each category (the paper: 200)."""
    interpolation_steps: int = 9
    """Pictures along an interpolation (P B.2)."""
    interpolation_frames: int = 2
    """Poses of each interpolation (the paper: 5)."""
    seed: int = 0
    """Of the choice of mixes and pairs."""


@dataclass(frozen=True)
class SubjectScores:
    """Scores of one subject on the unseen poses (see `CategoryScores`). nan where there is nothing to measure."""

    row: int
    category: Category | None
    psnr: float
    psnr_foreground: float
    ssim: float
    edit_gain_db: float
    leakage: float
    identity: float | None


@dataclass(frozen=True)
class PairScores:
    """Scores of the ways between two subjects, one for each pose; see `InterpolationScores` for the numbers.

    Attributes:
        totals, deviations: of the poses in which the two differ.
        from_morphs: of every pose; empty without a teacher.
    """

    totals: tuple[float, ...]
    deviations: tuple[float, ...]
    from_morphs: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EvaluationPieces:
    """List of the pieces of an evaluation.

    Attributes:
        subjects: rows of the subjects table.
        mixes: for each mix, a row of each of its categories.
        pairs: rows of the two subjects.
    """

    subjects: tuple[int, ...]
    mixes: tuple[dict[Category, int], ...]
    pairs: tuple[tuple[int, int], ...]


def evaluation_pieces(subjects: Sequence[Subject], config: EvaluationConfig) -> EvaluationPieces:
    """The pieces for an avatar's subjects."""
    return EvaluationPieces(
        subjects=tuple(range(len(subjects))),
        mixes=tuple(choose_mixes(subjects, config, np.random.default_rng(config.seed))),
        pairs=tuple(interpolation_pairs(subjects, config.pairs_per_category, config.seed)),
    )


@dataclass(frozen=True, kw_only=True)
class Measurer:
    """Measures pieces of one avatar.

    Attributes:
        avatar: trained, on the device where it is to be drawn.
        clips: *test* frames of the avatar's subjects, in the table's order, the reference first.
        config: how much of them.
        rasterizer: who draws.
        embedder: for the identity score; None leaves it out.
        teacher: makes 2D morphs, for `from_morphs`; None leaves it out.

    Raises:
        StageError: the clips are not the avatar's subjects.
    """

    avatar: Avatar
    clips: Sequence[PortraitClip]
    config: EvaluationConfig
    rasterizer: Rasterizer
    embedder: FaceEmbedder | None = None
    teacher: MorphTeacher | None = None
    frames: list[int] = field(init=False)

    def __post_init__(self) -> None:
        if [clip.key for clip in self.clips] != [subject.key for subject in self.avatar.subjects]:
            raise StageError(
                "the test clips are not the avatar's subjects in their order; evaluate with the same subjects"
            )
        object.__setattr__(self, "frames", spread(len(self.clips[0]), self.config.frames))

    @cached_property
    def _viewer(self) -> Viewer:
        first = self.clips[0]
        motion = self.avatar.skeleton(first.parameters.to(self.avatar.device))
        return Viewer(self.avatar, motion, first.camera, self.rasterizer).at(self.frames)

    @cached_property
    def _codes(self) -> Tensor:
        return self.avatar.subject_codes().detach()

    @cached_property
    def _reference(self) -> Tensor:
        """Pictures [f, h, w, 3] of the reference."""
        return self._viewer.pictures(self._codes[0])

    def subject(self, row: int) -> SubjectScores:
        """One subject's scores."""
        clip, category = self.clips[row], self.avatar.subjects[row].category
        truth = torch.from_numpy(clip.images[self.frames]).float() / 255
        picture = self._viewer.pictures(self._codes[row]) if category is not None else self._reference
        foreground = clip.alphas[self.frames] > 127
        gain, leakage = math.nan, math.nan
        if category is not None:
            changed = self._changed(row, category)
            gain = edit_gain(picture, self._reference, truth, changed)
            leakage = absolute_difference(picture, self._reference, unchanged([changed]))
        return SubjectScores(
            row, category,
            mean([psnr(squared_error(p, t)) for p, t in zip(picture, truth, strict=True)]),
            mean([psnr(squared_error(p, t, m)) for p, t, m in zip(picture, truth, foreground, strict=True) if m.any()]),
            float(structural_similarity(picture, truth).mean()),
            gain, leakage,
            _identity(picture, truth, self.config.identity_frames, self.embedder),
        )  # fmt: skip

    def mix(self, chosen: dict[Category, int]) -> float:
        """Leakage of a mix of several edits, outside the changed parts of all of them."""
        edits = {category: self._codes[row, category.index] for category, row in chosen.items()}
        changed = [self._changed(row, category) for category, row in chosen.items()]
        picture = self._viewer.pictures(mix_edits(self._codes[0], edits))
        return absolute_difference(picture, self._reference, unchanged(changed))

    def pair(self, a: int, b: int) -> PairScores:
        """The ways between two subjects."""
        few = spread(len(self.frames), self.config.interpolation_frames)
        viewer, steps = self._viewer.at(few), self.config.interpolation_steps
        ways = paths(viewer, self._codes[a], self._codes[b], torch.linspace(0, 1, steps).tolist())
        scores = [path_scores(way, multi_scale_distance) for way in ways]
        known = [(total, deviation) for total, deviation in scores if np.isfinite(total)]
        chosen = [self.frames[i] for i in few]
        morphs = () if self.teacher is None else distances_from_morphs(viewer, self.clips, chosen, (a, b), self.teacher)
        return PairScores(tuple(t for t, _ in known), tuple(d for _, d in known), tuple(morphs))

    def _changed(self, row: int, category: Category) -> NDArray[np.bool_]:
        own, reference = (clip.parts[self.frames] for clip in (self.clips[row], self.clips[0]))
        return changed_part(category, own, reference)


def edit_gain(
    own: Float[Tensor, "f h w 3"],
    reference: Float[Tensor, "f h w 3"],
    truth: Float[Tensor, "f h w 3"],
    changed: Bool[NDArray[np.bool_], "f h w"],
) -> float:
    """Gain of a subject's own latent code over the reference's, dB: how much nearer it comes to the truth.

    Args:
        own, reference, truth: [f, h, w, 3] in [0, 1]: the subject rendered with its own latent and with the
            reference's, and its clip.
        changed: [f, h, w], the changed part. nan where it is never seen.
    """
    if not changed.any():
        return math.nan
    return psnr(squared_error(own, truth, changed)) - psnr(squared_error(reference, truth, changed))


def _identity(picture: Tensor, truth: Tensor, count: int, embedder: FaceEmbedder | None) -> float | None:
    if embedder is None or count == 0:
        return None
    distances = []
    for index in spread(len(picture), count):
        ours, theirs = (embedder.embed((p[index] * 255 + 0.5).to(torch.uint8).numpy()) for p in (picture, truth))
        if ours is not None and theirs is not None:
            distances.append(identity_distance(ours, theirs))
    return float(np.mean(distances)) if distances else None


def choose_mixes(
    subjects: Sequence[Subject], config: EvaluationConfig, rng: np.random.Generator
) -> list[dict[Category, int]]:
    """Rows of the subjects table to mix: one subject of each of several random categories."""
    rows: dict[Category, list[int]] = {}
    for row, subject in enumerate(subjects):
        if subject.category is not None:
            rows.setdefault(subject.category, []).append(row)
    if len(rows) < 2:
        return []
    mixes = []
    for _ in range(config.mixes):
        names = sorted(rows)
        picked = rng.permutation(len(names))[: config.edits_per_mix]
        mixes.append({names[i]: int(rng.choice(rows[names[i]])) for i in sorted(picked)})
    return mixes


def spread(available: int, wanted: int) -> list[int]:
    """Positions, at most `wanted`, spread evenly over the available ones."""
    count = min(available, wanted)
    return [int(i) for i in np.unique(np.linspace(0, available - 1, count).round())] if count else []


def mean(values: Sequence[float]) -> float:
    """Mean of the values that exist; nan if none does."""
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan

"""The evaluation of an avatar on poses that it has not seen: all pieces, and their summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from perse.attributes import Category
from perse.avatar import Avatar
from perse.data import PortraitClip
from perse.evaluation.interpolations import MorphTeacher
from perse.evaluation.measurements import (
    EvaluationConfig,
    Measurer,
    PairScores,
    SubjectScores,
    evaluation_pieces,
    mean,
    spread,
)
from perse.evaluation.perceptual import METRIC
from perse.evaluation.poses import pose_distances
from perse.evaluation.report import CategoryScores, EvaluationReport, InterpolationScores, PoseDistances
from perse.head import HeadParameters
from perse.identity import FaceEmbedder
from perse.render import Rasterizer


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All pieces of an evaluation, in the order of `evaluation_pieces`."""

    subjects: Sequence[SubjectScores]
    mixes: Sequence[float]
    pairs: Sequence[PairScores]


def evaluate(
    avatar: Avatar,
    clips: Sequence[PortraitClip],
    config: EvaluationConfig,
    *,
    rasterizer: Rasterizer,
    embedder: FaceEmbedder | None = None,
    training_motion: HeadParameters | None = None,
    teacher: MorphTeacher | None = None,
) -> EvaluationReport:
    """Measure an avatar in this process.

    Args:
        avatar: trained.
        clips: *test* frames of the avatar's subjects, in the table's order, the reference first.
        rasterizer: who draws.
        embedder: for the identity score; None leaves it out.
        training_motion: expression and pose of the training frames, for the distance of the unseen poses.
        teacher: makes 2D morphs, for `from_morphs`; None leaves it out.

    Raises:
        StageError: the clips are not the avatar's subjects.
    """
    measurer = Measurer(
        avatar=avatar, clips=clips, config=config, rasterizer=rasterizer, embedder=embedder, teacher=teacher
    )
    pieces = evaluation_pieces(avatar.subjects, config)
    measured = Measured(
        subjects=[measurer.subject(row) for row in pieces.subjects],
        mixes=[measurer.mix(chosen) for chosen in pieces.mixes],
        pairs=[measurer.pair(a, b) for a, b in pieces.pairs],
    )
    distances = None
    if training_motion is not None:
        distances = unseen_pose_distances(avatar, clips[0].parameters, training_motion, config)
    return summarise(measured, config, distances, n_frames=len(measurer.frames), n_gaussians=avatar.n_gaussians)


def unseen_pose_distances(
    avatar: Avatar, test: HeadParameters, train: HeadParameters, config: EvaluationConfig
) -> PoseDistances:
    """Distances of the measured test frames from the training frames."""
    frames = torch.tensor(spread(len(test), config.frames))
    return pose_distances(avatar, test.frame(frames).to(avatar.device), train.to(avatar.device))


def summarise(
    measured: Measured,
    config: EvaluationConfig,
    distances: PoseDistances | None,
    *,
    n_frames: int,
    n_gaussians: int,
) -> EvaluationReport:
    """Means over the pieces."""
    scores = measured.subjects
    return EvaluationReport(
        psnr=mean([s.psnr for s in scores]),
        psnr_foreground=mean([s.psnr_foreground for s in scores]),
        ssim=mean([s.ssim for s in scores]),
        identity=_mean_known([s.identity for s in scores]),
        edit_gain_db=mean([s.edit_gain_db for s in scores]),
        leakage=mean([s.leakage for s in scores]),
        leakage_mix=mean(measured.mixes),
        interpolation=_interpolation(measured.pairs, config.interpolation_steps),
        pose_distance=distances,
        by_category=_by_category(scores),
        n_subjects=len(scores),
        n_frames=n_frames,
        n_gaussians=n_gaussians,
    )


def _interpolation(pairs: Sequence[PairScores], steps: int) -> InterpolationScores | None:
    totals = [total for pair in pairs for total in pair.totals]
    if not totals:
        return None
    deviations = [deviation for pair in pairs for deviation in pair.deviations]
    morphs = [distance for pair in pairs for distance in pair.from_morphs]
    return InterpolationScores(
        METRIC, len(totals), steps, float(np.mean(totals)), float(np.mean(deviations)),
        float(np.nanmean(morphs)) if morphs else None,
    )  # fmt: skip


def _by_category(scores: Sequence[SubjectScores]) -> tuple[CategoryScores, ...]:
    present = {s.category for s in scores if s.category is not None}
    rows: list[Category | None] = [*(c for c in Category if c in present), None]
    table = []
    for category in rows:
        members = [s for s in scores if s.category is category]
        if not members:
            continue
        table.append(
            CategoryScores(
                category, len(members),
                mean([s.psnr for s in members]),
                mean([s.psnr_foreground for s in members]),
                mean([s.ssim for s in members]),
                mean([s.edit_gain_db for s in members]),
                mean([s.leakage for s in members]),
                _mean_known([s.identity for s in members]),
            )
        )  # fmt: skip
    return tuple(table)


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None

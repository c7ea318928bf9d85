"""The evaluation of an avatar on poses that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, FrameMotion, mix_edits
from perse.data import PortraitClip
from perse.errors import StageError
from perse.evaluation.interpolations import (
    MorphTeacher,
    distance_from_morphs,
    interpolation_pairs,
    interpolation_scores,
)
from perse.evaluation.perceptual import METRIC, multi_scale_distance, structural_similarity
from perse.evaluation.pictures import absolute_difference, psnr, squared_error
from perse.evaluation.poses import pose_distances
from perse.evaluation.regions import changed_part, unchanged
from perse.evaluation.report import CategoryScores, EvaluationReport
from perse.evaluation.viewing import Viewer
from perse.head import HeadParameters
from perse.identity import FaceEmbedder, identity_distance
from perse.render import Rasterizer


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How much to measure."""

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
class _SubjectScores:
    row: int
    category: Category | None
    psnr: float
    psnr_foreground: float
    ssim: float
    edit_gain_db: float
    leakage: float
    identity: float | None


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
    """Measure an avatar.

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
    if [clip.key for clip in clips] != [subject.key for subject in avatar.subjects]:
        raise StageError("the test clips are not the avatar's subjects in their order; evaluate with the same subjects")
    frames = _spread(len(clips[0]), config.frames)
    motion: FrameMotion = avatar.skeleton(clips[0].parameters)
    viewer = Viewer(avatar, motion, clips[0].camera, rasterizer).at(frames)
    codes = avatar.subject_codes().detach()
    reference = viewer.pictures(codes[0])
    scores = [
        _subject(viewer, clips, frames, row, codes[row], reference, config, embedder) for row in range(len(clips))
    ]
    pairs = interpolation_pairs(avatar.subjects, config.pairs_per_category, config.seed)
    few = _spread(len(frames), config.interpolation_frames)
    paths = interpolation_scores(viewer.at(few), pairs, config.interpolation_steps, multi_scale_distance, METRIC)
    if paths is not None and teacher is not None:
        chosen = [frames[i] for i in few]
        paths = replace(paths, from_morphs=distance_from_morphs(viewer.at(few), clips, chosen, pairs, teacher))
    return EvaluationReport(
        psnr=_mean([s.psnr for s in scores]),
        psnr_foreground=_mean([s.psnr_foreground for s in scores]),
        ssim=_mean([s.ssim for s in scores]),
        identity=_mean_known([s.identity for s in scores]),
        edit_gain_db=_mean([s.edit_gain_db for s in scores]),
        leakage=_mean([s.leakage for s in scores]),
        leakage_mix=_mix_leakage(viewer, clips, frames, codes, reference, config),
        interpolation=paths,
        pose_distance=pose_distances(avatar, clips[0].parameters.frame(torch.tensor(frames)), training_motion)
        if training_motion is not None
        else None,
        by_category=_by_category(scores),
        n_subjects=len(clips),
        n_frames=len(frames),
        n_gaussians=avatar.n_gaussians,
    )  # fmt: skip


def _subject(
    viewer: Viewer, clips: Sequence[PortraitClip], frames: list[int], row: int, code: Tensor, reference: Tensor,
    config: EvaluationConfig, embedder: FaceEmbedder | None,
) -> _SubjectScores:  # fmt: skip
    clip, category = clips[row], viewer.avatar.subjects[row].category
    truth = torch.from_numpy(clip.images[frames]).float() / 255
    picture = viewer.pictures(code) if category is not None else reference
    foreground = clip.alphas[frames] > 127
    gain, leakage = math.nan, math.nan
    if category is not None:
        changed = changed_part(category, clip.parts[frames], clips[0].parts[frames])
        gain = edit_gain(picture, reference, truth, changed)
        leakage = absolute_difference(picture, reference, unchanged([changed]))
    return _SubjectScores(
        row, category,
        _mean([psnr(squared_error(p, t)) for p, t in zip(picture, truth, strict=True)]),
        _mean([psnr(squared_error(p, t, m)) for p, t, m in zip(picture, truth, foreground, strict=True) if m.any()]),
        float(structural_similarity(picture, truth).mean()),
        gain, leakage,
        _identity(picture, truth, config.identity_frames, embedder),
    )  # fmt: skip


def edit_gain(own: Tensor, reference: Tensor, truth: Tensor, changed: NDArray[np.bool_]) -> float:
    """How much nearer to the truth a subject's own latent comes than the reference latent, dB.

    Args:
        own, reference, truth: [f, h, w, 3] in [0, 1]: the subject rendered with its own latent and with the
            reference's, and its clip.
        changed: [f, h, w], the changed part. nan where it is never seen.
    """
    return psnr(squared_error(own, truth, changed)) - psnr(squared_error(reference, truth, changed)) if (
        changed.any()
    ) else math.nan  # fmt: skip


def _identity(picture: Tensor, truth: Tensor, count: int, embedder: FaceEmbedder | None) -> float | None:
    if embedder is None or count == 0:
        return None
    distances = []
    for index in _spread(len(picture), count):
        ours, theirs = (embedder.embed((p[index] * 255 + 0.5).to(torch.uint8).numpy()) for p in (picture, truth))
        if ours is not None and theirs is not None:
            distances.append(identity_distance(ours, theirs))
    return float(np.mean(distances)) if distances else None


def _mix_leakage(
    viewer: Viewer, clips: Sequence[PortraitClip], frames: list[int], codes: Tensor, reference: Tensor,
    config: EvaluationConfig,
) -> float:  # fmt: skip
    """Leakage of mixes of several edits, outside the changed parts of all of them."""
    rng = np.random.default_rng(config.seed)
    leaks = []
    for chosen in choose_mixes(viewer.avatar, config, rng):
        edits = {category: codes[row, category.index] for category, row in chosen.items()}
        changed = [
            changed_part(category, clips[row].parts[frames], clips[0].parts[frames])
            for category, row in chosen.items()
        ]  # fmt: skip
        picture = viewer.pictures(mix_edits(codes[0], edits))
        leaks.append(absolute_difference(picture, reference, unchanged(changed)))
    return _mean(leaks)


def choose_mixes(avatar: Avatar, config: EvaluationConfig, rng: np.random.Generator) -> list[dict[Category, int]]:
    """Rows of the subjects table to mix: one subject of each of several random categories."""
    rows: dict[Category, list[int]] = {}
    for row, subject in enumerate(avatar.subjects):
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


def _by_category(scores: Sequence[_SubjectScores]) -> tuple[CategoryScores, ...]:
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
                _mean([s.psnr for s in members]),
                _mean([s.psnr_foreground for s in members]),
                _mean([s.ssim for s in members]),
                _mean([s.edit_gain_db for s in members]),
                _mean([s.leakage for s in members]),
                _mean_known([s.identity for s in members]),
            )
        )  # fmt: skip
    return tuple(table)


def _spread(available: int, wanted: int) -> list[int]:
    """At most `wanted` positions, spread evenly over the available ones."""
    count = min(available, wanted)
    return [int(i) for i in np.unique(np.linspace(0, available - 1, count).round())] if count else []


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that exist; nan if none does."""
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None

"""Record that an evaluation leaves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from perse.attributes import Category

NEEDS_WEIGHTS = ("lpips", "fid", "kid")
"""The paper's metrics that stand on networks we do not ship. Never replaced by something under the same name."""


@dataclass(frozen=True)
class CategoryScores:
    """Scores of one category's subjects on the unseen poses.

    Attributes:
        category: of the edits; None for the reference itself.
        n_subjects: how many were measured.
        psnr: dB, whole picture on white.
        psnr_foreground: dB, inside the true alpha.
        ssim: structural similarity, whole picture.
        edit_gain_db: dB, inside the changed part: how much nearer the subject's own latent comes to its clip than the
            reference latent does. 0 for an edit that did not take; nan for the reference.
        leakage: mean absolute difference (of 1) between the subject and the reference, both rendered, outside the
            changed part.
        identity: distance of face descriptors between render and clip (below 0.6: the same person); None where no
            face embedder was given or no face was found.
    """

    category: Category | None
    n_subjects: int
    psnr: float
    psnr_foreground: float
    ssim: float
    edit_gain_db: float
    leakage: float
    identity: float | None


@dataclass(frozen=True)
class PoseDistances:
    """Distances of the unseen poses from the seen ones.

    Attributes:
        metric: what is measured.
        of_frame: one distance for each test frame, millimetres.
        mean, largest: over the test frames, millimetres.
    """

    metric: str
    of_frame: tuple[float, ...]
    mean: float
    largest: float


@dataclass(frozen=True)
class InterpolationScores:
    """Evenness of the change along interpolations of two subjects of one category.

    Attributes:
        metric: the distance between neighbours.
        n_paths: interpolations measured (pairs × poses).
        steps: pictures along each.
        total: mean over paths of the sum of distances between neighbours, divided by the distance of the ends (the
            paper's PPL): 1 is a straight way, more is a detour. A cross-fade is straight; so is not what moves.
        deviation: mean over paths of the standard deviation of those distances, divided by the distance of the ends
            (the paper's PDV): 0 is an even pace.
        from_morphs: mean absolute difference (of 1) of the interior pictures from 2D morphs of the subjects' clips,
            inside the changed part; tells a fade from a change of shape. None where no teacher was given.
    """

    metric: str
    n_paths: int
    steps: int
    total: float
    deviation: float
    from_morphs: float | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """Report of everything that was measured about an avatar.

    Attributes:
        psnr, psnr_foreground, ssim, identity: means over all subjects, as in `CategoryScores`.
        edit_gain_db, leakage: means over the edited subjects.
        leakage_mix: as leakage, for mixes of several parts, outside all of their changed parts.
        interpolation: along interpolations; None if no category has two subjects.
        pose_distance: of the test frames to the training frames; None if no training motion was given.
        by_category: a row for each category that has subjects, then the reference's.
        n_subjects, n_frames, n_gaussians: what was measured.
        needs_weights: metrics of the paper that cannot be computed here.
    """

    psnr: float
    psnr_foreground: float
    ssim: float
    identity: float | None
    edit_gain_db: float
    leakage: float
    leakage_mix: float
    interpolation: InterpolationScores | None
    pose_distance: PoseDistances | None
    by_category: tuple[CategoryScores, ...]
    n_subjects: int
    n_frames: int
    n_gaussians: int
    needs_weights: tuple[str, ...] = NEEDS_WEIGHTS

    def to_json(self) -> dict[str, Any]:
        """Report as plain values; what does not exist is null, never NaN."""
        values = asdict(self)
        values["interp_sum"] = self.interpolation.total if self.interpolation else None
        values["interp_dev"] = self.interpolation.deviation if self.interpolation else None
        values["interp_from_morphs"] = self.interpolation.from_morphs if self.interpolation else None
        for row in values["by_category"]:
            row["category"] = row["category"].value if row["category"] else "reference"
        cleaned = _without_nan(values)
        assert isinstance(cleaned, dict)
        return cleaned


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

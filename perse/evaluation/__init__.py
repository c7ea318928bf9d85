"""How good an avatar is, on poses that it has not seen."""

from perse.evaluation.evaluate import EvaluationConfig, edit_gain, evaluate
from perse.evaluation.interpolations import MorphTeacher, interpolation_pairs, interpolation_scores, path_scores
from perse.evaluation.perceptual import multi_scale_distance, structural_similarity
from perse.evaluation.pictures import psnr
from perse.evaluation.portrait_identity import PortraitIdentity, portrait_identity
from perse.evaluation.poses import pose_distances
from perse.evaluation.regions import changed_part, unchanged
from perse.evaluation.report import CategoryScores, EvaluationReport, InterpolationScores, PoseDistances

__all__ = [
    "CategoryScores",
    "EvaluationConfig",
    "EvaluationReport",
    "InterpolationScores",
    "MorphTeacher",
    "PortraitIdentity",
    "PoseDistances",
    "changed_part",
    "edit_gain",
    "evaluate",
    "interpolation_pairs",
    "interpolation_scores",
    "multi_scale_distance",
    "path_scores",
    "portrait_identity",
    "pose_distances",
    "psnr",
    "structural_similarity",
    "unchanged",
]

"""Evaluation of avatars on poses that they have not seen."""

from perse.evaluation.evaluate import Measured, evaluate, summarise, unseen_pose_distances
from perse.evaluation.interpolations import MorphTeacher, interpolation_pairs, path_scores
from perse.evaluation.measurements import (
    EvaluationConfig,
    EvaluationPieces,
    Measurer,
    PairScores,
    SubjectScores,
    edit_gain,
    evaluation_pieces,
)
from perse.evaluation.perceptual import multi_scale_distance, structural_similarity
from perse.evaluation.pictures import psnr
from perse.evaluation.portrait_identity import PortraitIdentity, portrait_identity
from perse.evaluation.poses import pose_distances
from perse.evaluation.regions import changed_part, unchanged
from perse.evaluation.report import CategoryScores, EvaluationReport, InterpolationScores, PoseDistances

__all__ = [
    "CategoryScores",
    "EvaluationConfig",
    "EvaluationPieces",
    "EvaluationReport",
    "InterpolationScores",
    "Measured",
    "Measurer",
    "MorphTeacher",
    "PairScores",
    "PortraitIdentity",
    "PoseDistances",
    "SubjectScores",
    "changed_part",
    "edit_gain",
    "evaluate",
    "evaluation_pieces",
    "interpolation_pairs",
    "multi_scale_distance",
    "path_scores",
    "portrait_identity",
    "pose_distances",
    "psnr",
    "structural_similarity",
    "summarise",
    "unchanged",
    "unseen_pose_distances",
]

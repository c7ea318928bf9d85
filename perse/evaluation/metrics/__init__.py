"""The paper's metrics (P B.2), each with its weights or without a number: never a stand-in under its name."""

from perse.evaluation.metrics.paths import PathScores, path_lengths
from perse.evaluation.metrics.sets import SET_FEATURES, SetDistances, frechet_distance, kernel_distance, set_distances
from perse.evaluation.metrics.similarity import embedding_similarity, subject_consistency
from perse.evaluation.metrics.table import Metric, MetricTable, measured

__all__ = [
    "SET_FEATURES",
    "Metric",
    "MetricTable",
    "PathScores",
    "SetDistances",
    "embedding_similarity",
    "frechet_distance",
    "kernel_distance",
    "measured",
    "path_lengths",
    "set_distances",
    "subject_consistency",
]

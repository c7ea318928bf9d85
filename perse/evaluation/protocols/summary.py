"""Rows of Tables 1 and 2 from their pieces: means with 95 % bootstrap intervals over the pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from perse.evaluation.metrics import SET_FEATURES, Metric, frechet_distance, kernel_distance
from perse.evaluation.perceptual import METRIC
from perse.evaluation.protocols.instruments import DLIB_ID, ID, LPIPS
from perse.evaluation.protocols.measure import Features, UnseenScores, WayScores

TABLE_1 = ("PSNR", "SSIM", LPIPS, ID, "PSNR, person", DLIB_ID)
"""The paper's four columns, and two that need no weights."""

WAYS = ("PPL", "PDV", f"sum, {METRIC}", f"deviation, {METRIC}")

SPACES = tuple(SET_FEATURES)
"""Names of the Fréchet and the kernel distance in every space of features."""

RESAMPLES = 1000
_HUNDREDFOLD = ("PDV", f"deviation, {METRIC}")
"""Printed times 100, as the paper does with PDV."""


def table1_row(pieces: Sequence[UnseenScores], missing: Mapping[str, str]) -> dict[str, Metric]:
    """Row of Table 1: means over subjects.

    Args:
        missing: by the metric's name, why it was not measured.
    """
    return {name: _over(name, [piece.values for piece in pieces], missing) for name in TABLE_1}


def table2_row(
    ways: Sequence[WayScores], held_out: Mapping[str, Features] | None, missing: Mapping[str, str]
) -> dict[str, Metric]:
    """Row of Table 2: means over pairs of subjects; the distances of sets are of all their pictures from a held-out
    synthetic set.

    Args:
        held_out: features of the held-out set by the name of the Fréchet distance; None where there is no such set.
    """
    row: dict[str, Metric] = {}
    for frechet, kernel in SPACES:
        row[f"{frechet}_syn"], row[f"{kernel}_syn"] = _sets(ways, held_out, frechet, missing)
    for name in WAYS:
        hundred = name in _HUNDREDFOLD
        found = _over(name, [way.values for way in ways], missing, 100.0 if hundred else 1.0)
        row[f"100 · {name}" if hundred else name] = found
    return row


def _sets(
    ways: Sequence[WayScores], held_out: Mapping[str, Features] | None, space: str, missing: Mapping[str, str]
) -> tuple[Metric, Metric]:
    if space in missing:
        return Metric(None, missing[space]), Metric(None, missing[space])
    if held_out is None or not ways:
        return Metric(float("nan")), Metric(float("nan"))
    shown = np.concatenate([way.features[space] for way in ways])
    value, deviation = kernel_distance(held_out[space], shown)
    half = 1.96 * deviation
    kernel = Metric(value, low=value - half, high=value + half) if half else Metric(value)
    return Metric(frechet_distance(held_out[space], shown)), kernel


def _over(name: str, pieces: Sequence[Mapping[str, float]], missing: Mapping[str, str], factor: float = 1.0) -> Metric:
    if name in missing:
        return Metric(None, missing[name])
    values = factor * np.array([piece[name] for piece in pieces if not np.isnan(piece[name])])
    if not len(values):
        return Metric(float("nan"))
    low, high = interval(values)
    return Metric(float(values.mean()), low=low, high=high)


def interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of values [n]."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)

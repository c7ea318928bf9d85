"""Training curves as one picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perse.shapes import Picture


def plot_curves(curves: Mapping[str, Sequence[tuple[float, float]]], *, columns: int = 3) -> Picture:
    """Picture of training curves: small multiples, one panel a curve.

    Args:
        curves: name → (step, value) pairs in any order; empty curves are left out.

    Returns:
        [h, w, 3] uint8 RGB.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {name: sorted(points) for name, points in curves.items() if points}
    if not panels:
        raise ValueError("there is no curve to draw")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.6 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, points) in zip(axes, panels.items(), strict=False):
        steps, values = np.asarray(points, np.float64).T
        axis.plot(steps, values, color="#9bb8d9", linewidth=0.8)
        axis.plot(steps, _smooth(values), color="#1f4e8c", linewidth=1.6)
        axis.set_title(name, fontsize=10, loc="left")
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moving average over a twentieth of the curve, shorter at its ends."""
    window = max(1, len(values) // 20)
    kernel = np.ones(window)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")

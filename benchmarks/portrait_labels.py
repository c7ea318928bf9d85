"""How well a parser agrees with the parts that a person drew (`perse.training.parsing.part_polygons`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import PartMasks
from perse.tracking.kinds import KIND_PARTS

CLASSES: dict[str, tuple[Part, ...]] = {kind.name.lower(): parts for kind, parts in KIND_PARTS.items()}
"""What is compared, and the parts that each class gathers."""


def class_ious(masks: PartMasks, wanted: NDArray[np.int16]) -> dict[str, float | None]:
    """Intersection over union of every class; None where neither the person nor the parser saw any."""
    known = wanted >= 0
    found = np.zeros(wanted.shape, np.int16)
    for index, parts in enumerate(CLASSES.values()):
        found[np.isin(masks.labels, parts)] = index
    ious: dict[str, float | None] = {}
    for index, name in enumerate(CLASSES):
        a, b = (found == index) & known, (wanted == index) & known
        together = int((a | b).sum())
        # Flecks where the person drew none are no class of their own: below 0.1 % of the picture.
        ious[name] = None if together < 0.001 * known.sum() else float((a & b).sum() / together)
    return ious


def iou_table(by_picture: dict[str, dict[str, float | None]]) -> str:
    """All pictures and their means as Markdown."""
    lines = ["| parts, IoU | " + " | ".join(CLASSES) + " |", "|---" * (len(CLASSES) + 1) + "|"]
    for name, ious in by_picture.items():
        lines.append(f"| {name} | " + " | ".join(_number(ious[part]) for part in CLASSES) + " |")
    means = []
    for part in CLASSES:
        values = [value for ious in by_picture.values() if (value := ious[part]) is not None]
        means.append(_number(float(np.mean(values)) if values else None))
    return "\n".join([*lines, "| **mean** | " + " | ".join(means) + " |"])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

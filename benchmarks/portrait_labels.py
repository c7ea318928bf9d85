"""Parts of pictures as a person drew them, to measure a parser by: polygons in JSON, tied to a picture by its digest.

The file holds no picture: ``{"pictures": [{"name", "sha256", "polygons": [{"part", "points": [[x, y], …]}, …]}, …]}``,
points in pixels of the photograph, later polygons over earlier ones, the rest is background. Parts are drawn as
coarsely as they are compared: "skin" is the whole face, neck, ears and hands.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import PartMasks
from perse.tracking.crop import FADE_WIDTHS, Crop, CropConfig

CLASSES: dict[str, tuple[Part, ...]] = {
    "background": (Part.BACKGROUND,),
    "skin": (Part.SKIN, Part.BROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.EARS, Part.NECK),
    "hair": (Part.HAIR,),
    "beard": (Part.BEARD,),
    "clothes": (Part.CLOTHES,),
    "headwear": (Part.HEADWEAR,),
}
"""What is compared, and the parts that each class gathers."""

IGNORED = "ignore"
"""A polygon of this name is left out of the comparison: nobody could say what it is."""


@dataclass(frozen=True)
class PortraitLabels:
    """The polygons of one picture: (class, points [n, 2]) in painting order."""

    name: str
    sha256: str
    polygons: tuple[tuple[str, NDArray[np.float32]], ...]

    def matches(self, path: Path) -> bool:
        """Whether the file is the picture that was labelled."""
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256

    def in_crop(self, crop: Crop) -> NDArray[np.int16]:
        """Class numbers over a crop [s, s]; −1 where nothing can be compared."""
        numbers = {name: index for index, name in enumerate(CLASSES)} | {IGNORED: -1}
        labels = np.zeros(crop.inside.shape, np.int16)
        for name, points in self.polygons:
            fixed = np.round((crop.points(points) - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(labels, [fixed], numbers[name], shift=4)
        # Towards the photograph's border the person fades out on purpose.
        away = cv2.distanceTransform(np.pad((crop.inside > 0).astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)
        labels[away[1:-1, 1:-1] <= FADE_WIDTHS * crop.inside.shape[1] / CropConfig().widths] = -1
        return labels


def read_labels(path: Path) -> list[PortraitLabels]:
    """Read the file; see the module for its form."""
    pictures = json.loads(path.read_text())["pictures"]
    return [
        PortraitLabels(
            picture["name"],
            picture["sha256"],
            tuple((polygon["part"], np.array(polygon["points"], np.float32)) for polygon in picture["polygons"]),
        )
        for picture in pictures
    ]


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

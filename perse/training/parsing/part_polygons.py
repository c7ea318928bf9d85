"""Parts of pictures as a person drew them: polygons in JSON, tied to a picture by its digest.

The file holds no picture: ``{"pictures": [{"name", "sha256", "polygons": [{"part", "points": [[x, y], …]}, …]}, …]}``,
points in pixels of the photograph, later polygons over earlier ones, the rest is background. Parts are the kinds that
parsers tell apart: "skin" is the whole face, neck, ears and hands.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Int16
from numpy.typing import NDArray

from perse.errors import InputError
from perse.tracking.crop import FADE_WIDTHS, Crop, CropConfig
from perse.tracking.kinds import PixelKind

IGNORED = "ignore"
"""A polygon of this name is left out: nobody could say what it is."""


@dataclass(frozen=True)
class PortraitLabels:
    """Polygons of one picture: (kind, points [n, 2]) in painting order."""

    name: str
    sha256: str
    polygons: tuple[tuple[str, Float32[NDArray[np.float32], "_ 2"]], ...]

    def matches(self, path: Path) -> bool:
        """Whether the file is the picture that was labelled."""
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256

    def in_crop(self, crop: Crop) -> Int16[NDArray[np.int16], "s s"]:
        """Kinds over a crop [s, s]; −1 where nothing can be compared."""
        numbers = {kind.name.lower(): int(kind) for kind in PixelKind} | {IGNORED: -1}
        labels = np.zeros(crop.inside.shape, np.int16)
        for name, points in self.polygons:
            fixed = np.round((crop.points(points) - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(labels, [fixed], numbers[name], shift=4)
        # Towards the photograph's border the person fades out on purpose.
        away = cv2.distanceTransform(np.pad((crop.inside > 0).astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)
        labels[away[1:-1, 1:-1] <= FADE_WIDTHS * crop.inside.shape[1] / CropConfig().widths] = -1
        return labels


def read_labels(path: Path) -> list[PortraitLabels]:
    """Labels in a file; see the module for its form.

    Raises:
        InputError: it is missing, or has another form.
    """
    try:
        pictures = json.loads(path.read_text())["pictures"]
        return [
            PortraitLabels(
                picture["name"],
                picture["sha256"],
                tuple((polygon["part"], np.array(polygon["points"], np.float32)) for polygon in picture["polygons"]),
            )
            for picture in pictures
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the labels {path} cannot be read: {error}; see benchmarks/portrait_parts.json") from None

"""Sources of portraits whose parts are known, from which all others are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from perse.data.images import read_portrait
from perse.errors import InputError
from perse.head import HeadModel
from perse.tracking import MediapipeTracker, MediapipeTrackerConfig
from perse.tracking.parser import ProceduralParser
from perse.training.parsing.painting import LabelledPortrait
from perse.training.parsing.part_polygons import PortraitLabels, read_labels


@dataclass(frozen=True, kw_only=True)
class PortraitSources:
    """Sources of portraits. Two are always there: the sample portrait and matplotlib's Grace Hopper, an officer in a
    cap. On both the colour models' parts were looked at and are right."""

    folder: str = ""
    """Folder with more photographs."""
    labels: str = ""
    """JSON with their parts, see `perse.training.parsing.part_polygons`; other pictures are left out."""

    def load(self, head: HeadModel) -> list[LabelledPortrait]:
        """Portraits of all sources, those of packages first, the folder's by name.

        Raises:
            InputError: the folder has no picture that the labels know.
        """
        tracker = MediapipeTracker(MediapipeTrackerConfig(), head)
        found = [_by_colors(tracker, name, image) for name, image in packaged_portraits().items()]
        if self.folder:
            labels = read_labels(Path(self.labels))
            pictures = [path for path in sorted(Path(self.folder).glob("*")) if path.is_file()]
            drawn = [(path, label) for path in pictures for label in labels if label.matches(path)]
            if not drawn:
                raise InputError(f"{self.labels} knows no picture of {self.folder}; it holds their SHA-256 digests")
            found += [_by_hand(tracker, path, label) for path, label in drawn]
        return found


def packaged_portraits() -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """Photographs that packages ship, both in the public domain."""
    import matplotlib
    import skimage.data

    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {"astronaut": np.asarray(skimage.data.astronaut()), "hopper": read_portrait(hopper)}


def packaged_walls() -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
    """Photographs without people, for backgrounds."""
    import skimage.data

    colored = (skimage.data.coffee, skimage.data.rocket, skimage.data.chelsea)
    gray = (skimage.data.brick, skimage.data.grass, skimage.data.gravel)
    return tuple(np.asarray(load()) for load in colored) + tuple(
        np.repeat(np.asarray(load())[..., None], 3, -1) for load in gray
    )


def _by_colors(tracker: MediapipeTracker, name: str, image: UInt8[np.ndarray, "h w 3"]) -> LabelledPortrait:
    located = tracker.locate(image)
    crop = located.crop
    found = ProceduralParser().find(crop.image, located.landmarks_px, crop.inside)
    kinds = found.shares.argmax(0).astype(np.int16)
    kinds[crop.inside == 0] = -1
    return LabelledPortrait(crop.image, kinds, located.landmarks_px, name)


def _by_hand(tracker: MediapipeTracker, path: Path, label: PortraitLabels) -> LabelledPortrait:
    located = tracker.locate(read_portrait(path))
    return LabelledPortrait(located.crop.image, label.in_crop(located.crop), located.landmarks_px, path.stem)

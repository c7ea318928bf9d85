"""What a teacher draws between two subjects: one pair a category, nine steps, as a picture and in numbers.

    python -m benchmarks.morph_pictures runs/demo pictures.jpg [--teacher redraw] [--frame 0] [--pair 0] [--all]

Of a finished workspace's subjects the chosen pair of each category, in one frame of the shared motion. Beside the
picture: seconds a picture, and of the way the sum and the deviation of the distances between neighbours (multi-scale
L1; 1 is a cross-fade's sum). With `--all`, the numbers are the means over all pairs of a category.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import combinations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data import archive
from perse.data.workspace import Workspace
from perse.evaluation import multi_scale_distance
from perse.evaluation.interpolations import path_scores
from perse.head.embedded import embedded_head
from perse.morphing import FrameOrigin, MorphEnd, Morpher, RedrawMorpherConfig, WarpMorpherConfig, morph_end

STEPS = tuple(k / 8 for k in range(9))
TEACHERS: dict[str, WarpMorpherConfig | RedrawMorpherConfig] = {
    "warp": WarpMorpherConfig(),
    "redraw": RedrawMorpherConfig(),
}


def subjects_of(workspace: Workspace, frame_number: int) -> Iterator[tuple[Category, MorphEnd]]:
    """Everybody in one frame."""
    head = embedded_head()
    for found in workspace.manifest("synthesize")["result"]["subjects"]:  # type: ignore[index]
        file = archive.open_clip(workspace, found["clip"])
        row = file.frame_numbers.tolist().index(frame_number)
        category = Category(found["prompt"]["category"])
        yield category, morph_end(file.clip(row), category, head, FrameOrigin(workspace, found["clip"], frame_number))


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("workspace")
    parse.add_argument("picture")
    parse.add_argument("--teacher", choices=(*TEACHERS, "both"), default="both")
    parse.add_argument("--frame", type=int, default=0)
    parse.add_argument("--pair", type=int, default=0)
    parse.add_argument("--all", action="store_true")
    parse.add_argument("--categories", nargs="*", default=[category.value for category in Category])
    given = parse.parse_args()
    ends: dict[Category, list[MorphEnd]] = {}
    for category, end in subjects_of(Workspace.existing(given.workspace), given.frame):
        ends.setdefault(category, []).append(end)
    names = list(TEACHERS) if given.teacher == "both" else [given.teacher]
    teachers: dict[str, Morpher] = {name: TEACHERS[name].build() for name in names}
    rows = []
    for category in map(Category, given.categories):
        pairs = list(combinations(ends.get(category, []), 2))
        for name, teacher in teachers.items():
            if pairs:
                chosen = pairs[given.pair % len(pairs)]
                rows.append(strip(teacher, *chosen))
                print(f"{category.value:11s} {name:7s}", scores(teacher, pairs if given.all else [chosen]), flush=True)
    picture = np.concatenate(rows)
    cv2.imwrite(given.picture, picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])


def strip(teacher: Morpher, first: MorphEnd, second: MorphEnd) -> NDArray[np.uint8]:
    """The nine pictures side by side: [h, 9 w, 3]."""
    return np.concatenate(list(teacher.morph(first, second, STEPS).images), 1)


def scores(teacher: Morpher, pairs: list[tuple[MorphEnd, MorphEnd]]) -> str:
    """Means over pairs."""
    found: list[tuple[float, float]] = []
    start = time.perf_counter()
    for first, second in pairs:
        path = torch.from_numpy(teacher.morph(first, second, STEPS).images).float() / 255
        found.append(path_scores(path, multi_scale_distance))
    total, deviation = np.nanmean(found, 0)
    each = (time.perf_counter() - start) / len(pairs) / (len(STEPS) - 2)
    return f"sum {total:.3f}, deviation {deviation:.4f}, {1e3 * each:.0f} ms a picture"


if __name__ == "__main__":
    main()

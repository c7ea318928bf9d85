"""The tile lists against a few lines of numpy, whole and cut into chunks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.render.binning_kernels import SLOT, SPLAT, list_tiles
from perse.render.projection_kernels import NOT_DRAWN

ACROSS, DOWN = 7, 5


def scene(frames: int, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Depths and packed boxes, many of them equally deep, some not drawn."""
    rng = np.random.default_rng(seed)
    depths = rng.choice(rng.uniform(0.02, 30, 400).astype(np.float32), (frames, count))
    boxes = []
    for limit in (ACROSS, DOWN):
        first = rng.integers(0, limit, (frames, count))
        boxes.append(first | np.minimum(first + rng.integers(1, limit, (frames, count)), limit) << 16)
    hidden = rng.random((frames, count)) < 0.2
    depths[hidden] = NOT_DRAWN
    for box in boxes:
        box[hidden] = 0
    return depths, boxes[0].astype(np.int32), boxes[1].astype(np.int32)


def expected_lists(depths: NDArray, columns: NDArray, rows: NDArray) -> list[list[int]]:  # type: ignore[type-arg]
    frames, count = depths.shape
    lists: list[list[int]] = [[] for _ in range(frames * ACROSS * DOWN)]
    for f in range(frames):
        for i in np.argsort(depths[f], kind="stable"):
            for y in range(rows[f, i] & 0xFFFF, rows[f, i] >> 16):
                for x in range(columns[f, i] & 0xFFFF, columns[f, i] >> 16):
                    lists[(f * DOWN + y) * ACROSS + x].append(f * count + int(i))
    return lists


@pytest.mark.parametrize("chunks", [1, 2, 5])
@pytest.mark.parametrize(("frames", "count"), [(1, 640), (3, 96)])
def test_tiles_list_their_splats_front_to_back(frames: int, count: int, chunks: int) -> None:
    depths, columns, rows = scene(frames, count, seed=count)
    members, starts, slot_starts = list_tiles(depths, columns, rows, ACROSS, DOWN, chunks)
    found = [members[a:b, SPLAT].tolist() for a, b in itertools.pairwise(starts)]
    assert found == expected_lists(depths, columns, rows)
    # Every pair owns a slot, and a splat's lie side by side.
    assert sorted(members[:, SLOT]) == list(range(len(members)))
    owners = np.searchsorted(slot_starts, members[:, SLOT], side="right") - 1
    np.testing.assert_array_equal(owners, members[:, SPLAT])


@pytest.mark.parametrize("depth", [NOT_DRAWN, 1.0])
def test_frames_without_anything_to_sort(depth: float) -> None:
    depths = np.full((2, 32), depth, np.float32)
    box = np.full((2, 32), 0 if depth == NOT_DRAWN else 1 << 16, np.int32)
    members, starts, _ = list_tiles(depths, box, box, ACROSS, DOWN, 2)
    assert members[:, SPLAT].tolist() == ([] if depth == NOT_DRAWN else list(range(64)))
    assert starts[-1] == len(members)

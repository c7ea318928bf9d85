"""A cloth over the hair: one line around the head, also where the cloth lies in shade."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from tolerances import PIXELS

from perse.tracking.frame import FaceCoordinates
from perse.tracking.layered import _best_line, _off_the_skull, _pixel_of, _without_holes, cloth_over_hair

CLOTH, SHADE, HAIR, SKIN, SHIRT, WALL = (72, 4, 18), (32, 3, 9), (14, 5, 6), (68, 14, 18), (40, 40, 20), (10, 3, 4)
SIZE, WIDTH = 256, 62.0


def frame() -> FaceCoordinates:
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    across, down = (columns - 128) / WIDTH, (rows - 110) / WIDTH
    return FaceCoordinates(WIDTH, across, down, chin=0.75, nose=0.35, mouth=0.52, brow=-0.18)


def veiled() -> tuple[NDArray[np.float32], dict[str, NDArray[np.bool_]]]:
    """CIELAB picture and its regions: the cloth's inside on one side of the face is in shade."""
    f = frame()
    head = np.hypot(f.across / 0.8, f.down / 1.05) < 1
    below = (f.down >= 0) & (np.abs(f.across) < 0.8 + 0.2 * f.down)
    skull = np.hypot(f.across / 0.58, (f.down + 0.1) / 0.72) < 1
    face = np.hypot(f.across / 0.45, (f.down - 0.15) / 0.62) < 1
    throat = (f.down > 0.5) & (np.abs(f.across) < 0.3)
    person = head & (f.down < 0) | below
    skin = (face | throat) & (f.down < 1.1)
    hair = skull & ~face & (f.down < 0.1)
    shirt = person & (f.down > 1.1) & (np.abs(f.across) < 0.45)
    cloth = person & ~skin & ~hair & ~shirt
    shade = cloth & (f.across < -0.4) & (f.across > -0.62) & (f.down > -0.3)
    lab = np.empty((SIZE, SIZE, 3), np.float32)
    lab[:] = WALL
    for where, color in ((cloth, CLOTH), (shade, SHADE), (hair, HAIR), (skin, SKIN), (shirt, SHIRT)):
        lab[where] = color
    lab += np.random.default_rng(0).normal(0, 2, lab.shape).astype(np.float32)
    regions = {"person": person, "skin": skin, "hair": hair, "shirt": shirt, "cloth": cloth, "shade": shade}
    return lab, regions


def test_lit_and_shaded_cloth_is_found_and_neither_hair_nor_shirt() -> None:
    lab, at = veiled()
    f = frame()
    top = f.down < f.brow - 0.05
    person, skin = at["person"].astype(np.float32), at["skin"].astype(np.float32)
    found = cloth_over_hair(lab, person, skin, at["cloth"] & top & ~at["shade"], at["hair"] & top, f)
    assert at["shade"].sum() > 300
    assert found[at["cloth"]].mean() > 0.9 and found[at["shade"]].mean() > 0.8
    assert found[at["hair"]].mean() < 0.15
    assert found[at["shirt"]].mean() < 0.05 and found[at["skin"]].mean() < 0.05
    assert found[~at["person"]].mean() < 0.02


def test_the_best_line_is_the_best_of_all() -> None:
    """Against every line there is."""
    gain = np.random.default_rng(1).normal(0, 8, (4, 5)).astype(np.float32)

    def worth(line: tuple[int, ...]) -> float:
        steps = sum(abs(a - b) for a, b in itertools.pairwise(line))
        return float(sum(gain[n, step] for n, step in enumerate(line)) - 6.0 * steps)

    best = max(itertools.product(range(5), repeat=4), key=worth)
    assert tuple(_best_line(gain)) == best


def test_places_of_a_turned_face_come_back() -> None:
    rows, columns = np.mgrid[:40, :40].astype(np.float32)
    turned = FaceCoordinates(10.0, (0.8 * columns + 0.6 * rows - 20) / 10, (0.8 * rows - 0.6 * columns) / 10,
                             0.75, 0.35, 0.5, -0.2)  # fmt: skip
    x, y = _pixel_of(turned.across, turned.down, turned)
    np.testing.assert_allclose(x, columns, atol=PIXELS)
    np.testing.assert_allclose(y, rows, atol=PIXELS)


def test_hair_is_believed_on_the_skull() -> None:
    f, against = frame(), _off_the_skull(frame())
    assert against[(np.hypot(f.across, f.down) < 0.5) & (f.down < 0)].max() == 0
    assert against[(np.abs(f.across) > 0.9) & (np.abs(f.down) < 0.3)].min() > 2


def test_pieces_that_the_cloth_encloses_are_its_folds() -> None:
    free = np.zeros((100, 100), bool)
    free[10:90, 10:90] = True
    cloth = free.copy()
    cloth[30:40, 30:40] = False  # a fold
    cloth[60:90, 50:90] = False  # a garment, at the person's edge
    after = _without_holes(cloth, free, 100.0)
    assert after[30:40, 30:40].all()
    np.testing.assert_array_equal(after[60:90, 50:90], False)
    assert not after[~free].any()

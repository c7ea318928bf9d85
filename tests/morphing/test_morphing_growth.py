"""What one end lacks is pulled out of what both have, whole, at an even pace."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Category
from perse.morphing import MorphEnd, WarpMorpherConfig
from perse.morphing.correspondence import sampled
from perse.morphing.growth import Core, Uncovering, growth_of

ROWS, COLUMNS = np.mgrid[:96, :96]
DOME = (ROWS - 48) ** 2 + (COLUMNS - 48) ** 2 < 16**2
BRIM = DOME | ((abs(ROWS - 52) < 5) & (abs(COLUMNS - 48) < 34))
ROUND_BRIM = BRIM & ~((abs(COLUMNS - 48) > 29) & (np.hypot(ROWS - 52, abs(COLUMNS - 48) - 29) > 5))


def pulled(core: Core, whole: NDArray[np.bool_], growth: float) -> NDArray[np.bool_]:
    return sampled(whole.astype(np.float32), core.pulled(growth)) > 0.5


def width(shape: NDArray[np.bool_], row: int = 52) -> int:
    columns = np.flatnonzero(shape[row])
    return int(columns.max() - columns.min() + 1)


def test_a_brim_grows_in_length_and_keeps_its_breadth() -> None:
    core = Core.of(DOME, ROUND_BRIM, DOME.shape[1])
    assert core is not None
    widths = [width(pulled(core, ROUND_BRIM, growth)) for growth in (0.25, 0.5, 0.75, 1.0)]
    assert widths == sorted(widths) and widths[-1] == width(ROUND_BRIM)
    # Linear in the growth: the ends' distance from the dome is the growth's share of the brim's.
    assert widths[1] == pytest.approx((width(DOME) + width(ROUND_BRIM)) / 2, abs=3)
    breadths = pulled(core, ROUND_BRIM, 0.5)[:, 48 + 18 :].sum(0)
    tip = np.flatnonzero(breadths)[-1]
    assert 0 < breadths[tip] < breadths[tip - 2], "its end is round, not cut off"
    assert breadths[: tip - 1].min() >= 0.7 * ROUND_BRIM[:, 48 + 24].sum()


def test_inside_of_the_core_nothing_moves() -> None:
    core = Core.of(DOME, BRIM, DOME.shape[1])
    assert core is not None
    assert not core.away[DOME].any() and core.inside[DOME].min() == 1


def test_equal_shapes_have_nothing_to_pull() -> None:
    core = Core.of(BRIM, BRIM, BRIM.shape[1])
    assert core is not None and np.array_equal(pulled(core, BRIM, 0.2), BRIM)


def test_nothing_in_common_has_no_core() -> None:
    assert Core.of(DOME, np.zeros_like(DOME), DOME.shape[1]) is None


def test_equal_areas_in_equal_times() -> None:
    ring = (ROWS - 48) ** 2 + (COLUMNS - 48) ** 2 < 36**2
    core = Core.of(DOME, ring, DOME.shape[1])
    assert core is not None
    areas = core.areas(ring.astype(np.float32))
    shown = [pulled(core, ring, growth_of(areas, share)).sum() - DOME.sum() for share in (0.25, 0.5, 0.75)]
    whole = ring.sum() - DOME.sum()
    # A growth of one pixel at the ring's outer edge is 6 % of its area.
    assert [area / whole for area in shown] == pytest.approx([0.25, 0.5, 0.75], abs=0.06)
    # A linear growth would show less than half of the area half way.
    assert growth_of(areas, 0.5) > 0.55


def end(hat: NDArray[np.bool_], category: Category | None = Category.HAT) -> MorphEnd:
    head = (ROWS - 70) ** 2 + (COLUMNS - 48) ** 2 < 18**2
    image = np.full((96, 96, 3), 255, np.uint8)
    image[head] = (200, 160, 140)
    image[hat] = (30, 60, 150)
    alpha = np.where(head | hat, 255, 0).astype(np.uint8)
    return MorphEnd(image, alpha, hat, np.zeros((0, 2), np.float32), category)


def test_half_way_a_hat_has_half_a_brim_and_no_halo() -> None:
    morph = WarpMorpherConfig().build().morph(end(DOME), end(ROUND_BRIM), [0.25, 0.5, 0.75])
    assert morph.shapes is not None
    widths = [width(shape) for shape in morph.shapes]
    assert width(DOME) < widths[0] < widths[1] < widths[2] < width(ROUND_BRIM)
    for shape, alpha, image in zip(morph.shapes, morph.alphas, morph.images, strict=True):
        inner = shape & (np.roll(shape, 2, 0) & np.roll(shape, -2, 0) & np.roll(shape, 2, 1) & np.roll(shape, -2, 1))
        assert alpha[inner].min() == 255, "nothing shines through the hat"
        assert np.abs(image[inner].astype(int) - (30, 60, 150)).max() <= 6
    # What is no hat is what it was: a dissolve would leave a pale brim all the way.
    beside = ROUND_BRIM & ~DOME & (abs(COLUMNS - 48) > 31)
    assert morph.alphas[0][beside].max() < 30


def test_features_of_the_face_do_not_grow() -> None:
    mouths = [end(shape, Category.MOUTH) for shape in (DOME, ROUND_BRIM)]
    hats = [end(shape) for shape in (DOME, ROUND_BRIM)]
    morpher = WarpMorpherConfig().build()
    assert not np.array_equal(morpher.morph(*mouths, [0.5]).images, morpher.morph(*hats, [0.5]).images)


def bearded(length: int, width: int = 40) -> MorphEnd:
    """A face with a white stripe of hair below its nose that hangs down over a black collar; each row has its own
    grey."""
    image = np.full((96, 96, 3), 170, np.uint8)
    image[70:] = 20
    beard = np.zeros((96, 96), bool)
    beard[40 : 40 + length, 48 - width // 2 : 48 + width // 2] = True
    image[beard] = np.broadcast_to((200 + ROWS % 8 * 6)[..., None], image.shape)[beard]
    return MorphEnd(image, np.full((96, 96), 255, np.uint8), beard, np.zeros((0, 2), np.float32), Category.BEARD)


def test_a_beard_stays_where_it_grows() -> None:
    """Each hair that is there in full has its own place: none of it is drawn up to the lip."""
    long, short = bearded(46), bearded(8)
    morph = WarpMorpherConfig().build().morph(long, short, [0.2, 0.4, 0.6, 0.8])
    assert morph.shapes is not None
    heights = [int(shape[:, 48].sum()) for shape in morph.shapes]
    assert heights == sorted(heights, reverse=True) and 8 <= heights[-1] < heights[0] < 46
    for image, height in zip(morph.images, heights, strict=True):
        # Half of the soft edge lies above the height at which half of it shows.
        whole = slice(49, max(49, 40 + height - 6))
        assert np.abs(image[whole, 48].astype(int) - long.image[whole, 48]).max(initial=0) <= 6


def test_a_beard_ends_softly() -> None:
    """It thins out: the steepest step down its middle is far less than that from white hair to a black collar."""
    image = WarpMorpherConfig().build().morph(bearded(50), bearded(8), [0.3]).images[0]
    down = image[44:, 48, 0].astype(int)
    assert down[0] > 190 and down[-1] < 30
    # 200 grey levels over 0.08 of 96 pixels are 26 a pixel, and the hair's own greys differ by 42.
    assert np.abs(np.diff(down)).max() < 26 + 42


def test_what_is_seen_more_takes_longer() -> None:
    """White hair before a black collar counts more than before a cheek: steps look equally large."""
    core = Core.of(bearded(8).shape, bearded(50).shape, 96)
    assert core is not None
    there = bearded(50).shape.astype(np.float32)
    seen = there * np.where(ROWS < 70, 1, 9).astype(np.float32)
    even, weighed = (Uncovering.of(core, weights, 96) for weights in (there, seen))
    assert (weighed.shown(0.5) * there).sum() > 1.2 * (even.shown(0.5) * there).sum()
    # 33 edges over 50 pixels: between two of them the area is taken as straight.
    for order, weights in ((even, there), (weighed, seen)):
        outside = weights * (core.away != 0).any(-1)
        for share in (0.25, 0.5, 0.75):
            assert (order.shown(share) * outside).sum() / outside.sum() == pytest.approx(share, abs=0.02)

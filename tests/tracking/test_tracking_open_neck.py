"""Skin that goes on below the throat."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.tracking.frame import FaceCoordinates
from perse.tracking.open_neck import skin_below_throat

FACE, CHEST, DRESS = (70.0, 14, 18), (90.0, 15, 22), (15.0, 0, 0)
COLLAR = (85.0, 0, 2)


def _frame(size: int, width_px: float) -> FaceCoordinates:
    rows, columns = np.mgrid[:size, :size].astype(np.float32) + 0.5
    across, down = (columns - size / 2) / width_px, (rows - 0.35 * size) / width_px
    return FaceCoordinates(width_px, across, down, chin=0.75, nose=0.35, mouth=0.52, brow=-0.18)


def _painted(regions: list[tuple[NDArray[np.bool_], tuple[float, float, float]]]) -> NDArray[np.float32]:
    lab = np.zeros((*regions[0][0].shape, 3), np.float32)
    for where, tone in regions:
        lab[where] = tone
    return (lab + np.random.default_rng(0).normal(0, 1, lab.shape)).astype(np.float32)


@pytest.mark.parametrize(("collar", "goes_on"), [(None, True), (COLLAR, False)])
def test_skin_goes_on_below_the_throat_up_to_an_edge(collar: tuple[float, float, float] | None, goes_on: bool) -> None:
    """A chest in the light is far from the cheeks' colour; a collar that closes the throat keeps it away."""
    small = _frame(192, 60.0)
    frame = FaceCoordinates(120.0, small.across, small.down, small.chin, small.nose, small.mouth, small.brow)
    across, down = np.abs(small.across), small.down
    face = (np.hypot(small.across / 0.5, (down - 0.1) / 0.7) < 1) | ((across < 0.3) & (down > 0.1) & (down < 1.0))
    below = (down >= 0.9) & (across < 1.2)
    chest = below & (across < 0.6) & (down < 1.5)
    regions = [(below, DRESS), (chest, CHEST), (face & (down < 0.9), FACE)]
    if collar is not None:
        regions.append(((down > 0.72) & (down < 1.0) & (across < 0.5), collar))
    # Light rises softly from the throat to the chest; a hem does not.
    lab = _painted(regions)
    if collar is None:
        rise = np.clip((down - 0.75) / 0.3, 0, 1)[..., None]
        between = (chest | face) & (down > 0.75)
        soft = (1 - rise) * np.array(FACE) + rise * np.array(CHEST)
        lab[between] = soft[between]
    seeds = face & (down > 0.1) & (down < 0.35)
    found = skin_below_throat(lab, face | below, seeds, np.zeros_like(seeds), small.across, down, frame)
    inner = chest & (across < 0.5) & (down > 1.1) & (down < 1.4)
    assert (found[inner].mean() > 0.95) == goes_on and not found[down < 0.75].any()
    assert found[below & ~chest].mean() < 0.01


def test_black_cloth_that_keeps_the_skins_proportions_is_no_neckline() -> None:
    small = _frame(192, 60.0)
    frame = FaceCoordinates(120.0, small.across, small.down, small.chin, small.nose, small.mouth, small.brow)
    face = np.hypot(small.across / 0.5, (small.down - 0.1) / 0.62) < 1
    dress = small.down > frame.chin
    lab = _painted([(dress, (15.0, 4.1, 5.3)), (face, FACE)])  # (15 + 8) / (70 + 8) of the face's a* and b*
    seeds = face & (small.down > 0.1) & (small.down < 0.35)
    assert not skin_below_throat(lab, face | dress, seeds, np.zeros_like(seeds), small.across, small.down, frame).any()


def test_a_grey_picture_says_nothing_about_necklines() -> None:
    small = _frame(192, 60.0)
    frame = FaceCoordinates(120.0, small.across, small.down, small.chin, small.nose, small.mouth, small.brow)
    everywhere = np.ones(small.down.shape, np.bool_)
    lab = _painted([(everywhere, (60.0, 0, 0))])
    seeds = (small.down > 0.1) & (small.down < 0.35) & (np.abs(small.across) < 0.36)
    assert not skin_below_throat(lab, everywhere, seeds, np.zeros_like(seeds), small.across, small.down, frame).any()


@pytest.mark.parametrize(("tone", "goes_on"), [((50.0, 11, 15), False), ((18.0, 3, 4), True)])
def test_fair_hair_beside_the_throat_is_no_chest(tone: tuple[float, float, float], goes_on: bool) -> None:
    """It keeps the skin's proportions of colours, and hangs where a chest would be: nothing is said of either then."""
    small = _frame(192, 60.0)
    frame = FaceCoordinates(120.0, small.across, small.down, small.chin, small.nose, small.mouth, small.brow)
    across, down = np.abs(small.across), small.down
    face = (np.hypot(small.across / 0.5, (down - 0.1) / 0.7) < 1) | ((across < 0.3) & (down > 0.1) & (down < 1.0))
    strands = (across > 0.3) & (across < 0.7) & (down > -0.4) & ~face
    chest = (down >= 1.0) & (across < 0.3)
    lab = _painted([(face, FACE), (strands, tone), (chest, FACE)])
    seeds, hair = face & (down > 0.1) & (down < 0.35), strands & (down < 0.35)
    found = skin_below_throat(lab, face | strands | chest, seeds, hair, small.across, small.down, frame)
    assert not found[(across > 0.4) & (across < 0.6) & (down > 0.9)].any()
    assert (found[(across < 0.2) & (down > 1.1)].mean() > 0.9) == goes_on

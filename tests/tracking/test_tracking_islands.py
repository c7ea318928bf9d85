"""Small pieces of one kind inside another, and bare shoulders under hair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perse.tracking.bare_shoulders import bare_share
from perse.tracking.frame import FaceCoordinates
from perse.tracking.islands import without_islands
from perse.tracking.kinds import PixelKind


def shares(kinds: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.stack([(kinds == kind).astype(np.float32) for kind in PixelKind])


def test_islands_join_what_surrounds_them() -> None:
    kinds = np.full((100, 100), int(PixelKind.HAIR))
    kinds[60:] = PixelKind.CLOTHES
    kinds[20:26, 40:46] = PixelKind.CLOTHES  # cloth in the hair
    kinds[80:86, 10:16] = PixelKind.HAIR  # hair on the cloth, hanging on nothing
    kinds[75:80, 60:66] = PixelKind.SKIN
    after = without_islands(shares(kinds), 60.0)
    found = after.argmax(0)
    assert (found[:60] == PixelKind.HAIR).all() and (found[60:] == PixelKind.CLOTHES).all()
    np.testing.assert_allclose(after.sum(0), 1, atol=1e-6)  # float32: a sum of six shares


def test_what_a_person_wears_stays() -> None:
    """An ear among hair, a fringe on skin, a large piece, a piece in the open: nothing is touched, not even copied."""
    kinds = np.full((100, 100), int(PixelKind.HAIR))
    kinds[20:26, 40:46] = PixelKind.SKIN
    kinds[60:] = PixelKind.SKIN
    kinds[70:74, 40:60] = PixelKind.HAIR
    kinds[30:50, 60:90] = PixelKind.CLOTHES
    kinds[:20, :20] = PixelKind.BACKGROUND
    kinds[5:9, 5:9] = PixelKind.HAIR
    before = shares(kinds)
    assert without_islands(before, 60.0) is before


def test_a_spot_of_light_on_a_forehead_is_no_hair() -> None:
    kinds = np.full((100, 100), int(PixelKind.SKIN))
    kinds[:30] = PixelKind.HAIR
    kinds[28:40, 10:16] = PixelKind.HAIR  # a fringe
    kinds[50:54, 40:60] = PixelKind.HAIR  # a strand
    spot = np.hypot(*(np.mgrid[:100, :100] - 70)) < 5
    kinds[spot] = PixelKind.HAIR
    found = without_islands(shares(kinds), 60.0).argmax(0)
    assert (found[spot] == PixelKind.SKIN).all()
    np.testing.assert_array_equal(found[~spot], kinds[~spot])


def test_skin_between_strands_is_given_back_and_fair_strands_are_not() -> None:
    rows, columns = np.mgrid[:128, :128].astype(np.float32)
    across, down = (columns - 64) / 40, (rows - 50) / 40
    frame = FaceCoordinates(80.0, across, down, chin=0.75, nose=0.35, mouth=0.52, brow=-0.18)
    rng = np.random.default_rng(0)
    for tone, gone in (((20, 6, 8), True), ((80, 9, 12), False)):
        lab = np.empty((128, 128, 3), np.float32)
        lab[:] = tone  # dark hair, then hair of the skin's own colour
        face = (np.abs(across) < 0.4) & (down > -0.3) & (down < 0.7)
        shoulder = (np.abs(across) > 0.7) & (np.abs(across) < 1.2) & (down > 0.9)
        lab[face | shoulder] = (80, 9, 12)
        lab += rng.normal(0, 1.5, lab.shape)
        hair = (~face).astype(np.float32)  # the shoulder is taken for hair
        found = bare_share(lab, hair, face & (down < 0.35), np.ones_like(hair), down, frame)
        inner = shoulder & (down > 1.0) & (np.abs(across) > 0.8) & (np.abs(across) < 1.1)
        assert (found[inner].mean() > 0.9) == gone
        assert found[(~shoulder) & (~face) & (down > 0.9) & (np.abs(across) < 0.5)].mean() < 0.05
        assert found[down < 0.5].max() < 0.01  # less than two 8-bit levels

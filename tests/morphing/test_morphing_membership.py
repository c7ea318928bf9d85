"""What lies between two masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tolerances import SINGLE, SINGLE_SUM

from perse.morphing.membership import firmness, membership

ROWS, COLUMNS = np.mgrid[:64, :64]
HEAD = ((ROWS - 40) ** 2 + (COLUMNS - 32) ** 2 < 14**2).astype(np.float32)
TALL = np.maximum(HEAD, ((ROWS > 8) & (ROWS < 40) & (abs(COLUMNS - 32) < 10)).astype(np.float32))
APART = ((ROWS - 10) ** 2 + (COLUMNS - 8) ** 2 < 5**2).astype(np.float32)


def _area(mask: NDArray[np.float32]) -> float:
    return float(mask.sum())


def test_area_grows_at_an_even_pace() -> None:
    areas = [_area(membership(HEAD, TALL, t, 1.0)) for t in (0.2, 0.4, 0.6, 0.8)]
    expected = [_area(HEAD) + t * (_area(TALL) - _area(HEAD)) for t in (0.2, 0.4, 0.6, 0.8)]
    assert areas == pytest.approx(expected, rel=0.05)  # pixels of an outline are counted whole


def test_growth_starts_at_what_both_have() -> None:
    early, late = membership(HEAD, TALL, 0.3, 1.0), membership(HEAD, TALL, 0.7, 1.0)
    assert early[25, 32] == 1 and early[10, 32] == 0
    assert (late >= early - 1e-6).all(), "what has grown stays"


def test_there_are_no_ghosts() -> None:
    grown = membership(HEAD, TALL, 0.5, 1.0)
    assert ((grown > 0.1) & (grown < 0.9)).sum() < 0.1 * _area(TALL)


@given(st.floats(0.01, 0.99))
def test_turning_around_changes_nothing(t: float) -> None:
    assert np.allclose(membership(HEAD, TALL, t, 1.0), membership(TALL, HEAD, 1 - t, 1.0), atol=SINGLE_SUM)


@given(st.floats(0.01, 0.99), st.floats(0, 1))
def test_equal_masks_stay(t: float, firm: float) -> None:
    assert np.allclose(membership(TALL, TALL, t, firm), TALL, atol=SINGLE)


def test_what_has_nothing_in_common_fades() -> None:
    assert firmness(HEAD > 0, APART > 0) == 0
    between = membership(HEAD, APART, 0.25, 1.0)
    assert between[40, 32] == pytest.approx(0.75) and between[10, 8] == pytest.approx(0.25)


def test_a_small_part_inside_a_large_one_grows() -> None:
    assert firmness(HEAD > 0, TALL > 0) == 1
    assert firmness(HEAD > 0, np.zeros_like(HEAD, bool)) == 0

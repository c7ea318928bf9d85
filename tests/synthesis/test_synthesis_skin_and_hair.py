"""What hardly anything is seen of is continued from what there is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from perse.synthesis.procedural.animator.skin_and_hair import _around, _within_person
from perse.tracking.crop import FADE_WIDTHS, surely_shown


@pytest.mark.parametrize("count", [0, 1, 3, 6, 20])
def test_values_are_continued_from_however_few_vertices_are_seen(count: int) -> None:
    """Under a cap two or three vertices of hair may be seen, as in Grace Hopper's portrait."""
    rng = np.random.default_rng(0)
    surface = SimpleNamespace(rest=rng.normal(size=(40, 3)), outer=np.ones(40, bool), average=sparse.eye(40).tocsr())
    known = np.zeros(40, np.float32)
    known[:count] = 4.0
    values = np.full((40, 3), 0.25, np.float32)
    values[count:] = 9.0  # of hidden ones: not to be believed
    found = _around(surface, values, known, rounds=1)  # type: ignore[arg-type]
    assert found.shape == (40, 3) and np.isfinite(found).all()
    if count:
        assert np.allclose(found, 0.25, atol=1e-5)


def test_no_bust_is_drawn_where_the_photograph_shows_background() -> None:
    """The lower neck's texels end there, front and back; what turns with the head stays, and so does what lies beyond
    the photograph's border, where nobody knows."""
    matte = np.zeros((64, 64), np.float32)
    matte[:, 20:] = 1
    surely = np.ones((64, 64), np.float32)
    surely[50:] = 0
    pixels = np.array([[[40.0, 30.0], [8.0, 30.0], [8.0, 58.0]]], np.float32)  # on the person, on the wall, beyond
    low, high = np.full((1, 3), 0.2, np.float32), np.full((1, 3), 0.95, np.float32)
    picture, texels = SimpleNamespace(matte=matte), SimpleNamespace(pixels=pixels)
    np.testing.assert_allclose(_within_person(picture, texels, low, surely), [[1, 0, 1]], atol=1e-3)  # type: ignore[arg-type]
    np.testing.assert_allclose(_within_person(picture, texels, high, surely), [[1, 1, 1]], atol=1e-3)  # type: ignore[arg-type]


def test_near_the_photographs_border_background_may_be_a_person_that_fades() -> None:
    inside = np.full((100, 100), 255, np.uint8)
    assert surely_shown(inside, 100.0).all()
    inside[60:] = 0
    shown = surely_shown(inside, 100.0)
    assert shown[: 60 - int(FADE_WIDTHS * 100) - 2].all() and not shown[60 - int(FADE_WIDTHS * 100) + 1 :].any()

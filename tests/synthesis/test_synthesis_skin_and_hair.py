"""What hardly anything is seen of is continued from what there is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from tolerances import SINGLE

from perse.attributes import Part
from perse.data import PartMasks
from perse.synthesis.procedural.animator.canvas import paint_head
from perse.synthesis.procedural.animator.fill import mean_of_channels
from perse.synthesis.procedural.animator.projection import _garment
from perse.synthesis.procedural.animator.skin_and_hair import _around, _meeting, _open_below, _within_person
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
        assert np.allclose(found, 0.25, atol=1e-5)  # float32: means of up to forty numbers


def test_no_bust_is_drawn_where_the_photograph_shows_nobody() -> None:
    """The lower neck's texels end there, front and back, and where the person fades out towards the photograph's
    border; what turns with the head stays."""
    matte = np.zeros((64, 64), np.float32)
    matte[:50, 20:] = 1
    pixels = np.array([[[40.0, 30.0], [8.0, 30.0], [40.0, 58.0]]], np.float32)  # on the person, on the wall, beyond
    pixels = np.repeat(pixels, 2, 0)  # one row of texels above another, which is the neck's end
    low, high = np.array([[0.2] * 3, [0.1] * 3], np.float32), np.full((2, 3), 0.95, np.float32)
    picture, texels = SimpleNamespace(matte=matte), SimpleNamespace(pixels=pixels)
    # The matte is exactly 0 or 1 there, and stays so when it is smoothed.
    np.testing.assert_allclose(_within_person(picture, texels, low), [[1, 0, 0]] * 2, atol=SINGLE)  # type: ignore[arg-type]
    np.testing.assert_allclose(_within_person(picture, texels, high), [[1, 1, 1]] * 2, atol=SINGLE)  # type: ignore[arg-type]


def test_hidden_colours_meet_those_that_are_seen_and_then_become_themselves() -> None:
    """On a chain of vertices of which the first ten are seen, brighter than the guess."""
    n = 80
    links = sparse.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1]).tocsr()
    average = sparse.csr_matrix(sparse.diags(1 / np.asarray(links.sum(1)).ravel()) @ links)
    surface = SimpleNamespace(average=average, outer=np.ones(n, bool))
    known = np.where(np.arange(n) < 10, 4.0, 0.0).astype(np.float32)
    guess = np.full((n, 3), 60, np.float32)
    seen = np.where(known[:, None] > 0, 100.0, 7.0).astype(np.float32)  # 7: nothing was read there
    tone = _meeting(surface, guess, seen, known)[:, 0]  # type: ignore[arg-type]
    assert abs(tone[5] - 100) < 1 and abs(tone[10] - 100) < 12
    assert (np.diff(tone[9:]) < 1e-3).all() and np.abs(np.diff(tone)).max() < 10
    assert abs(tone[-1] - 60) < 1


def test_a_half_transparent_collar_lets_no_wall_through_the_neck() -> None:
    """The neck is painted behind what dresses it: skin (100) below a collar (20) of alpha .4 over a white wall."""
    one = np.zeros((1, 1), np.float32)
    rgb, alpha = np.full((1, 1, 3), 0.4 * 20 + 0.6 * 255, np.float32), np.full((1, 1), 0.4, np.float32)
    texture = np.full((3, 3, 4), 255, np.uint8)
    texture[..., :3] = 100
    parts, depth = np.zeros((1, 1), np.uint8), np.full((1, 1), np.inf, np.float32)
    paint_head(
        one + 1, np.zeros((1, 1), np.int32), np.full((1, 1, 3), 1 / 3, np.float32),
        np.array([[0, 1, 2]], np.int32), np.full((1, 3, 2), 1.5, np.float32), texture,
        np.full((3, 3), 255, np.uint8), np.full((3, 3), 255, np.uint8), np.full((3, 3), Part.NECK, np.uint8),
        np.ones(3, np.float32), np.ones(3, np.float32), one, rgb, alpha, parts, depth,
    )  # fmt: skip
    np.testing.assert_allclose(rgb[0, 0], 0.4 * 20 + 0.6 * 100, atol=0.5)
    assert alpha[0, 0] == 1 and parts[0, 0] == Part.NECK


def test_specks_of_clothes_on_the_throat_are_no_collar() -> None:
    soft = np.zeros((len(Part), 60, 60), np.uint8)
    soft[Part.NECK, :40] = 255
    soft[Part.CLOTHES, 40:] = 255
    soft[Part.CLOTHES, 20:23, 20:23], soft[Part.NECK, 20:23, 20:23] = 255, 0
    masks = PartMasks(soft, np.full((60, 60), 255, np.uint8))
    garment = _garment(masks)
    assert not garment[:38].any()
    np.testing.assert_array_equal(garment[40:], 1)


def test_near_the_photographs_border_background_may_be_a_person_that_fades() -> None:
    inside = np.full((100, 100), 255, np.uint8)
    assert surely_shown(inside, 100.0).all()
    inside[60:] = 0
    shown = surely_shown(inside, 100.0)
    assert shown[: 60 - int(FADE_WIDTHS * 100) - 2].all() and not shown[60 - int(FADE_WIDTHS * 100) + 1 :].any()


def test_the_quick_mean_of_channels_has_the_bits_of_the_plain_one() -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (40, 50, 3)).astype(np.float32)
    np.testing.assert_array_equal(mean_of_channels(picture), picture.mean(-1))


def test_a_neck_wider_than_the_persons_has_no_hole_in_its_side() -> None:
    """A patch of background within the neck is filled; one that reaches the neck's end stays the end of the bust."""
    share = np.repeat(np.linspace(0.6, 0.0, 60, dtype=np.float32)[:, None], 60, 1)
    nobody = np.zeros((60, 60), np.float32)
    nobody[20:26, 30:40] = 0.8
    nobody[40:, :10] = 0.9
    kept = _open_below(nobody, share)
    assert not kept[:, 12:].any()
    np.testing.assert_array_equal(kept[:, :10], nobody[:, :10])

"""A morph's ends are exact, shapes move instead of fading, and what is alike stays put."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Category
from perse.morphing import MorphEnd, WarpMorpher, WarpMorpherConfig
from perse.morphing.warp import _Layers, _under, _without_shreds

SIZE = 128
INNER = [k / 6 for k in range(1, 6)]


def _disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    return np.hypot(columns - x, rows - y) < radius


def _end(hat: NDArray[np.bool_], color: tuple[int, int, int], shift_px: float = 0.0) -> MorphEnd:
    """A grey head with a coloured hat on white."""
    head = _disc(64 + shift_px, 84, 24)
    image = np.full((SIZE, SIZE, 3), 255, np.uint8)
    image[head] = 150
    image[hat] = color
    alpha = np.where(head | hat, 255, 0).astype(np.uint8)
    landmarks = np.array([[64 + shift_px, 84], [56 + shift_px, 80], [72 + shift_px, 80]], np.float32)
    return MorphEnd(image, alpha, hat, landmarks)


@pytest.fixture
def morpher() -> WarpMorpher:
    return WarpMorpherConfig().build()


def test_ends_are_exact(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(60, 50, 16), (200, 30, 30)), _end(_disc(68, 44, 20), (30, 60, 200))
    morph = morpher.morph(first, second, [0, 0.5, 1])
    assert np.array_equal(morph.images[0], first.image) and np.array_equal(morph.alphas[0], first.alpha)
    assert np.array_equal(morph.images[2], second.image) and np.array_equal(morph.alphas[2], second.alpha)


def test_a_moved_disc_is_half_way_in_the_middle(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(58, 48, 16), (200, 30, 30)), _end(_disc(70, 48, 16), (200, 30, 30))
    image = morpher.morph(first, second, [0.5]).images[0].astype(int)
    red = (image[..., 0] - image[..., 1]) > 60
    _, columns = np.nonzero(red)
    assert abs(columns.mean() - 64) < 1.5
    # A fade would leave the union of both discs, wider by the displacement.
    assert columns.max() - columns.min() < 2 * 16 + 7


def test_a_growing_shape_grows_evenly(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(64, 50, 12), (30, 90, 30)), _end(_disc(64, 50, 22), (30, 90, 30))
    alphas = morpher.morph(first, second, np.linspace(0, 1, 6)).alphas
    areas = (alphas > 127).sum((1, 2))
    assert (np.diff(areas) > 0).all()
    assert np.diff(areas).max() < 0.5 * (areas[-1] - areas[0])


def test_what_is_alike_stays(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(60, 40, 14), (200, 30, 30)), _end(_disc(66, 38, 18), (30, 60, 200))
    image = morpher.morph(first, second, [0.5]).images[0]
    chin = np.s_[96:108]
    assert np.abs(image[chin].astype(int) - first.image[chin]).max() <= 1


def test_landmarks_guide_the_flow(morpher: WarpMorpher) -> None:
    nothing = np.zeros((SIZE, SIZE), bool)
    first, second = _end(nothing, (0, 0, 0)), _end(nothing, (0, 0, 0), shift_px=8)
    alpha = morpher.morph(first, second, [0.5]).alphas[0] > 127
    assert abs(np.nonzero(alpha)[1].mean() - 67.5) < 1


def test_same_in_same_out(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(60, 50, 16), (200, 30, 30)), _end(_disc(68, 44, 20), (30, 60, 200))
    again = morpher.morph(first, second, [0.3, 0.7])
    assert np.array_equal(morpher.morph(first, second, [0.3, 0.7]).images, again.images)


def test_a_part_that_one_end_lacks_fades(morpher: WarpMorpher) -> None:
    first, second = _end(np.zeros((SIZE, SIZE), bool), (0, 0, 0)), _end(_disc(64, 50, 16), (30, 60, 200))
    images = morpher.morph(first, second, np.linspace(0, 1, 5)).images.astype(int)
    blueness = (images[..., 2] - images[..., 0]).clip(0).sum((1, 2))
    assert (np.diff(blueness) > 0).all()


def test_bad_arguments_are_refused(morpher: WarpMorpher) -> None:
    end = _end(_disc(60, 50, 16), (200, 30, 30))
    with pytest.raises(ValueError, match="between 0 and 1"):
        morpher.morph(end, end, [1.5])
    with pytest.raises(ValueError, match="must agree"):
        MorphEnd(end.image, end.alpha[1:], end.shape, end.landmarks_px)


def test_what_is_equal_stays_equal(morpher: WarpMorpher) -> None:
    end = _end(_disc(60, 50, 16), (200, 30, 30))
    morph = morpher.morph(end, end, INNER)
    assert np.abs(morph.images.astype(int) - end.image).max() <= 1
    assert np.abs(morph.alphas.astype(int) - end.alpha).max() <= 1


def test_turning_the_morph_around_changes_nothing(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(60, 50, 16), (200, 30, 30)), _end(_disc(68, 44, 20), (30, 60, 200), shift_px=2)
    forth, back = morpher.morph(first, second, INNER), morpher.morph(second, first, INNER[::-1])
    # Landmarks are spread from the first end's places: not quite the same field.
    assert np.abs(forth.images.astype(int) - back.images).mean() < 0.3


def test_steps_are_even_and_lead_away_from_the_start(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(64, 50, 14), (200, 30, 30)), _end(_disc(64, 44, 22), (30, 60, 200))
    images = morpher.morph(first, second, [0.0, *INNER, 1.0]).images.astype(float)
    from_start = [np.abs(image - first.image).mean() for image in images]
    assert from_start == sorted(from_start)
    steps = [np.abs(q - p).mean() for p, q in itertools.pairwise(images)]
    assert max(steps) < 2.5 * min(steps)


def test_a_colour_changes_without_motion(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(64, 50, 18), (200, 30, 30)), _end(_disc(64, 50, 18), (30, 60, 200))
    morph = morpher.morph(first, second, [0.5])
    blend = (first.image.astype(float) + second.image) / 2
    assert np.abs(morph.images[0] - blend).mean() < 0.6
    assert np.array_equal(morph.alphas[0] > 127, first.alpha > 127)


def test_parts_that_hardly_overlap_do_not_drag_the_rest(morpher: WarpMorpher) -> None:
    # A full beard and a moustache: what lies under the beard must not follow its outline.
    beard, moustache = _disc(64, 98, 14), _disc(64, 88, 4)
    first, second = _end(beard, (120, 40, 20)), _end(moustache, (40, 20, 10))
    image = morpher.morph(first, second, [0.5]).images[0].astype(int)
    forehead = np.s_[62:76, 50:78]
    assert np.abs(image[forehead] - first.image[forehead]).max() <= 2


def test_no_white_seeps_in(morpher: WarpMorpher) -> None:
    first, second = _end(_disc(60, 50, 16), (200, 30, 30)), _end(_disc(68, 44, 20), (30, 60, 200))
    morph = morpher.morph(first, second, INNER)
    assert (morph.images.astype(int).min(-1) >= 255 - morph.alphas.astype(int)).all()
    assert (morph.images[morph.alphas == 0] == 255).all()


def test_no_positions_no_pictures(morpher: WarpMorpher) -> None:
    end = _end(_disc(60, 50, 16), (200, 30, 30))
    assert morpher.morph(end, end, []).images.shape == (0, SIZE, SIZE, 3)


@pytest.mark.parametrize("position", [0.3, 0.5])
def test_what_is_behind_a_part_is_not_pulled_out_with_it(morpher: WarpMorpher, position: float) -> None:
    """The outermost pixels of a white beard before a black collar are grey, and pulled out they were a black line; the
    more of the beard was out, the blacker."""

    def bearded(rows: int) -> MorphEnd:
        image = np.full((SIZE, SIZE, 3), 160, np.uint8)
        beard = np.zeros((SIZE, SIZE), bool)
        beard[50 : 50 + rows, 40:88] = True
        image[100:] = 0
        image[beard] = 230
        if rows > 50:  # over the collar, which shows in its ends
            image[48 + rows : 50 + rows, 40:88] = 60
        return MorphEnd(image, np.full((SIZE, SIZE), 255, np.uint8), beard, np.zeros((0, 2), np.float32))

    between = morpher.morph(bearded(60), bearded(20), [position]).images[0]
    assert between[60:98, 44:84].min() > 130, "no line darker than the face above the collar"


def test_shreds_go_and_shapes_stay() -> None:
    """Where neighbours were pulled to different places a beard ended in bits."""
    shape = np.zeros((64, 64), np.float32)
    shape[10:40, 10:50] = 1
    shreds = shape.copy()
    shreds[40:56, 20] = shreds[40:56, 30:32] = 1
    left = _without_shreds(shreds, 3.0)
    assert left[44:].max() < 0.1 and (left <= shreds).all()
    assert left.sum() > 0.95 * shape.sum(), "the corners alone are rounded"
    assert np.array_equal(_without_shreds(shreds, 0.1), shreds)


def test_a_morph_of_a_window_is_that_of_the_whole(morpher: WarpMorpher) -> None:
    """Only where the ends differ is anything computed: a larger picture around them changes nothing."""
    first, second = _end(_disc(60, 50, 16), (200, 30, 30)), _end(_disc(68, 44, 20), (30, 60, 200))
    found = morpher.morph(first, second, INNER).images
    whole = morpher._between(first, second, SIZE, INNER)
    for image, (expected, _, _) in zip(found, whole, strict=True):
        assert np.abs(image.astype(int) - expected).mean() < 0.3


def test_what_is_behind_a_part_does_not_move() -> None:
    """Outlines that run towards each other drag what lies beside them: a cheek shone through beside a beard."""
    collar, cheek = (
        np.full((16, 16, 4), (20, 20, 20, 255), np.uint8),
        np.full((16, 16, 4), (200, 180, 150, 255), np.uint8),
    )
    part = np.zeros((16, 16), np.float32)
    part[:, :8] = 1
    tint = np.zeros(3, np.float32)
    ends = _Layers(collar, part, tint), _Layers(collar, 0 * part, tint)
    moved = _Layers(cheek, 0 * part, tint), _Layers(cheek, 0 * part, tint)
    color, alpha = _under(ends, moved, 0.125)
    # Beside the part only the farther end is asked, at its eighth: 1 / 50 of the cheek for each of its eighths.
    assert np.abs(color[:, 8:] - 20).max() < 0.15 * (200 - 20)
    assert np.abs(color[:, 11:] - 20).max() < 0.03 * (200 - 20) and (alpha == 1).all()


def test_labels_beside_what_is_seen_leave_no_dots(morpher: WarpMorpher) -> None:
    """Of two brows that look alike in all columns, labelled a pixel too high in every other one, nor do columns differ
    much between them."""

    def browed(top: int, bottom: int, level: int) -> MorphEnd:
        image = np.full((SIZE, SIZE, 3), 190, np.uint8)
        image[top:bottom, 30:98] = level
        brow = np.zeros((SIZE, SIZE), bool)
        brow[top:bottom, 30:98:2] = brow[top - 1 : bottom - 1, 31:98:2] = True
        full = np.full((SIZE, SIZE), 255, np.uint8)
        return MorphEnd(image, full, brow, np.zeros((0, 2), np.float32), Category.EYEBROWS)

    images = morpher.morph(browed(60, 66, 30), browed(54, 67, 110), INNER).images
    middle = images[:, 45:75, 45:83, 0].astype(int)
    # An eighth of the step from brow to skin, of which a hard choice between samples makes more than a half.
    assert (middle.max(2) - middle.min(2)).max() < (190 - 30) / 8

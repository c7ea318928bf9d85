"""The tools of 2D painting, and the properties that every painted edit must have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Category, Part
from perse.data import AttributePrompt, TrackedPortrait
from perse.synthesis.compositing import put_part
from perse.synthesis.procedural.editing.beard import paint_beard
from perse.synthesis.procedural.editing.canvas import curve, fill_hole, polygon, to_lab, to_rgb
from perse.synthesis.procedural.editing.clothes import paint_clothes
from perse.synthesis.procedural.editing.eyebrows import paint_eyebrows
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.mouth import paint_mouth
from perse.synthesis.procedural.editing.nose import paint_nose
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.procedural.editing.strands import Strands, draw, grow, scatter
from perse.synthesis.procedural.editing.warp import displacement, move_points, warp
from perse.synthesis.prompts import complete
from perse.synthesis.prompts.vocabulary import as_attributes

PAINTERS: dict[Category, Callable[[TrackedPortrait, AttributePrompt], PaintedEdit]] = {
    Category.BEARD: paint_beard,
    Category.CLOTHES: paint_clothes,
    Category.EYEBROWS: paint_eyebrows,
    Category.MOUTH: paint_mouth,
    Category.NOSE: paint_nose,
}
EDITS: list[tuple[Category, dict[str, str]]] = [
    (Category.BEARD, {"shape": "full", "length": "long", "color": "red"}),
    (Category.BEARD, {"shape": "moustache", "length": "medium", "color": "black"}),
    (Category.BEARD, {"shape": "goatee", "length": "short", "color": "grey"}),
    (Category.BEARD, {"shape": "stubble", "color": "brown"}),
    (Category.CLOTHES, {"garment": "hoodie", "color": "orange"}),
    (Category.CLOTHES, {"garment": "t-shirt", "color": "red", "pattern": "striped", "accent": "white"}),
    (Category.CLOTHES, {"garment": "t-shirt", "color": "teal", "pattern": "plain", "collar": "v-neck"}),
    (Category.CLOTHES, {"garment": "shirt", "color": "green", "pattern": "checked", "accent": "white"}),
    (Category.CLOTHES, {"garment": "turtleneck", "color": "purple"}),
    (Category.CLOTHES, {"garment": "suit", "color": "navy", "accent": "red"}),
    (Category.EYEBROWS, {"shape": "unibrow", "thickness": "thick", "color": "black"}),
    (Category.EYEBROWS, {"shape": "arched", "thickness": "thin", "color": "brown"}),
    (Category.MOUTH, {"fullness": "full", "width": "wide", "color": "plum"}),
    (Category.MOUTH, {"fullness": "thin", "width": "natural", "color": "natural"}),
    (Category.MOUTH, {"fullness": "natural", "width": "natural", "color": "blue"}),
    (Category.NOSE, {"length": "long", "width": "wide", "bridge": "high", "tip": "natural"}),
    (Category.NOSE, {"length": "short", "width": "narrow", "bridge": "natural", "tip": "bulbous"}),
    (Category.NOSE, {"length": "natural", "width": "natural", "bridge": "crooked", "tip": "upturned"}),
]
NAMES = [f"{category.value}-{'-'.join(slots.values())}" for category, slots in EDITS]


def prompt_for(category: Category, slots: dict[str, str], seed: int = 5) -> AttributePrompt:
    return AttributePrompt(f"{category.value}-0000", category, as_attributes(complete(category, slots)), "", seed)


@pytest.mark.parametrize(("category", "slots"), EDITS, ids=NAMES)
def test_edit_is_seen_inside_its_mask_and_nowhere_else(
    tracked_astronaut: TrackedPortrait, category: Category, slots: dict[str, str]
) -> None:
    portrait = tracked_astronaut
    edit = PAINTERS[category](portrait, prompt_for(category, slots))
    outside = edit.edit_mask == 0
    assert np.array_equal(edit.image[outside], portrait.image[outside])
    assert np.array_equal(edit.masks.soft[:, outside], portrait.masks.soft[:, outside])
    assert np.array_equal(edit.masks.person[outside], portrait.masks.person[outside])
    change = np.abs(edit.image.astype(float) - portrait.image).mean(-1)
    assert (change > 12).sum() > 0.004 * portrait.face_width_px**2
    # An edit of one part leaves the eyes alone.
    eyes = portrait.masks[Part.EYES] > 0.9
    assert change[eyes].mean() < 1.5


@pytest.mark.parametrize(("category", "slots"), EDITS, ids=NAMES)
def test_part_masks_still_share_each_pixel(
    tracked_astronaut: TrackedPortrait, category: Category, slots: dict[str, str]
) -> None:
    edit = PAINTERS[category](tracked_astronaut, prompt_for(category, slots))
    before = tracked_astronaut.masks.soft.astype(int).sum(0)
    after = edit.masks.soft.astype(int).sum(0)
    # Rounding of 14 channels, and linear sampling of shares under a warp.
    assert np.abs(after - before).max() <= 16
    background = edit.masks.soft[Part.BACKGROUND].astype(int)
    assert np.abs(255 - background - edit.masks.person).max() <= 2


@pytest.mark.parametrize("category", sorted(PAINTERS, key=lambda c: c.value))
def test_edits_are_deterministic_and_follow_their_seed(tracked_astronaut: TrackedPortrait, category: Category) -> None:
    slots = next(slots for c, slots in EDITS if c is category)
    one, same = (PAINTERS[category](tracked_astronaut, prompt_for(category, slots)) for _ in range(2))
    other = PAINTERS[category](tracked_astronaut, prompt_for(category, slots, seed=6))
    assert np.array_equal(one.image, same.image) and np.array_equal(one.edit_mask, same.edit_mask)
    assert not np.array_equal(one.image, other.image)


def test_beard_is_labelled_and_long_ones_hang_below_the_chin(tracked_astronaut: TrackedPortrait) -> None:
    chin = tracked_astronaut.landmarks_px[152, 1]
    lowest = {}
    for length in ("short", "long"):
        slots = {"shape": "full", "length": length, "color": "black"}
        labels = paint_beard(tracked_astronaut, prompt_for(Category.BEARD, slots)).masks.labels
        lowest[length] = np.nonzero((labels == Part.BEARD).any(1))[0].max()
    assert lowest["short"] < chin + 0.2 * tracked_astronaut.face_width_px
    assert lowest["long"] > chin + 0.3 * tracked_astronaut.face_width_px


def test_colors_are_what_the_prompt_says(tracked_astronaut: TrackedPortrait) -> None:
    def median_lab(category: Category, slots: dict[str, str], part: Part) -> np.ndarray:
        edit = PAINTERS[category](tracked_astronaut, prompt_for(category, slots))
        return np.median(to_lab(edit.image)[edit.masks.labels == part], 0)

    red = median_lab(Category.BEARD, {"shape": "full", "length": "medium", "color": "red"}, Part.BEARD)
    black = median_lab(Category.BEARD, {"shape": "full", "length": "medium", "color": "black"}, Part.BEARD)
    white = median_lab(Category.BEARD, {"shape": "full", "length": "medium", "color": "white"}, Part.BEARD)
    assert black[0] < red[0] < white[0] and red[1] > 15 and abs(white[1]) < 8
    teal = median_lab(Category.CLOTHES, {"garment": "turtleneck", "color": "teal"}, Part.CLOTHES)
    orange = median_lab(Category.CLOTHES, {"garment": "turtleneck", "color": "orange"}, Part.CLOTHES)
    assert teal[1] < -10 and orange[1] > 25 and orange[2] > 30


def test_removed_clothes_become_background(tracked_astronaut: TrackedPortrait) -> None:
    portrait = tracked_astronaut
    edit = paint_clothes(portrait, prompt_for(Category.CLOTHES, {"garment": "turtleneck", "color": "red"}))
    # The helmet ring of the space suit reaches up beside the neck, where no sweater does.
    was = (portrait.masks.labels == Part.CLOTHES) & (edit.masks.labels == Part.BACKGROUND)
    assert was.sum() > 500
    assert np.percentile(edit.masks.person[was], 99) < 64


def test_wide_mouth_is_wider_and_a_long_nose_is_longer(tracked_astronaut: TrackedPortrait) -> None:
    def extent(category: Category, slots: dict[str, str], part: Part, axis: int) -> int:
        labels = PAINTERS[category](tracked_astronaut, prompt_for(category, slots)).masks.labels
        return int(np.ptp(np.nonzero((labels == part).any(axis))[0]))

    shape = {"fullness": "natural", "color": "red"}
    wide = extent(Category.MOUTH, shape | {"width": "wide"}, Part.MOUTH, 0)
    narrow = extent(Category.MOUTH, shape | {"width": "narrow"}, Part.MOUTH, 0)
    assert 1.25 * narrow < wide < 1.5 * narrow, "seen at once, and still somebody's mouth"
    plain = {"width": "natural", "bridge": "crooked", "tip": "natural"}
    long = extent(Category.NOSE, plain | {"length": "long"}, Part.NOSE, 1)
    short = extent(Category.NOSE, plain | {"length": "short"}, Part.NOSE, 1)
    assert 1.15 * short < long < 1.45 * short


def with_part(portrait: TrackedPortrait, part: Part, region: NDArray[np.bool_]) -> TrackedPortrait:
    """The same portrait with a region labelled as a part."""
    everything = tuple(other for other in Part if other != part)
    masks = put_part(portrait.masks, part, region.astype(np.float32), everything)
    return replace(portrait, masks=masks)


def test_a_dim_room_is_told_from_dark_skin(tracked_astronaut: TrackedPortrait) -> None:
    dim = replace(tracked_astronaut, image=(0.5 * tracked_astronaut.image).astype(np.uint8))
    skin = tracked_astronaut.masks[Part.SKIN][..., None]
    dark = replace(tracked_astronaut, image=(tracked_astronaut.image * (1 - 0.6 * skin)).astype(np.uint8))
    assert FaceFrame(tracked_astronaut).exposure > 0.97
    assert FaceFrame(dark).exposure > 0.9 > 0.8 > FaceFrame(dim).exposure


def test_lipstick_stays_off_a_moustache_and_dims_with_the_room(tracked_astronaut: TrackedPortrait) -> None:
    prompt = prompt_for(Category.MOUTH, {"fullness": "natural", "width": "natural", "color": "red"})
    plain = paint_mouth(tracked_astronaut, prompt)
    lips = (plain.masks.labels == Part.MOUTH) & (plain.edit_mask > 128)
    upper = lips & (np.arange(lips.shape[0])[:, None] < np.nonzero(lips)[0].mean())
    hairy = paint_mouth(with_part(tracked_astronaut, Part.BEARD, upper), prompt)
    assert (hairy.image[upper] == tracked_astronaut.image[upper]).mean() > 0.9
    assert (hairy.masks.labels[upper] == Part.BEARD).mean() > 0.9
    dim = replace(tracked_astronaut, image=(0.4 * tracked_astronaut.image).astype(np.uint8))
    assert paint_mouth(dim, prompt).image[lips].mean() < 0.85 * plain.image[lips].mean()


def test_a_painted_edit_checks_its_sizes(tracked_astronaut: TrackedPortrait) -> None:
    with pytest.raises(ValueError, match="edit_mask"):
        PaintedEdit(tracked_astronaut.image, tracked_astronaut.masks, np.zeros((4, 4), np.uint8))


def test_lab_and_back() -> None:
    colors = np.random.default_rng(0).uniform(0, 255, (9, 7, 3))
    # OpenCV's float conversion interpolates a table: a third of a grey level.
    assert np.abs(to_rgb(to_lab(colors)) - colors).max() < 0.6


def test_curve_goes_through_its_knots() -> None:
    knots = np.array([[0, 0], [10, 0], [11, 5], [40, 9]], float)
    fine = curve(knots, 4001)
    assert max(np.linalg.norm(fine - knot, axis=1).min() for knot in knots) < 0.02


def test_polygon_covers_its_area() -> None:
    mask = polygon((20, 30), [(4.5, 4.5), (14.5, 4.5), (14.5, 9.5), (4.5, 9.5)])
    # OpenCV fills the outline too: an eighth of a pixel more on every side.
    assert 50 <= mask.sum() <= 10.3 * 5.3
    assert mask[7, 9] == 1 and mask[15, 20] == 0


def test_a_filled_hole_continues_a_gradient() -> None:
    rows, columns = np.mgrid[:60, :60].astype(np.float32)
    picture = np.stack([columns * 2, rows, np.full_like(rows, 50)], -1)
    hole = np.zeros((60, 60), np.float32)
    hole[25:35, 25:35] = 1
    broken = np.where(hole[..., None] > 0, 0, picture)
    filled = fill_hole(broken, hole, 2.0)
    assert np.abs(filled - picture).max() < 8
    assert np.array_equal(filled[hole == 0], picture[hole == 0])


def test_a_part_laid_over_others_keeps_their_sum(tracked_astronaut: TrackedPortrait) -> None:
    masks = tracked_astronaut.masks
    half = np.full(masks.person.shape, 0.5, np.float32)
    covered = put_part(masks, Part.BEARD, half, (Part.SKIN,))
    assert np.abs(covered.soft.astype(int).sum(0) - masks.soft.astype(int).sum(0)).max() <= 2
    assert np.array_equal(covered.soft[Part.HAIR], masks.soft[Part.HAIR])


def test_warp_moves_points_where_they_were_told() -> None:
    source = np.array([[30.0, 30.0], [50.0, 34.0]])
    target = source + np.array([[4.0, -3.0], [2.0, 1.0]])
    pinned = np.array([[0, 0], [80, 0], [0, 80], [80, 80], [40, 70], [10, 40]], float)
    field = displacement(source, target, pinned, np.ones((81, 81), np.float32))
    moved = move_points(np.concatenate([source, pinned]).astype(np.float32), field)
    assert np.abs(moved - np.concatenate([target, pinned])).max() < 0.35
    picture = np.zeros((81, 81), np.float32)
    picture[29:32, 29:32] = 1
    seen = warp(picture, field, soft=True)
    rows, columns = np.nonzero(seen > 0.5)
    assert abs(rows.mean() - 27) < 0.6 and abs(columns.mean() - 34) < 0.6


def test_a_warp_stays_inside_its_window() -> None:
    window = np.zeros((60, 60), np.float32)
    window[20:40, 20:40] = 1
    field = displacement(np.array([[30.0, 30.0]]), np.array([[33.0, 30.0]]), np.array([[0.0, 0], [59, 59]]), window)
    assert not field[window == 0].any() and np.abs(field).max() > 2


def test_strands_lie_where_they_grow() -> None:
    density = np.zeros((64, 64), np.float32)
    density[20:30, 10:50] = 1
    rng = np.random.default_rng(0)
    roots = scatter(density, 300, rng)
    assert roots[:, 1].min() > 19 and roots[:, 1].max() < 30
    down = np.zeros((64, 64, 2), np.float32)
    down[..., 1] = 1
    paths = grow(roots, down, np.full(300, 12.0), joints=6, stiffness=0.5)
    # Pixels: float32 positions up to 64.
    assert np.allclose(np.linalg.norm(np.diff(paths, axis=1), axis=-1).sum(1), 12, atol=1e-3)
    ones = np.ones(300, np.float32)
    coverage, tone = draw((64, 64), Strands(paths, ones, np.full((300, 6), 0.7, np.float32), ones))
    assert coverage.max() <= 1 and coverage[:17].max() == 0 and coverage[46:].max() == 0
    assert coverage[28:34, 15:45].mean() > 0.5
    assert np.allclose(tone[coverage > 0.2], 0.7, atol=1e-3)  # float32: a tone over its coverage


def test_no_density_no_hair() -> None:
    assert len(scatter(np.zeros((8, 8), np.float32), 10, np.random.default_rng(0))) == 0

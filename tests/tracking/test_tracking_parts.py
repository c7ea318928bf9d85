"""Parts that a person can see and correct, and the rules that tell parts apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.data.images import encode_image
from perse.errors import InputError
from perse.tracking import landmarks as marks
from perse.tracking.beard import beard_mask
from perse.tracking.colors import to_lab
from perse.tracking.crop import FADE_WIDTHS, end_softly
from perse.tracking.frame import FaceCoordinates
from perse.tracking.headwear import HeadwearSigns, find_headwear
from perse.tracking.materials import find_curtain, hair_ends
from perse.tracking.parser import _neck_zone
from perse.tracking.part_picture import PALETTE, corrected, draw_parts, open_parts, read_parts
from perse.tracking.polygons import landmark_mask


def test_the_palette_comes_back(tracked_astronaut: TrackedPortrait) -> None:
    masks = tracked_astronaut.masks
    np.testing.assert_array_equal(read_parts(draw_parts(masks), masks.labels.shape), masks.labels)
    colors = np.array([PALETTE[part] for part in Part])
    apart = np.abs(colors[:, None] - colors).max(-1) + 1000 * np.eye(len(Part))
    assert len(colors) == len(Part) and apart.min() >= 45  # a brush may miss a colour by half of that


def test_an_unchanged_picture_changes_nothing(tracked_astronaut: TrackedPortrait) -> None:
    assert corrected(tracked_astronaut, draw_parts(tracked_astronaut.masks)) is tracked_astronaut


def test_painted_parts_replace_what_was_found(tracked_astronaut: TrackedPortrait, tmp_path: Path) -> None:
    """Painted on a transparent layer: hair becomes a hat, some background hair, some clothes background."""
    shape = tracked_astronaut.masks.labels.shape
    layer = np.zeros((*shape, 4), np.uint8)
    layer[90:110, 200:300] = (*PALETTE[Part.HEADWEAR], 255)
    layer[10:20, 10:30] = (*PALETTE[Part.HAIR], 255)
    layer[480:500, 230:260] = (*PALETTE[Part.BACKGROUND], 255)
    path = tmp_path / "mask.png"
    path.write_bytes(encode_image(layer))
    after = corrected(tracked_astronaut, open_parts(path))
    assert (after.masks.soft.astype(int).sum(0) == 255).all() and after.key != tracked_astronaut.key
    assert (after.masks.labels[90:110, 200:300] == Part.HEADWEAR).all()
    assert (after.masks.labels[10:20, 10:30] == Part.HAIR).all() and after.masks.person[15, 20] == 255
    assert (after.masks.person[480:500, 230:260] == 0).all()
    untouched = layer[..., 3] == 0
    np.testing.assert_array_equal(after.masks.soft[:, untouched], tracked_astronaut.masks.soft[:, untouched])


def test_what_cannot_be_understood_is_said(tracked_astronaut: TrackedPortrait, tmp_path: Path) -> None:
    shape = tracked_astronaut.masks.labels.shape
    with pytest.raises(InputError, match=r"512 x 512 px.*got 256 x 512"):
        read_parts(np.zeros((512, 256, 3), np.uint8), shape)
    odd = draw_parts(tracked_astronaut.masks)
    odd[7, 9] = (128, 128, 128)
    with pytest.raises(InputError, match=r"1 pixels.*x = 9, y = 7"):
        read_parts(odd, shape)
    (tmp_path / "mask.png").write_text("no picture")
    with pytest.raises(InputError, match="not a PNG"):
        open_parts(tmp_path / "mask.png")


def test_a_person_cut_by_the_border_fades_out(tracked_astronaut: TrackedPortrait) -> None:
    """Nothing that was made up below the photograph is part of the person; far from the border nothing changes."""
    masks, width = tracked_astronaut.masks, tracked_astronaut.face_width_px
    inside = np.full(masks.person.shape, 255, np.uint8)
    inside[400:] = 0
    after = end_softly(masks, inside, width)
    assert (after.person[400:] == 0).all() and after.soft.sum(0).min() >= 253
    clear = 400 - int(FADE_WIDTHS * width) - 2
    np.testing.assert_array_equal(after.soft[:, :clear], masks.soft[:, :clear])
    ramp = after.person[clear:400, 256].astype(int)
    assert (np.diff(ramp) <= 0).all() and 0 < ramp[-3] < 60  # no step
    assert end_softly(masks, np.full_like(inside, 255), width) is masks


def _frame() -> FaceCoordinates:
    rows, columns = np.mgrid[:256, :256].astype(np.float32)
    across, down = (columns - 128) / 80, (rows - 100) / 80
    return FaceCoordinates(80.0, across, down, chin=0.75, nose=0.35, mouth=0.52, brow=-0.18)


def test_hair_beside_the_chin_opens_a_curtain_below_it() -> None:
    frame = _frame()
    half = FaceCoordinates(160.0, frame.across, frame.down, frame.chin, frame.nose, frame.mouth, frame.brow)
    short = ((np.hypot(frame.across, frame.down) < 0.8) & (frame.down < 0.3)).astype(np.float32)
    assert not find_curtain(short, frame.across, frame.down, half).any()
    long = np.maximum(short, (frame.across > 0.4) & (frame.across < 0.7) & (frame.down < 0.9)).astype(np.float32)
    curtain = find_curtain(long, frame.across, frame.down, half)
    below = (frame.down > 1.2) & (frame.down < 1.6)
    assert curtain[below & (np.abs(frame.across - 0.55) < 0.1)].min() > 0.9
    assert curtain[frame.across < 0].max() < 0.01  # the other side keeps its short hair


def test_a_dark_collar_below_a_bun_is_no_long_hair() -> None:
    """A thin shadow beside the jaw leads down to it: no curtain there, and hair is forbidden below the chin."""
    frame = _frame()
    half = FaceCoordinates(160.0, frame.across, frame.down, frame.chin, frame.nose, frame.mouth, frame.brow)
    hair = ((np.hypot(frame.across, frame.down) < 0.8) & (frame.down < 0.2)).astype(np.float32)
    thin = (np.abs(frame.across - 0.5) < 0.065) & (frame.down >= 0.2) & (frame.down < 0.8)
    collar = (frame.across > 0.1) & (frame.across < 0.8) & (frame.down > 0.75) & (frame.down < 1.2)
    hair[thin | collar] = 1
    curtain = find_curtain(hair, frame.across, frame.down, half)
    assert not curtain.any()
    ended = hair_ends(hair, curtain, frame.across, frame.down, half)
    assert ended[collar & (frame.down > 0.9)].min() > 0.99
    assert ended[frame.down < 0.65].max() == 0 and ended[frame.across < 0].max() == 0
    hair[collar] = 0
    assert not hair_ends(hair, curtain, frame.across, frame.down, half).any()  # nothing to forbid


@pytest.mark.parametrize(
    ("what", "signs", "verdict"),
    [
        ("big curls in dim light", (0.0, 13, 0.19, 0.102, 0, 0.90, 1.72, 0.0), False),
        ("smooth dark hair with a parting", (0.0, 34, 0.14, 0.066, 25, 0.68, 1.18, 0.08), False),
        ("a child's blurred hair", (0.01, 14, 0.13, 0.031, 0, 0.75, 1.25, 0.33), False),
        ("long black hair", (0.0, 12, 0.14, 0.111, 1, 0.77, 1.26, 0.17), False),
        ("a white cap with a dark band", (0.05, 71, 0.07, 0.146, 0, 0.75, 1.16, 0.0), True),
        ("a pale veil over dark hair", (0.0, 45, 0.13, 0.163, 29, 0.73, 1.39, 0.67), True),
        ("a tall felt hat", (0.0, 8, 0.2, 0.03, 0, 0.94, 1.3, 0.0), True),
        ("a red beanie", (0.9, 8, 0.2, 0.05, 0, 0.8, 1.2, 0.0), True),
        ("black hair put up, painted", (0.0, 50, 0.026, 0.036, 10, 1.01, 1.30, 0.0, 18.0), False),
    ],
)
def test_headwear_by_what_was_measured(what: str, signs: tuple[float, ...], verdict: bool) -> None:
    """Signs measured on the portraits named; felt and wool from the limits alone."""
    assert HeadwearSigns(*signs).is_headwear == verdict, what


@pytest.mark.parametrize(("tone", "is_hat"), [((15.0, 5, -15), False), ((45.0, 10, -40), True)])
def test_black_hair_that_mirrors_a_blue_room_is_no_hat(tone: tuple[float, float, float], is_hat: bool) -> None:
    """Hair's surface mirrors some 5 % of any light: so dark a blue is the room's, a lighter one is dye or cloth."""
    frame = _frame()
    radius = np.hypot(frame.across, frame.down)
    hair = ((radius < 0.75) & (radius > 0.42) & (frame.down < 0.2)).astype(np.float32)
    rng = np.random.default_rng(0)
    lab = (np.array(tone) + rng.normal(0, 1, (256, 256, 3))).astype(np.float32)
    assert find_headwear(lab, hair, hair, np.zeros_like(hair), frame).any() == is_hat


def test_a_cloth_over_the_hair_is_headwear_and_the_hair_below_it_is_not() -> None:
    frame = _frame()
    radius = np.hypot(frame.across, frame.down)
    hair = ((radius < 0.85) & (radius > 0.42) & (frame.down < 0.2)).astype(np.float32)
    cloth = (radius > 0.62) & (hair > 0)
    rng = np.random.default_rng(0)
    lab = np.where(cloth[..., None], [70.0, 4, 18], [18.0, 6, 10]) + rng.normal(0, 2, (256, 256, 3))
    nothing = np.zeros_like(hair)
    found = find_headwear(lab.astype(np.float32), hair, hair, nothing, frame)
    assert found[cloth].mean() > 0.9
    assert found[(hair > 0) & (radius < 0.58)].mean() < 0.1
    plain = (np.array([18.0, 6, 10]) + rng.normal(0, 3, (256, 256, 3))).astype(np.float32)
    assert not find_headwear(plain, hair, hair, nothing, frame).any()


def test_a_moustache_begins_at_the_nostrils(tracked_astronaut: TrackedPortrait) -> None:
    """Dark hair over the whole upper lip; on the shaved face nothing is found there."""
    points, image = tracked_astronaut.landmarks_px, tracked_astronaut.image.copy()
    frame = FaceCoordinates.of(points, image.shape[:2])  # type: ignore[arg-type]
    nose = landmark_mask(points, marks.NOSE, image.shape[:2]) > 0.1
    lips = landmark_mask(points, marks.LIPS_OUTER, image.shape[:2]) > 0.1
    upper_lip = (frame.down > frame.nose) & (frame.down < frame.mouth - 0.02) & (np.abs(frame.across) < 0.18)
    moustache = upper_lip & ~nose & ~lips
    person = np.ones(image.shape[:2], np.float32)
    assert beard_mask(image, to_lab(image), points, frame, person).max() == 0
    image[moustache] = (45, 34, 28)
    found = beard_mask(image, to_lab(image), points, frame, person)
    assert found[moustache].mean() > 0.8
    below_nostrils = moustache & (frame.down < frame.nose + 0.03)
    assert below_nostrils.sum() > 100 and found[below_nostrils].mean() > 0.6


def test_a_bare_shoulder_belongs_to_the_body(tracked_astronaut: TrackedPortrait) -> None:
    """Beside the chin, where a line from the jaw's end leaves it above the neck: it would turn with the head."""
    points, shape = tracked_astronaut.landmarks_px, tracked_astronaut.masks.labels.shape
    frame = FaceCoordinates.of(points, shape)  # type: ignore[arg-type]
    hull = landmark_mask(points, marks.FACE_OVAL, shape)  # type: ignore[arg-type]
    zone = _neck_zone(points, frame, hull)
    shoulder = (np.abs(frame.across) > 0.9) & (frame.down > frame.chin + 0.02) & (frame.down < frame.chin + 0.2)
    assert zone[shoulder].min() > 0.95
    assert zone[(np.abs(frame.across) > 0.4) & (frame.down < frame.mouth)].max() < 0.1

"""Hair behind the neck, and texture made by example."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from benchmarks.portrait_surface import gaps_of, holes_of
from perse.attributes import Part
from perse.synthesis.procedural.animator.by_example import Example, _upright, detail_like, read_example
from perse.synthesis.procedural.animator.curtain import _may_hide, trace_outline

FACE = 60.0


def striped(angle: float, period: float = 5.0) -> np.ndarray:
    """A picture [120, 120, 3] of strands that run at an angle (radians)."""
    y, x = np.mgrid[:120, :120]
    across = -np.sin(angle) * x + np.cos(angle) * y
    gray = 90 + 40 * np.sin(2 * np.pi * across / period)
    return np.repeat(gray[..., None], 3, -1).astype(np.float32)


def test_strands_run_down_whichever_way_they_run_in_the_example() -> None:
    hair = np.ones((120, 120), np.float32)
    for angle in (0.0, 0.6, 1.3, 2.4):
        example = read_example(striped(angle), hair)
        assert example is not None
        made = detail_like(example, 96, 128, 0)
        across, down = np.abs(np.diff(made, axis=1)).mean(), np.abs(np.diff(made, axis=0)).mean()
        assert across > 2.5 * down, angle


def test_the_made_texture_is_as_strong_as_its_example_everywhere() -> None:
    """A plain weighted mean of overlapping patches would be weaker by a third, most of all where they meet."""
    rng = np.random.default_rng(1)
    picture = 100 + 60 * cv2.GaussianBlur(rng.standard_normal((120, 120)).astype(np.float32), (0, 0), 1.2)
    picture = picture[..., None].repeat(3, -1)
    example = read_example(picture, np.ones((120, 120), np.float32))
    assert example is not None
    wanted = example.detail[20:-20, 20:-20].std()
    made = detail_like(example, 132, 220, 0)
    blocks = made.reshape(6, 22, 10, 22).std(axis=(1, 3))
    assert abs(made.std() / wanted - 1) < 0.1
    assert blocks.min() > 0.55 * wanted


def test_a_texture_closes_around_the_head_without_a_seam() -> None:
    rng = np.random.default_rng(2)
    smooth = np.repeat(np.cumsum(rng.standard_normal((120, 120)), 1)[..., None] + 120, 3, -1).astype(np.float32)
    example = read_example(smooth, np.ones((120, 120), np.float32))
    assert example is not None
    made = detail_like(example, 60, 100, 3)
    seam = np.abs(made[:, 0] - made[:, -1]).mean()
    assert seam < 1.5 * np.abs(np.diff(made, axis=1)).mean()


def test_a_few_hairs_are_no_example() -> None:
    hair = np.zeros((120, 120), np.float32)
    hair[::7] = 1
    assert read_example(striped(0.0), hair) is None


def test_most_patches_stay_where_the_example_grows() -> None:
    """Training compares an edit with its reference: a hat that hides some hair must not comb the rest anew."""
    hair = np.zeros((120, 240), np.float32)
    hair[:, :200] = 1
    longer = hair.copy()
    longer[:, 200:215] = 1
    picture = np.concatenate([striped(0.3), striped(1.0, 7.0)], 1)
    first, second = (read_example(picture, mask) for mask in (hair, longer))
    assert first is not None and second is not None
    change = np.abs(detail_like(first, 88, 352, 0) - detail_like(second, 88, 352, 0))
    assert 0.6 < (change < 0.02).mean() < 1


def chance(place: tuple[int, int], seed: int, row: int, number: int) -> int:
    """A random number of 32 bits for a patch and a centre, one step at a time."""
    value = ((place[0] << 16) + place[1]) & 0xFFFFFFFF
    value ^= (seed * 0x9E3779B1 + row * 0x85EBCA6B + number * 0xC2B2AE35) & 0xFFFFFFFF
    value = (value ^ (value >> 16)) * 0x7FEB352D & 0xFFFFFFFF
    value = (value ^ (value >> 15)) * 0x846CA68B & 0xFFFFFFFF
    return value ^ (value >> 16)


def patch_by_patch(example: Example, along: int, across: int, seed: int) -> np.ndarray:
    """`detail_like`, slowly: every patch is chosen and added pixel column by pixel column."""
    r = example.radius_px
    window = np.maximum(np.outer(*[np.hanning(2 * r + 1).astype(np.float32)] * 2), 1e-4)
    total, squares = (np.zeros((along + 4 * r, across), np.float32) for _ in range(2))
    columns = max(1, round(across / r))
    for row in range(0, along + 2 * r, r):
        for number in range(columns):
            chances = [chance((int(x), int(y)), seed, row, number) for x, y in example.centres]
            best = int(np.argmax(chances))
            patch = _upright(example, best, bool(chances[best] & 1)) * window
            left = int((number + 0.5 * (row // r % 2)) * across / columns)
            for step in range(2 * r + 1):
                total[row : row + 2 * r + 1, (left + step) % across] += patch[:, step]
                squares[row : row + 2 * r + 1, (left + step) % across] += window[:, step] ** 2
    return total[r : r + along] / np.sqrt(np.maximum(squares[r : r + along], 1e-6))


def test_rows_of_patches_give_the_bits_of_single_patches() -> None:
    """Also where a patch reaches around the end, and where it is wider than the image."""
    rng = np.random.default_rng(4)
    example = Example(
        rng.standard_normal((60, 60)).astype(np.float32),
        rng.integers(8, 52, (12, 2)).astype(np.float32),
        rng.uniform(0, 3, 12).astype(np.float32),
        7,
    )
    for across in (50, 16, 11):
        made = detail_like(example, 30, across, 21)
        np.testing.assert_array_equal(made, patch_by_patch(example, 30, across, 21))


def hanging(left: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """What hangs and the head [240, 240]: strands on either side down to these rows; the chin is at row 120."""
    core, drawn = np.zeros((240, 240), np.uint8), np.zeros((240, 240), bool)
    drawn[30:121, 90:150] = True
    core[80:left, 70:90] = 1
    core[80:right, 150:175] = 1
    return core, drawn


def test_long_hair_falls_behind_the_neck_from_outline_to_outline() -> None:
    outline = trace_outline(*hanging(210, 200), 80, 120.0, FACE, None)
    assert outline is not None and outline.top == 40
    assert outline.ends == (169.0, 159.0)
    # One pixel: the outline is traced by whole ones.
    np.testing.assert_allclose(outline.left[100:140], 120 - 0.94 * 50, atol=1)
    np.testing.assert_allclose(outline.right[110:140], 120 + 0.94 * 54, atol=1)
    # It starts no wider than the head: an upper corner would stand out beside it.
    assert outline.left[0] > 120 - 36 and (np.abs(np.diff(outline.left)) < 0.7).all()


def test_hair_that_ends_at_the_chin_has_no_curtain() -> None:
    assert trace_outline(*hanging(125, 130), 80, 120.0, FACE, None) is None


def test_hair_that_leaves_a_photograph_at_the_chin_falls_behind_the_neck() -> None:
    """A headshot shows no hair below the chin: that it goes on is told by where it ends, at the photograph's edge."""
    core, drawn = hanging(128, 126)
    assert trace_outline(core, drawn, 80, 120.0, FACE, 130) is not None
    core, drawn = hanging(110, 112)
    assert trace_outline(core, drawn, 80, 120.0, FACE, 130) is None


def test_hair_over_one_shoulder_ends_at_the_nape_on_the_other() -> None:
    outline = trace_outline(*hanging(90, 220), 80, 120.0, FACE, None)
    assert outline is not None
    assert outline.ends[0] < outline.ends[1] - 60
    assert (outline.left[100:] > 120 - 0.4 * FACE).all()  # hidden by the neck at rest


def test_nothing_hangs_before_a_garment_or_in_the_air() -> None:
    """Where the photograph shows them, no hair can be: neither between strands nor beside the neck."""
    labels = np.full((60, 60), Part.BACKGROUND, np.uint8)
    labels[:, 20:30], labels[:, 30:40], labels[40:, 40:50] = Part.HAIR, Part.NECK, Part.CLOTHES
    fragments = SimpleNamespace(face=np.where(labels == Part.NECK, 3, -1))
    masks = SimpleNamespace(labels=labels)
    matte = (labels != Part.BACKGROUND).astype(np.float32)
    picture = SimpleNamespace(masks=masks, matte=matte, clothes=(labels == Part.CLOTHES).astype(np.float32))
    may = _may_hide(SimpleNamespace(fragments=fragments), picture, FACE)  # type: ignore[arg-type]
    assert (may[:, 22:38] == 1).all()
    assert not may[:, :19].any() and not may[:, 42:].any()


def test_a_collar_between_neck_and_strands_is_no_slit_in_the_hair_behind_them() -> None:
    labels = np.full((60, 60), Part.CLOTHES, np.uint8)
    labels[:, :20], labels[:, 26:46] = Part.HAIR, Part.NECK
    fragments = SimpleNamespace(face=np.where(labels == Part.NECK, 3, -1))
    masks = SimpleNamespace(labels=labels)
    clothes = (labels == Part.CLOTHES).astype(np.float32)
    picture = SimpleNamespace(masks=masks, matte=np.ones((60, 60), np.float32), clothes=clothes)
    may = _may_hide(SimpleNamespace(fragments=fragments), picture, FACE)  # type: ignore[arg-type]
    assert (may[:, 1:44] == 1).all() and not may[:, 48:].any()


def test_holes_and_gaps_are_measured() -> None:
    """A shoulder with a hole, and a strand that hangs apart from the neck, as in portraits of long hair."""
    alpha = np.zeros((100, 100), np.uint8)
    alpha[20:80, 20:80] = 255
    assert holes_of(alpha) == 0 and gaps_of(alpha) == 0
    alpha[40:50, 40:60] = 100
    assert abs(holes_of(alpha) - 200 / 3600) < 1e-6  # float64 of a quotient
    apart = np.zeros((100, 100), np.uint8)
    apart[20:80, 20:40], apart[20:80, 50:60], apart[20:30] = 255, 255, 255
    # Pixels along an edge of 100 are counted whole.
    assert holes_of(apart) < 0.002 and abs(gaps_of(apart) - 500 / 2500) < 0.02

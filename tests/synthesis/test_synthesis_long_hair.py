"""Long hair in the animator: it hangs beside the face, and shoulders go on behind it."""

from __future__ import annotations

import numpy as np

from perse.attributes import Part
from perse.data import PartMasks
from perse.synthesis.procedural.animator.body import SHOULDER_DROPS, SHOULDER_WIDTHS, _behind_the_head, _notches
from perse.synthesis.procedural.animator.hair_volume import _EAR_LEVEL, _N_ANGLES, _no_wider_below
from perse.synthesis.procedural.animator.hanging import _opaque
from perse.synthesis.procedural.animator.projection import Picture, prepare_picture

FACE = 60.0
NECKLINE = 150


def person(hair: slice | None) -> tuple[Picture, np.ndarray]:
    """A flat bust [240, 240]: a face, a neck, a garment from row 150 on, and hair over everything in some columns."""
    labels = np.full((240, 240), Part.BACKGROUND, np.uint8)
    labels[NECKLINE:, 40:200] = Part.CLOTHES
    labels[40:NECKLINE, 90:150] = Part.SKIN
    labels[110:NECKLINE, 95:145] = Part.NECK
    if hair is not None:
        labels[30:, hair] = Part.HAIR
    soft = np.zeros((len(Part), 240, 240), np.uint8)
    np.put_along_axis(soft, labels[None].astype(np.int64), 255, 0)
    masks = PartMasks(soft, np.where(labels == Part.BACKGROUND, 0, 255).astype(np.uint8))
    image = np.random.default_rng(0).integers(0, 255, (240, 240, 3), np.uint8)
    return prepare_picture(image, masks), labels == Part.SKIN


def test_shoulders_go_on_behind_hair_that_hides_them() -> None:
    picture, drawn = person(slice(150, 240))
    behind = _behind_the_head(picture, drawn, FACE) > 0
    for aside, drop in zip(SHOULDER_WIDTHS[1:3], SHOULDER_DROPS[1:3], strict=True):
        column = behind[:, int(120 + aside * FACE)]
        assert abs(int(column.argmax()) - (NECKLINE + drop * FACE)) < 4 and column[200:].all()
    assert not behind[:, :90].any()  # the other shoulder is seen as it is


def test_short_hair_hides_no_shoulders() -> None:
    picture, drawn = person(None)
    assert not _behind_the_head(picture, drawn, FACE)[:, ~drawn.any(0)].any()


def test_a_strand_on_the_shoulder_cuts_no_notch() -> None:
    picture, _ = person(slice(170, 174))
    notches = _notches(picture, FACE) > 0
    assert notches[170:230, 170:174].all() and not notches[: NECKLINE - 8].any() and not notches[:, :160].any()


def test_hair_below_the_ears_stands_off_no_farther_than_at_them() -> None:
    down = np.sin(2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES)
    skirt = (10 + 40 * np.clip(down, 0, 1)).astype(np.float32)
    limited = _no_wider_below(skirt)
    level = skirt[np.abs(down) < _EAR_LEVEL].max()
    assert limited[down >= _EAR_LEVEL].max() == level
    np.testing.assert_array_equal(limited[down < _EAR_LEVEL], skirt[down < _EAR_LEVEL])
    bob = (10 - 8 * np.clip(down, 0, 1)).astype(np.float32)
    np.testing.assert_array_equal(_no_wider_below(bob), bob)  # short hair keeps its shape


def test_strands_on_clothes_are_opaque_and_strands_on_air_are_not() -> None:
    soft = np.zeros((len(Part), 4, 4), np.uint8)
    soft[Part.HAIR], soft[Part.BACKGROUND] = 153, 102
    soft[Part.CLOTHES, 2:], soft[Part.BACKGROUND, 2:] = 102, 0
    picture = prepare_picture(np.zeros((4, 4, 3), np.uint8), PartMasks(soft, 255 - soft[Part.BACKGROUND]))
    alpha = _opaque(picture, Part.HAIR)
    np.testing.assert_allclose(alpha[:2], 0.6, atol=0.01)
    np.testing.assert_allclose(alpha[2:], 1.0, atol=0.01)

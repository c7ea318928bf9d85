"""Long hair in the animator: it hangs beside the face, and shoulders go on behind it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from perse.attributes import Part
from perse.data import PartMasks
from perse.synthesis.procedural.animator.body import (
    SHOULDER_DROPS,
    SHOULDER_WIDTHS,
    _bare_shoulders,
    _behind_the_head,
    _near_the_end,
    _neck_stays,
    _notches,
    _pockets,
    _skin_as_garment,
    _under_hair,
    _without_haze,
    _without_rims,
)
from perse.synthesis.procedural.animator.hair_volume import (
    _EAR_LEVEL,
    _N_ANGLES,
    _no_wider_below,
    falling_columns,
    joined,
)
from perse.synthesis.procedural.animator.hanging import _beyond_the_edge, _opaque, _tapered, _without_scraps
from perse.synthesis.procedural.animator.projection import PreparedPhotograph, prepare_photograph
from perse.tracking.crop import last_row

FACE = 60.0
NECKLINE = 150


def person(hair: slice | None) -> tuple[PreparedPhotograph, np.ndarray]:
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
    return prepare_photograph(image, masks), labels == Part.SKIN


def pockets_of(picture: PreparedPhotograph) -> np.ndarray:
    return _pockets(picture.masks.labels, FACE)


def test_shoulders_go_on_behind_hair_that_hides_them() -> None:
    picture, drawn = person(slice(150, 240))
    behind = _behind_the_head(picture, drawn, pockets_of(picture), FACE) > 0
    for aside, drop in zip(SHOULDER_WIDTHS[1:3], SHOULDER_DROPS[1:3], strict=True):
        column = behind[:, int(120 + aside * FACE)]
        assert abs(int(column.argmax()) - (NECKLINE + drop * FACE)) < 4 and column[200:].all()
    assert not behind[:, :90].any()  # the other shoulder is seen as it is


def test_short_hair_hides_no_shoulders() -> None:
    picture, drawn = person(None)
    assert not _behind_the_head(picture, drawn, pockets_of(picture), FACE)[:, ~drawn.any(0)].any()


def test_the_shoulder_line_runs_through_clothes_only() -> None:
    """Two collars in the corners of a headshot: an opening with an even kernel took a column beside one for cloth,
    whose edge was the picture's upper one, and a garment was made up behind the whole head."""
    picture, drawn = person(None)
    labels = picture.masks.labels.copy()
    labels[NECKLINE:, 88:152] = Part.NECK
    soft = np.zeros((len(Part), 240, 240), np.uint8)
    np.put_along_axis(soft, labels[None].astype(np.int64), 255, 0)
    picture = prepare_photograph(np.zeros((240, 240, 3), np.uint8), PartMasks(soft, picture.masks.person))
    behind = _behind_the_head(picture, drawn, pockets_of(picture), 80.0) > 0  # an opening of four columns
    assert not behind[: NECKLINE - 8].any()


def test_a_strand_on_the_shoulder_cuts_no_notch() -> None:
    picture, _ = person(slice(170, 174))
    notches = _notches(picture, pockets_of(picture), FACE) > 0
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
    picture = prepare_photograph(np.zeros((4, 4, 3), np.uint8), PartMasks(soft, 255 - soft[Part.BACKGROUND]))
    alpha = _opaque(picture, Part.HAIR)
    np.testing.assert_allclose(alpha[:2], 0.6, atol=0.01)  # two 8-bit levels: masks are bytes
    np.testing.assert_allclose(alpha[2:], 1.0, atol=0.01)  # as above


def test_crumbs_of_background_between_strands_are_no_holes_in_a_shoulder() -> None:
    labels = np.full((240, 240), Part.BACKGROUND, np.uint8)
    labels[150:, 40:200] = Part.CLOTHES
    labels[60:, 170:190] = Part.HAIR
    labels[170:176, 176:182] = Part.BACKGROUND  # between the strands
    labels[155:160, 188:215] = Part.BACKGROUND
    pockets = _pockets(labels, FACE)
    assert pockets[170:176, 176:182].all()
    assert not pockets[:150, :168].any() and not pockets[:, 210:].any()  # the wall stays the wall


def test_clothes_go_on_some_way_under_the_hair_that_lies_on_them() -> None:
    picture, _ = person(slice(150, 240))
    under = _under_hair(picture, np.zeros((240, 240), np.float32), FACE) > 0
    assert under[200, 150:154].all() and not under[200, 172:].any() and not under[:120].any()
    assert not under[picture.masks.labels != Part.HAIR].any()
    above, _ = person(None)
    labels = above.masks.labels.copy()
    labels[110 : NECKLINE - 3, 155:180] = Part.HAIR  # short hair ends above the shoulder, with air between
    apart = SimpleNamespace(masks=SimpleNamespace(labels=labels))
    assert not _under_hair(apart, np.zeros((240, 240), np.float32), FACE).any()  # type: ignore[arg-type]


def test_no_grey_contour_of_hair_stays_on_the_shoulder() -> None:
    """Alpha beside hair ends within a pixel or two, and thin lines between garment and what continues it are closed."""
    picture, _ = person(slice(150, 240))
    alpha, hole = np.zeros((240, 240), np.float32), np.zeros((240, 240), np.float32)
    alpha[150:, :148], alpha[150:, 148:152], alpha[150:, 152:] = 1, 0.45, 1
    hole[150:, 152:] = 1
    closed, grown = _without_rims(_without_haze(alpha, picture), hole, picture)
    np.testing.assert_allclose(closed[160:, 140:200], 1, atol=1e-6)  # float32 rounding
    assert grown[200, 148:152].all()
    haze = np.tile(np.linspace(1, 0, 240, dtype=np.float32)[:, None], (1, 240))
    crisp = _without_haze(haze, picture)
    middling = (crisp[:, 200] > 0.05) & (crisp[:, 200] < 0.95)
    assert middling.sum() < 0.35 * ((haze[:, 200] > 0.05) & (haze[:, 200] < 0.95)).sum()
    np.testing.assert_array_equal(crisp[:, 60], haze[:, 60])  # against the wall outlines stay as soft as they are


def test_hair_before_the_cheek_hangs_only_where_it_falls_below_the_chin() -> None:
    drawn = np.zeros((240, 240), bool)
    drawn[40:120, 90:150] = True
    there = np.zeros((240, 240), np.float32)
    there[60:130, 85:95] = 1  # a sideburn
    there[60:200, 145:160] = 1
    falls = falling_columns(there, drawn, FACE, None)
    assert falls[120:].all() and not falls[:118].any()
    there[124:] = 0  # what is left of the strands ends below the chin
    there[124:134, 145:160] = 1
    assert not falling_columns(there, drawn, FACE, None).any()
    at_the_edge = falling_columns(there, drawn, FACE, 134)  # the photograph ends there, its hair does not
    assert at_the_edge[120:].all() and not at_the_edge[:118].any()


def test_a_lock_begins_with_a_point_and_not_with_a_step() -> None:
    """What is too thin to hang by itself belongs to the lock that it widens into, and to no other."""
    there = np.zeros((120, 60), bool)
    for row in range(20, 60):
        there[row, 20 : 20 + (row - 20) // 6] = True
    there[60:100, 20:30] = True
    there[20:60, 50:52] = True  # the rim of something else
    core = np.zeros((120, 60), np.uint8)
    core[60:100, 20:30] = 1
    grown = _tapered(core, there, 40)
    np.testing.assert_array_equal(grown[:, :40] > 0, there[:, :40])
    assert not grown[:, 40:].any()
    assert not _tapered(core, there, 10)[:50].any()


def test_a_cloth_that_the_pictures_edge_cuts_goes_on_below_it_and_fades_at_its_sides() -> None:
    rgb = np.random.default_rng(0).random((100, 100, 3)).astype(np.float32)
    more, alpha = _beyond_the_edge(rgb, np.ones((100, 100), np.float32))
    assert more.shape[:2] == alpha.shape and alpha.shape[0] > 140
    assert alpha[130, 50] == 1 and not alpha[:, [0, -1]].any() and 0 < alpha[50, 6] < 1
    np.testing.assert_array_equal(more[:100, 1:-1], rgb)
    np.testing.assert_array_equal(more[100, 1:-1], rgb[99])


def test_hair_behind_an_arm_and_flecks_on_a_sleeve_stay_with_the_body() -> None:
    drawn = np.zeros((240, 240), bool)
    drawn[40:120, 90:150] = True
    hair = np.zeros((240, 240), np.float32)
    hair[60:200, 148:160] = 1
    hair[160:180, 40:70] = 1
    hair[170:173, 70:150] = 1  # a line of mixed pixels along a seam ties nothing
    together = joined(hair, drawn)
    assert together[60:200, 148:160].all() and not together[160:180, 40:70].any() and together[drawn].all()


def test_bare_shoulders_go_on_behind_hair_as_clothes_do() -> None:
    """Pieces of skin between strands, and no clothes at all: they were islands beside a turned head."""
    picture, drawn = person(None)
    soft = picture.masks.soft.copy()
    soft[Part.NECK] += soft[Part.CLOTHES]
    soft[Part.CLOTHES] = 0
    soft[:, 30:, 60:88] = soft[:, 30:, 152:180] = 0
    soft[Part.HAIR, 30:, 60:88] = soft[Part.HAIR, 30:, 152:180] = 255
    bare = prepare_photograph(picture.rgb.astype(np.uint8), PartMasks(soft, picture.masks.person))
    neck = (bare.masks.labels == Part.NECK) & (np.arange(240)[:, None] < NECKLINE)
    shoulders = _bare_shoulders(bare, drawn | neck, FACE)
    assert shoulders[200, 50] and shoulders[200, 190] and not shoulders[:NECKLINE].any()
    dressed = _skin_as_garment(bare, shoulders)
    behind = _behind_the_head(dressed, drawn, pockets_of(dressed), FACE) > 0
    assert behind[200:, 62:86].all() and behind[200:, 154:178].all()
    assert not _bare_shoulders(picture, drawn, FACE).any(), "who wears clothes is dressed"
    assert _skin_as_garment(picture, np.zeros_like(drawn)) is picture


def test_a_neck_that_the_photographs_end_cuts_stays_there() -> None:
    """The skinned neck turns away from the photograph's end: a notch between the collars would show the wall."""
    picture, drawn = person(None)
    inside = np.full((240, 240), 255, np.uint8)
    assert not _near_the_end(last_row(inside), inside.shape, FACE).any()  # cut by the crop, the body goes on below
    inside[140:] = 0
    labels = picture.masks.labels
    surface = SimpleNamespace(faces=np.zeros((1, 3), np.int32), head_share=np.ones(1, np.float32))
    fragments = SimpleNamespace(
        face=np.where(drawn | (labels == Part.NECK), 0, -1),
        interpolate=lambda faces, values: np.ones((240, 240, 1), np.float32),
    )
    pose = SimpleNamespace(fragments=fragments)
    stays = _neck_stays(surface, pose, picture, inside, FACE)  # type: ignore[arg-type]
    neck = labels[136, :] == Part.NECK
    assert (stays[136, neck][10:-10] > 0.99).all() and stays[112, 120] < 0.01


def test_a_hand_before_the_face_is_not_painted_on_it() -> None:
    """What reaches higher than the mouth and is skin of the body is a hand; a neck is none."""
    picture, _ = person(None)
    assert not picture.held.any() and not picture.shaded.any()
    labels = picture.masks.labels.copy()
    labels[92:96, 110:130] = Part.MOUTH
    neck = PartMasks(_only(labels), picture.masks.person)
    assert not prepare_photograph(picture.rgb.astype(np.uint8), neck).held.any()
    labels[60:105, 72:88] = Part.NECK
    hand = prepare_photograph(picture.rgb.astype(np.uint8), PartMasks(_only(labels), picture.masks.person))
    assert (hand.held[62:103, 74:86] > 0.99).all() and not hand.held[120:].any()
    assert hand.shaded[80, 100] > 0.9 and not hand.shaded[:, 140:].any()


def _only(labels: np.ndarray) -> np.ndarray:
    soft = np.zeros((len(Part), *labels.shape), np.uint8)
    np.put_along_axis(soft, labels[None].astype(np.int64), 255, 0)
    return soft


def test_scraps_of_hair_do_not_hang_on_their_own() -> None:
    core = np.zeros((60, 60), np.uint8)
    core[5:10, 5:25], core[20:50, 20:50] = 1, 1
    kept = _without_scraps(core, 200)
    assert not kept[:15].any() and kept[20:50, 20:50].all()

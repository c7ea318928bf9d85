"""Between two things that are worn: what lies half-way is what the editor would build with half-way numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree
from synthetic_head import neutral

from perse.attributes import Category
from perse.data import Attachment, AttributePrompt
from perse.data.tables.portraits import attachment_to_bytes, bytes_to_attachment
from perse.head import HeadModel
from perse.synthesis.procedural.attachments import textures
from perse.synthesis.procedural.attachments.between import Between
from perse.synthesis.procedural.attachments.earrings import build_earrings
from perse.synthesis.procedural.attachments.hat_models import Brim, Crown, HatModel, RimPlane
from perse.synthesis.procedural.attachments.hats import assemble, build_hat
from perse.synthesis.procedural.attachments.headphones import build_headphones
from perse.synthesis.procedural.attachments.pieces import Piece
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.prompts import complete


@pytest.fixture(scope="module")
def skull(head_model: HeadModel) -> Skull:
    return Skull.fit(head_model, neutral(head_model))


def hat(skull: Skull, width: float, height: float, color: int, *, brim: bool = True) -> tuple[Attachment, ...]:
    crown = Crown(((0, 1.0), (height / 2, 0.9), (height, 0.8), (height, 0.0)))
    pieces: list[Piece[Crown | Brim]] = [
        Piece("hat", (crown,), lambda _: textures.Mottled((64, 64), 0, ())((color,) * 3))
    ]
    if brim:
        pieces.append(Piece("brim", (Brim(width, lambda way, azimuth: -10 * way + 0 * azimuth),), pieces[0].coat))
    return assemble(HatModel(RimPlane(0.5, 0.2), tuple(pieces)), skull, {})


def worn(skull: Skull, category: Category, **given: str) -> tuple[Attachment, ...]:
    prompt = AttributePrompt("one", category, tuple(sorted(complete(category, given).items())), "", 3)
    build = {Category.HAT: build_hat, Category.HEADPHONES: build_headphones, Category.EARRINGS: build_earrings}
    return build[category](skull, prompt)


def points(things: tuple[Attachment, ...]) -> np.ndarray:
    return np.concatenate([item.vertices for item in things])


def test_half_way_is_the_hat_of_the_mean_numbers(skull: Skull) -> None:
    between = Between.of(hat(skull, 20, 60, 40), hat(skull, 60, 100, 200))
    assert between is not None
    middle, wanted = between.at(0.5), points(hat(skull, 40, 80, 120))
    assert cKDTree(wanted).query(middle.vertices)[0].max() < 1e-6  # metres: float32 rounding of a head's size
    assert cKDTree(middle.vertices).query(wanted)[0].max() < 1e-6  # as above
    for axis in range(3):
        # Metres: grids of both have other columns, so that extremes lie between them.
        assert np.ptp(middle.vertices[:, axis]) == pytest.approx(np.ptp(wanted[:, axis]), abs=2e-4)
    assert abs(int(middle.texels[:, 0].mean()) - 120) <= 1


@pytest.mark.parametrize(
    ("category", "kinds"),
    [
        (Category.HAT, ("beanie", "top hat")),
        (Category.HAT, ("cap", "wide brim")),
        (Category.HEADPHONES, ("studio", "gaming")),
        (Category.EARRINGS, ("hoop", "chandelier")),
    ],
)
def test_the_way_begins_and_ends_at_the_things(skull: Skull, category: Category, kinds: tuple[str, str]) -> None:
    ends = [worn(skull, category, kind=kind) for kind in kinds]
    between = Between.of(*ends)
    assert between is not None
    for position, end in zip((0.0, 1.0), ends, strict=True):
        vertices = between.at(position).vertices
        # Metres: grids are read at common rows and columns, a few millimetres apart.
        assert np.allclose(vertices.min(0), points(end).min(0), atol=4e-3)
        assert np.allclose(vertices.max(0), points(end).max(0), atol=4e-3)  # as above
    steps = [between.at(t).vertices for t in np.linspace(0, 1, 9)]
    far = np.linalg.norm(steps[-1] - steps[0], axis=1).max()
    assert max(np.linalg.norm(b - a, axis=1).max() for a, b in pairwise(steps)) < 0.45 * far


def test_a_brim_that_only_one_has_grows_out_of_the_rim(skull: Skull) -> None:
    bare, brimmed = hat(skull, 0, 80, 40, brim=False), hat(skull, 60, 80, 40)
    between = Between.of(bare, brimmed)
    assert between is not None
    wide = [float(np.ptp(between.at(t).vertices[:, 0])) for t in np.linspace(0, 1, 6)]
    assert wide[0] == pytest.approx(np.ptp(points(bare)[:, 0]), abs=1e-6)  # metres: float32 rounding of a head's size
    assert all(b > a for a, b in pairwise(wide))
    assert wide[-1] == pytest.approx(np.ptp(points(brimmed)[:, 0]), abs=1e-6)  # as above


def test_turning_the_way_around_changes_nothing(skull: Skull) -> None:
    ends = worn(skull, Category.HAT, kind="cap"), worn(skull, Category.HAT, kind="wide brim")
    forth, back = Between.of(*ends), Between.of(*ends[::-1])
    assert forth is not None and back is not None
    one, other = forth.at(0.3), back.at(0.7)
    # Metres: 1 - 0.3 and 0.7 differ by rounding, which shifts grids.
    assert np.allclose(one.vertices.mean(0), other.vertices.mean(0), atol=1e-5)
    assert np.allclose(np.sort(one.vertices[:, 2]), np.sort(other.vertices[:, 2]), atol=1e-5)  # as above


def test_same_in_same_out(skull: Skull) -> None:
    ends = worn(skull, Category.EARRINGS, kind="drop"), worn(skull, Category.EARRINGS, kind="stud")
    made = [Between.of(*ends) for _ in range(2)]
    assert made[0] is not None and made[1] is not None
    assert np.array_equal(made[0].at(0.4).vertices, made[1].at(0.4).vertices)
    assert np.array_equal(made[0].at(0.4).texels, made[1].at(0.4).texels)


def test_what_was_kept_with_an_edit_serves_as_well_and_what_has_no_sheets_does_not(skull: Skull) -> None:
    ends = worn(skull, Category.HAT, kind="beanie"), worn(skull, Category.HAT, kind="cap")
    kept = tuple(bytes_to_attachment(attachment_to_bytes(item)) for item in ends[0])
    one, other = Between.of(*ends), Between.of(kept, ends[1])
    assert one is not None and other is not None
    assert np.array_equal(one.at(0.5).vertices, other.at(0.5).vertices)
    old = tuple(replace(item, sheets=()) for item in ends[0])
    assert Between.of(old, ends[1]) is None
    assert Between.of((), ends[1]) is None


def test_sheets_hold_all_vertices(skull: Skull) -> None:
    item = worn(skull, Category.HAT, kind="beanie")[0]
    with pytest.raises(ValueError, match="hold"):
        replace(item, sheets=item.sheets[:1] * 2)

"""A hoop that becomes a drop is one shape all the way: the hole closes while the outline changes."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from synthetic_head import neutral

from perse.attributes import Category
from perse.data import Attachment, AttributePrompt
from perse.head import HeadModel
from perse.synthesis.procedural.attachments.between import Between
from perse.synthesis.procedural.attachments.earrings import build_earrings
from perse.synthesis.procedural.attachments.grids import Grid, grids_by_place
from perse.synthesis.procedural.attachments.ring_reading import in_one_form, is_ring, meetings
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.prompts import complete

STEPS = tuple(k / 8 for k in range(9))


@pytest.fixture(scope="module")
def skull(head_model: HeadModel) -> Skull:
    return Skull.fit(head_model, neutral(head_model))


def earrings(skull: Skull, kind: str) -> tuple[Attachment, ...]:
    slots = tuple(sorted(complete(Category.EARRINGS, {"kind": kind}).items()))
    return build_earrings(skull, AttributePrompt(kind, Category.EARRINGS, slots, "", 3))


def between(skull: Skull, first: str, second: str) -> Between:
    found = Between.of(earrings(skull, first), earrings(skull, second))
    assert found is not None
    return found


def grids(skull: Skull, kind: str) -> list[Grid]:
    return [grid for same in grids_by_place(earrings(skull, kind)).values() for grid in same]


def lowest(vertices: NDArray[np.float32]) -> float:
    """Of the person's left earring, metres."""
    return float(vertices[vertices[:, 0] > 0][:, 1].min())


def silhouette(vertices: NDArray[np.floating], faces: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The person's left earring as a hoop's axis sees it, a third of a millimetre a pixel; of the same place always."""
    along = np.stack([[0.70, 0, -0.72], [0, -1, 0]], 1)
    left = faces[(vertices[faces][:, :, 0] > 0).all(1)]
    flat = vertices @ along
    corner = np.array([0.01, 0.02])  # above an ear, and before it
    picture = np.zeros((240, 240), np.uint8)
    for triangle in np.round((flat[left] - corner) * 3000).astype(np.int32):
        cv2.fillConvexPoly(picture, triangle, 255)
    return picture


def test_a_hoop_and_a_drop_are_one_shape(skull: Skull) -> None:
    """Each vanishing into the lobe they were two, both of two thirds of their length in the middle."""
    way = between(skull, "hoop", "drop")
    ends = [lowest(way.at(t).vertices) for t in (0.0, 1.0)]
    for t in STEPS:
        wanted = (1 - t) * ends[0] + t * ends[1]
        # Metres: rows of the two are a millimetre apart, and what hangs lowest may change on the way.
        assert lowest(way.at(t).vertices) < wanted + 3e-3


def test_the_hole_closes(skull: Skull) -> None:
    way = between(skull, "hoop", "drop")
    holes = []
    for t in STEPS[:-1]:
        worn = way.at(t)
        outlines, tree = cv2.findContours(silhouette(worn.vertices, worn.faces), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        inner = [cv2.contourArea(outline) for outline, place in zip(outlines, tree[0], strict=True) if place[3] >= 0]
        holes.append(max(inner, default=0.0))
        assert sum(place[3] < 0 for place in tree[0]) == 1, "in one piece"
    assert holes[0] > 4000 and holes[-1] < 0.05 * holes[0]
    assert all(later < earlier for earlier, later in pairwise(holes[:6]))


@pytest.mark.parametrize("kinds", [("hoop", "drop"), ("drop", "hoop"), ("stud", "hoop"), ("stud", "drop")])
def test_the_way_ends_at_the_earrings(skull: Skull, kinds: tuple[str, str]) -> None:
    way = between(skull, *kinds)
    for t, kind in ((0.0, kinds[0]), (1.0, kinds[1])):
        found, whole = way.at(t), earrings(skull, kind)
        starts = np.cumsum([0, *(len(item.vertices) for item in whole)])[:-1]
        wanted = silhouette(
            np.concatenate([item.vertices for item in whole]),
            np.concatenate([item.faces + start for item, start in zip(whole, starts, strict=True)]).astype(np.int32),
        )
        shown = silhouette(found.vertices, found.faces)
        # Of the outline's pixels, and the two pictures' middles differ by up to one.
        assert (shown & wanted).sum() / (shown | wanted).sum() > 0.9


def test_a_body_read_as_a_ring_lies_on_the_body(skull: Skull) -> None:
    pairs = list(meetings(grids(skull, "hoop"), grids(skull, "drop")))
    assert len(pairs) == 2, "one for each ear"
    for hoop, drop in pairs:
        assert is_ring(hoop) and not is_ring(drop) and drop.owner.name == "pearls"
        ring, read = in_one_form(hoop, drop)
        assert ring is hoop and read.values.shape == hoop.values.shape
        apart = cKDTree(drop.sampled(np.linspace(0, 1, 200), np.linspace(-0.5, 0.5, 200))[..., :3].reshape(-1, 3))
        assert apart.query(read.points.reshape(-1, 3))[0].max() < 5e-4  # metres: how densely it was asked
        assert np.ptp(read.points[..., 1]) > 0.97 * np.ptp(drop.points[..., 1])


def test_what_hangs_from_different_places_does_not_meet(skull: Skull) -> None:
    left = [grid for grid in grids(skull, "hoop") if grid.points[..., 0].mean() > 0]
    right = [grid for grid in grids(skull, "drop") if grid.points[..., 0].mean() < 0]
    assert not list(meetings(left, right))
    assert not list(meetings(left, []))

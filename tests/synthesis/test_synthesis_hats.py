"""Hats: every kind the vocabulary knows, closed and outside the skull."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_head import neutral

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.errors import PromptError
from perse.head import HeadModel, Region
from perse.synthesis.procedural.attachments import textures
from perse.synthesis.procedural.attachments.hat_models import (
    HAT_MODELS,
    Brim,
    Crown,
    HatModel,
    RimPlane,
)
from perse.synthesis.procedural.attachments.hats import assemble, build_hat, rim_plane
from perse.synthesis.procedural.attachments.pieces import Piece, dyed
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.prompts import complete, vocabulary

KINDS = [
    *({"kind": kind} for kind in HAT_MODELS),
    {"kind": "beanie", "detail": "striped"},
    {"kind": "cap", "detail": "two-tone"},
    {"kind": "wide brim", "band": "red"},
]


def hat_prompt(**given: str) -> AttributePrompt:
    slots = complete(Category.HAT, given)
    return AttributePrompt("hat", Category.HAT, tuple(sorted(slots.items())), "", 3)


@pytest.fixture(scope="module")
def skull(head_model: HeadModel) -> Skull:
    return Skull.fit(head_model, neutral(head_model))


def test_every_kind_of_the_vocabulary_is_a_row() -> None:
    assert set(vocabulary(Category.HAT)["kind"]) == set(HAT_MODELS)


def test_a_hat_that_is_not_in_the_table_is_a_row(head_model: HeadModel, skull: Skull) -> None:
    """docs/attachments.md says so: a bucket hat of two shapes that others have."""
    cloth = Piece("bucket", (Crown(((0, 1.0), (40, 0.97), (95, 0.9), (96, 0.0))),), dyed(textures.felt))
    brim = Piece("bucket brim", (Brim(45, lambda way, azimuth: -30 * way + 0 * azimuth),), cloth.coat)
    model = HatModel(RimPlane(front=0.55, back=0.25), (cloth, brim))
    made = assemble(model, skull, {"color": "teal"})
    assert [item.name for item in made] == ["bucket", "bucket brim"]
    assert np.ptp(made[1].vertices[:, 0]) > np.ptp(made[0].vertices[:, 0]) + 0.05
    assert made[1].vertices[:, 1].min() < made[0].vertices[:, 1].min() - 0.02
    top = head_model.template.numpy()[:, 1].max()
    assert made[0].vertices[:, 1].max() > top


def same(one: Attachment, other: Attachment) -> bool:
    return all(
        np.array_equal(value, vars(other)[name]) if isinstance(value, np.ndarray) else value == vars(other)[name]
        for name, value in vars(one).items()
    )


@pytest.mark.parametrize("given", KINDS)
def test_hat_covers_the_head_and_nothing_pierces_it(head_model: HeadModel, skull: Skull, given: dict[str, str]) -> None:
    prompt = hat_prompt(**given)
    hat = build_hat(skull, prompt)
    shell = hat[0]
    assert all(item.part == Part.HEADWEAR for item in hat)
    assert skull.height_above(shell.vertices.astype(float)).min() > 0.001
    # From the centre, every scalp vertex above the rim looks at the inside of the hat, farther out than itself.
    vertices = head_model.template.numpy()[(head_model.regions == Region.SKIN).numpy()].astype(float)
    inside = vertices[rim_plane(prompt).height_above(skull, vertices) > 0.012]
    for point in inside[::40]:
        assert np.linalg.norm(point - skull.centre) < hit_distance(shell, skull.centre, point - skull.centre)


def hit_distance(item: Attachment, origin: np.ndarray, towards: np.ndarray) -> float:
    """Distance at which a ray leaves through a surface; infinite where it does not (Möller & Trumbore 1997)."""
    a, b, c = item.vertices[item.faces].astype(float).transpose(1, 0, 2)
    towards = towards / np.linalg.norm(towards)
    across = np.cross(towards, c - a)
    determinant = ((b - a) * across).sum(1)
    safe = np.where(np.abs(determinant) < 1e-15, 1, determinant)  # not a tolerance: no division by zero
    u = ((origin - a) * across).sum(1) / safe
    q = np.cross(origin - a, b - a)
    v = (q @ towards) / safe
    distance = (q * (c - a)).sum(1) / safe
    hits = (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6) & (distance > 0) & (np.abs(determinant) > 1e-15)
    assert hits.any(), "a ray from inside the head escapes through a hole in the hat"
    return float(distance[hits].max())


def test_visor_drops_enough_to_be_seen_from_the_front(skull: Skull) -> None:
    visor = next(item for item in build_hat(skull, hat_prompt(kind="cap")) if item.name == "cap brim")
    middle = visor.vertices[np.abs(visor.vertices[:, 0]) < 0.01]  # metres: a place on the hat, no tolerance
    front, root = middle[middle[:, 2].argmax()], middle[middle[:, 2] < np.quantile(middle[:, 2], 0.2)]
    assert root[:, 1].max() - front[1] > 0.026
    assert front[2] > skull.centre[2] + 0.15


def test_wide_brim_is_wider_than_a_top_hat_and_the_top_hat_taller(skull: Skull) -> None:
    def box(kind: str) -> np.ndarray:
        points = np.concatenate([item.vertices for item in build_hat(skull, hat_prompt(kind=kind))])
        return np.ptp(points, axis=0)

    assert box("wide brim")[0] > 1.3 * box("top hat")[0]
    tops = {kind: build_hat(skull, hat_prompt(kind=kind))[0].vertices[:, 1].max() for kind in HAT_MODELS}
    assert max(tops, key=lambda kind: tops[kind]) == "top hat"


def test_colour_of_the_prompt_is_the_colour_of_the_hat(skull: Skull) -> None:
    for kind in HAT_MODELS:
        red = build_hat(skull, hat_prompt(kind=kind, color="red"))[0].texture[..., :3].mean((0, 1))
        teal = build_hat(skull, hat_prompt(kind=kind, color="teal"))[0].texture[..., :3].mean((0, 1))
        assert red[0] > 2 * red[2] and teal[2] > 2 * teal[0]


def test_same_prompt_same_hat(skull: Skull) -> None:
    one, other = (build_hat(skull, hat_prompt(kind="beanie", detail="pompom")) for _ in range(2))
    assert len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))


def test_what_is_not_a_hat_is_refused(skull: Skull) -> None:
    with pytest.raises(PromptError, match="fez"):
        build_hat(skull, AttributePrompt("hat", Category.HAT, (("kind", "fez"),), "", 0))
    with pytest.raises(PromptError, match="expected a prompt for hat"):
        build_hat(skull, AttributePrompt("nose", Category.NOSE, (), "", 0))

"""Hair in 3D: it lies on the head, hides the scalp, stays off the face, and is what the prompt says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tolerances import SINGLE

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.errors import PromptError
from perse.head import HeadParameters
from perse.synthesis.procedural.attachments.hair import build_hair
from perse.synthesis.procedural.attachments.hair_colors import HAIR_COLORS
from perse.synthesis.procedural.attachments.hair_curtain import CurtainShape
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_styles import (
    HAIR_STYLES,
    CurtainStyle,
    Fringe,
    HairStyle,
    Roots,
    StrandStyle,
)
from perse.synthesis.procedural.attachments.hair_textures import StrandLook
from perse.synthesis.procedural.attachments.skull import Skull, angles, directions
from perse.synthesis.prompts import vocabulary
from perse.synthesis.prompts.vocabulary import VOCABULARIES

STYLED: tuple[tuple[tuple[str, str], ...], ...] = (
    (("length", "long"), ("parting", "middle"), ("style", "loose"), ("texture", "straight")),
    (("length", "shoulder"), ("parting", "side"), ("style", "loose"), ("texture", "wavy")),
    (("length", "long"), ("parting", "side"), ("style", "loose"), ("texture", "curly")),
    (("style", "bob"), ("texture", "straight")),
    (("length", "short"), ("style", "fringe"), ("texture", "straight")),
    (("length", "medium"), ("style", "afro")),
    (("length", "short"), ("style", "afro")),
    (("style", "ponytail"), ("texture", "straight")),
    (("parting", "side"), ("style", "cropped")),
    (("style", "buzz"),),
    (("style", "bun"),),
)

PIXIE = HairStyle(
    {
        "": (
            Roots(),
            CurtainStyle(shape=CurtainShape(fall=0.03, end_lift=0.007, framing=0.9)),
            Fringe(),
        )
    },
    {"straight": StrandStyle(look=StrandLook(columns=1024, clumps=50, tip_raggedness=0.3))},
)


def prompt(attributes: tuple[tuple[str, str], ...], color: str = "brown", seed: int = 5) -> AttributePrompt:
    slots = tuple(sorted((*attributes, ("color", color))))
    return AttributePrompt("hair-test", Category.HAIR, slots, "", seed)


@pytest.fixture(scope="module")
def skull(head_model) -> Skull:  # type: ignore[no-untyped-def]
    neutral = HeadParameters(
        torch.zeros(head_model.n_shape),
        torch.zeros(head_model.n_vertices, 3),
        torch.zeros(head_model.n_expression),
        torch.zeros(head_model.n_joints, 3),
    )
    return Skull.fit(head_model, neutral)


@pytest.fixture(scope="module", params=STYLED, ids=lambda slots: "-".join(value for _, value in slots))
def hair(request: pytest.FixtureRequest, skull: Skull) -> tuple[Attachment, ...]:
    return build_hair(skull, prompt(request.param))


def test_arrays_are_well_formed(hair: tuple[Attachment, ...]) -> None:
    for layer in hair:
        assert layer.part == Part.HAIR
        assert layer.faces.min() >= 0 and layer.faces.max() < len(layer.vertices)
        assert np.isfinite(layer.vertices).all()
        np.testing.assert_allclose(np.linalg.norm(layer.normals, axis=1), 1, atol=SINGLE)
        np.testing.assert_allclose(np.linalg.norm(layer.tangents, axis=1), 1, atol=SINGLE)
        assert layer.uvs[:, 1].min() >= 0 and layer.uvs[:, 1].max() <= 1
        assert layer.texture.dtype == np.uint8 and layer.texture.shape[2] == 4
        for field in (layer.head_weight, layer.occlusion):
            assert field.shape == (len(layer.vertices),)
            assert field.min() >= 0 and field.max() <= 1


def test_shells_lie_outside_the_skull(hair: tuple[Attachment, ...], skull: Skull) -> None:
    for layer in hair:
        if layer.name in ("bun", "hair tie"):  # these are sunk into the hair beneath them
            continue
        # Further down the skull's table holds the shoulders, over which hair may fall on either side.
        on_head = layer.vertices[:, 1] > skull.eye_y - 0.05
        # The shells are smoother than the skull's table; half a millimetre is a fifth of a pixel at 512.
        assert skull.height_above(layer.vertices[on_head].astype(float)).min() > -5e-4, layer.name


def test_no_scalp_shows_through(hair: tuple[Attachment, ...], skull: Skull) -> None:
    scalp = Scalp.of(skull)
    azimuth, elevation = np.meshgrid(np.deg2rad(np.arange(-180, 180, 15)), np.deg2rad(np.arange(-24, 90, 6)))
    azimuth, elevation = azimuth.ravel() + 0.01, elevation.ravel() + 0.01
    # A hairline is soft: within 14 degrees of it, or 10 to the side, skin may show.
    highest = np.max([scalp.hairline(azimuth + np.deg2rad(aside)) for aside in (-10, 0, 10)], axis=0)
    towards = directions(azimuth, elevation)[elevation > highest + np.deg2rad(14)]
    assert len(towards) > 150
    covered = np.zeros(len(towards))
    for layer in hair:
        covered = 1 - (1 - covered) * (1 - _alpha_along(layer, skull.centre, towards))
    # A buzz cut is meant to be thin.
    assert covered.min() > (0.5 if hair[1].name.startswith("stubble") else 0.85)


def test_face_stays_free(hair: tuple[Attachment, ...], skull: Skull) -> None:
    scalp = Scalp.of(skull)
    for layer in hair:
        opaque = layer.texture[..., 3].mean() > 0
        azimuth, _ = angles(layer.vertices.astype(float) - skull.centre)
        height = (layer.vertices[:, 1] - skull.centre[1]) / skull.scale
        on_face = (np.abs(azimuth) < np.deg2rad(24)) & (height < scalp.brow_y - 0.004) & (height > scalp.chin_y)
        assert opaque and not on_face.any(), layer.name


def test_only_long_ends_stay_with_the_body(hair: tuple[Attachment, ...], skull: Skull) -> None:
    for layer in hair:
        assert (layer.head_weight[layer.vertices[:, 1] > skull.chin_y + 0.02] == 1).all()
    lowest = min(float(layer.vertices[:, 1].min()) for layer in hair)
    if lowest < skull.chin_y - 0.08:
        assert min(float(layer.head_weight.min()) for layer in hair) < 0.5


def test_same_prompt_same_hair(skull: Skull) -> None:
    for slots in (STYLED[6], STYLED[8]):  # coils at random places, and a side that chance chooses
        first, second = build_hair(skull, prompt(slots)), build_hair(skull, prompt(slots))
        other = build_hair(skull, prompt(slots, seed=8))
        for one, two in zip(first, second, strict=True):
            assert np.array_equal(one.vertices, two.vertices) and np.array_equal(one.texture, two.texture)
        assert any(not np.array_equal(one.texture, two.texture) for one, two in zip(first, other, strict=True))


def test_colors_can_be_told_apart(skull: Skull) -> None:
    slots = STYLED[3]
    shades = {name: build_hair(skull, prompt(slots, name))[0].texture for name in ("blonde", "black", "red", "blue")}
    means = np.array([t[..., :3][t[..., 3] > 200].mean(0) for t in shades.values()])
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1) + 1e3 * np.eye(len(means))
    assert apart.min() > 35


def test_longer_hair_reaches_lower(skull: Skull) -> None:
    def lowest(length: str) -> float:
        slots = (("length", length), ("style", "loose"), ("texture", "straight"))
        return min(float(layer.vertices[:, 1].min()) for layer in build_hair(skull, prompt(slots)))

    assert lowest("long") < lowest("shoulder") - 0.05 < lowest("short") - 0.10


def test_fringe_ends_above_the_eyes(skull: Skull) -> None:
    layers = [layer for layer in build_hair(skull, prompt(STYLED[4])) if layer.name.startswith("fringe")]
    front = np.concatenate([layer.vertices[np.abs(layer.vertices[:, 0]) < 0.03] for layer in layers])
    assert skull.eye_y + 0.012 < front[:, 1].min() < skull.eye_y + 0.045


def test_hair_follows_the_size_of_the_head(skull: Skull) -> None:
    from dataclasses import replace

    large = replace(skull, radii=skull.radii * 1.2, scale=skull.scale * 1.2, ears=_grown(skull.ears, skull, 1.2),
                    eye_y=_grown_y(skull.eye_y, skull), chin_y=_grown_y(skull.chin_y, skull),
                    crown_y=_grown_y(skull.crown_y, skull))  # fmt: skip
    for one, two in zip(build_hair(skull, prompt(STYLED[0])), build_hair(large, prompt(STYLED[0])), strict=True):
        np.testing.assert_allclose(two.vertices, _grown(one.vertices, skull, 1.2), atol=SINGLE)  # metres


def test_bald_wears_nothing(skull: Skull) -> None:
    assert build_hair(skull, AttributePrompt("hair-0", Category.HAIR, (("style", "bald"),), "", 0)) == ()


def test_everything_in_the_vocabulary_is_known() -> None:
    slots = vocabulary(Category.HAIR)
    assert set(slots["color"]) <= set(HAIR_COLORS)
    assert set(slots["style"]) - {"natural"} == set(HAIR_STYLES)
    for word in VOCABULARIES[Category.HAIR].combinations():
        row = HAIR_STYLES.get(word["style"])
        assert row is None or word.get("length", next(iter(row.lengths))) in row.lengths
        assert row is None or len(row.strands) == 1 or word.get("texture", "straight") in row.strands


def test_a_style_that_is_not_in_the_table_is_a_row(skull: Skull, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/attachments.md says so: a pixie cut of layers that others have."""
    monkeypatch.setitem(HAIR_STYLES, "pixie", PIXIE)
    made = build_hair(skull, prompt((("style", "pixie"),)))
    assert [layer.name for layer in made] == ["scalp", *(f"hair shell {n}" for n in range(3)), "fringe 0", "fringe 1"]
    bob = build_hair(skull, prompt(STYLED[3]))
    assert min(layer.vertices[:, 1].min() for layer in made) > min(layer.vertices[:, 1].min() for layer in bob) + 0.04


@pytest.mark.parametrize(
    "slots",
    [
        (("style", "mullet"),),
        (("style", "bob"), ("texture", "crimped")),
        (("length", "epic"), ("style", "loose")),
        (("length", "epic"), ("style", "afro")),
    ],
)
def test_unknown_wishes_are_refused(skull: Skull, slots: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(PromptError, match="choose"):
        build_hair(skull, prompt(slots))


def _grown(points: NDArray[np.floating], skull: Skull, factor: float) -> NDArray[np.floating]:
    return skull.centre + factor * (points - skull.centre)


def _grown_y(height: float, skull: Skull) -> float:
    return float(skull.centre[1] + 1.2 * (height - skull.centre[1]))


def _alpha_along(layer: Attachment, origin: NDArray[np.float64], towards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Greatest alpha that rays from the skull's centre meet on a layer: Möller & Trumbore, all pairs."""
    corners = layer.vertices[layer.faces].astype(float)
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(towards[:, None], edge2[None])  # [rays, triangles, 3]
    volume = (across * edge1).sum(-1)
    inverse = np.where(np.abs(volume) > 1e-14, 1 / np.where(volume == 0, 1, volume), 0)
    offset = origin - corners[:, 0]
    u = (across * offset).sum(-1) * inverse
    turned = np.cross(offset, edge1)
    v = (towards @ turned.T) * inverse
    distance = (turned * edge2).sum(-1)[None] * inverse
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
    rays, triangles = np.nonzero(hit)
    weights = np.stack([1 - u - v, u, v], -1)[rays, triangles]
    uvs = (layer.uvs[layer.faces[triangles]] * weights[..., None]).sum(1)
    height, width = layer.texture.shape[:2]
    column = np.floor(uvs[:, 0] * width).astype(int) % width
    row = np.clip(np.floor(uvs[:, 1] * height).astype(int), 0, height - 1)
    alpha = np.zeros(len(towards))
    np.maximum.at(alpha, rays, layer.texture[row, column, 3] / 255)
    return alpha

"""The skull by direction, and grid surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_head import neutral

from perse.attributes import Part
from perse.head import HeadModel, HeadParameters, Region
from perse.synthesis.procedural.attachments.skull import Skull, angles, directions
from perse.synthesis.procedural.attachments.surfaces import ball, join, lathe, ring, tube
from perse.synthesis.procedural.attachments.textures import felt, knit, plain, straw


@pytest.fixture(scope="module")
def skull(head_model: HeadModel) -> Skull:
    return Skull.fit(head_model, neutral(head_model))


def test_angles_undo_directions() -> None:
    azimuth, elevation = np.meshgrid(np.linspace(-3, 3, 9), np.linspace(-1.5, 1.5, 7))
    got = angles(3.0 * directions(azimuth, elevation))
    np.testing.assert_allclose(got[0], azimuth, atol=1e-9)  # float64: an arc tangent and back
    np.testing.assert_allclose(got[1], elevation, atol=1e-9)
    np.testing.assert_allclose(directions(np.pi / 2, 0.0), [1, 0, 0], atol=1e-12)  # the person's left


def test_brain_case_lies_inside_and_close_to_the_skull(head_model: HeadModel, skull: Skull) -> None:
    vertices = head_model.template.numpy()[(head_model.regions == Region.SKIN).numpy()]
    case = vertices[vertices[:, 1] > skull.centre[1] + 0.02]
    height = skull.height_above(case)
    assert height.max() < 5e-4  # metres: half a millimetre is less than a pixel of a portrait
    assert np.median(height) > -2e-3


def test_a_direction_alone_has_the_radius_that_it_has_among_others(skull: Skull) -> None:
    towards = np.stack([directions(0.0, 0.25), directions(1.0, -0.5)])
    alone = [skull.radius(one) for one in towards]
    assert all(one.shape == () for one in alone) and np.array_equal(np.stack(alone), skull.radius(towards))
    assert skull.radius(towards[None]).shape == (1, 2)


def test_ears_stand_out_and_lobes_hang_at_their_lower_end(skull: Skull) -> None:
    assert skull.height_above(skull.ears).min() > 0.003
    for side, sign in enumerate((1, -1)):
        ear = skull.ears[skull.ears[:, 0] * sign > 0]
        lobe, canal = skull.lobes[side], skull.canals[side]
        assert lobe[0] * sign > 0.05
        assert ear[:, 1].min() <= lobe[1] < np.quantile(ear[:, 1], 0.25)
        assert lobe[1] < canal[1] < skull.eye_y


def test_skull_of_a_larger_head_is_larger(head_model: HeadModel, skull: Skull) -> None:
    still = neutral(head_model)
    grown = HeadParameters(still.betas, 0.1 * head_model.template, still.expression, still.pose)
    larger = Skull.fit(head_model, grown)
    # Radii are a table by direction, read between its entries.
    assert larger.scale == pytest.approx(1.1 * skull.scale, rel=0.01)
    towards = directions(np.linspace(-3, 3, 20), np.linspace(0, 1.4, 20))
    np.testing.assert_allclose(larger.radius(towards), 1.1 * skull.radius(towards), rtol=0.01)  # as above


def test_a_head_without_named_ears_still_gets_lobes_on_its_sides() -> None:
    sphere = ball(np.zeros(3), (0.075, 0.1, 0.09), rings=40, segments=60).points.reshape(-1, 3)
    index = np.arange(40 * 61).reshape(40, 61)
    faces = np.stack([index[:-1, :-1], index[1:, :-1], index[:-1, 1:]], -1).reshape(-1, 3)
    nothing = np.zeros(len(sphere), bool)
    eyes = np.array([[0.03, 0.0, 0.08], [-0.03, 0.0, 0.08]])
    skull = Skull.from_vertices(sphere, faces, skin=~nothing, ears=nothing, eyes=eyes)
    # Metres: lobes are vertices of a coarse ball, and radii are a table by direction, read between its entries.
    assert skull.lobes[0, 0] == pytest.approx(-skull.lobes[1, 0], abs=1e-3)
    assert 0.05 < skull.lobes[0, 0] < 0.1 and skull.lobes[0, 1] < 0
    assert skull.radius(np.array([0.0, 1.0, 0.0])) == pytest.approx(0.1 - skull.centre[1], abs=2e-3)


def test_surfaces_are_oriented_outwards() -> None:
    shapes = [
        ball(np.array([1.0, 2.0, 3.0]), (0.3, 0.2, 0.1)),
        lathe(np.zeros(3), np.array([1.0, 0.0, 0.0]), [(0, 0.0), (0, 1.0), (1, 1.0), (1, 0.0)]),
        tube(ring(np.zeros(3), np.array([0.0, 0.0, 1.0]), 1.0), 0.1),
    ]
    for shape in shapes:
        made = join("shape", Part.EARRINGS, [shape], plain((200, 200, 200)))
        corners = made.vertices[made.faces].astype(np.float64)
        volume = np.einsum("ti,ti->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        assert volume > 0  # counter-clockwise from outside
        np.testing.assert_allclose(np.linalg.norm(made.normals, axis=1), 1, atol=1e-5)


def test_ball_has_the_volume_of_a_ball() -> None:
    made = join("ball", Part.EARRINGS, [ball(np.zeros(3), (1, 1, 1), rings=40, segments=80)], plain((9, 9, 9)))
    corners = made.vertices[made.faces].astype(np.float64)
    volume = np.einsum("ti,ti->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    # A polyhedron inside the ball: facets of π / 40 lose (π / 40)² / 2 in each direction at most.
    assert volume == pytest.approx(4 / 3 * np.pi, rel=0.01)
    # Where u wraps, the normal does too.
    np.testing.assert_allclose(made.normals, made.vertices / np.linalg.norm(made.vertices, axis=1)[:, None], atol=0.06)


@pytest.mark.parametrize("texture", [knit((190, 30, 40)), felt((30, 110, 60)), straw((222, 186, 120))])
def test_materials_keep_their_colour_and_do_not_jump_where_u_wraps(texture: np.ndarray) -> None:
    rgb = texture[..., :3].astype(float)
    hue = rgb.mean((0, 1)) / rgb.mean()
    assert hue.argmax() == np.array(texture[..., :3].mean((0, 1))).argmax()
    seam = np.abs(rgb[:, 0] - rgb[:, -1]).mean()
    inside = np.abs(np.diff(rgb, axis=1)).mean(2).mean(0).max()
    assert seam <= 1.2 * inside

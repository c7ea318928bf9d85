"""Light, drawing and shadows of the scene around a head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import Attachment, PartMasks
from perse.geometry import Camera
from perse.synthesis.procedural.scene import (
    FrameBuffers,
    Light,
    bake_occlusion,
    draw_attachments,
    fit_light,
    prepare_attachments,
    self_occlusion,
    shadows_on,
)
from perse.synthesis.procedural.scene.kernels import _opacity, _texel
from perse.synthesis.procedural.scene.light import harmonics

WHITE_LIGHT = Light(np.array([1, 0, 0, 0, 0, 0, 0, 0, 0], np.float32))
IDENTITY = np.eye(4, dtype=np.float32)


def front_camera(size: int = 32) -> Camera:
    """Looks along −z from one metre; a metre across fills the picture at the origin."""
    world_to_camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    world_to_camera[2, 3] = 1.0
    intrinsics = torch.tensor([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    return Camera(world_to_camera, intrinsics, size, size)


def quad(
    depth: float,
    rgba: tuple[int, int, int, int],
    *,
    half: float = 0.3,
    part: Part = Part.HAIR,
    weight: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    tilt: float = 0.0,
) -> Attachment:
    """A square at z = `depth` that faces the camera."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * half
    corners[:, 2] = depth + tilt * corners[:, 0]
    corners[:, :2] += shift
    return Attachment(
        name="quad",
        part=part,
        vertices=corners,
        normals=np.tile(np.array([0, 0, 1], np.float32), (4, 1)),
        tangents=np.tile(np.array([1, 0, 0], np.float32), (4, 1)),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        uvs=np.array([[0, 0], [0.9, 0], [0.9, 1], [0, 1]], np.float32),
        texture=np.tile(np.array(rgba, np.uint8), (8, 8, 1)),
        head_weight=np.full(4, weight, np.float32),
        occlusion=np.ones(4, np.float32),
    )


def draw(*items: Attachment, buffers: FrameBuffers | None = None, light: Light = WHITE_LIGHT) -> FrameBuffers:
    buffers = buffers or FrameBuffers.blank(32, 32)
    draw_attachments(buffers, items, IDENTITY, front_camera(), light)
    return buffers


def sphere_normals(size: int = 96) -> NDArray[np.float32]:
    y, x = np.mgrid[1 : -1 : size * 1j, -1 : 1 : size * 1j]
    inside = x * x + y * y < 0.98
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    return (np.stack([x, y, z], -1) * inside[..., None]).astype(np.float32)


def test_fit_recovers_the_light_that_lit_a_face() -> None:
    true = Light(np.array([0.7, -0.2, 0.15, 0.25, 0, 0, 0.02, 0, 0], np.float32))
    normals = sphere_normals()
    seen = np.abs(normals).sum(-1) > 0
    skin = np.where(seen, harmonics(normals) @ true.coefficients, 0)
    image = np.clip(skin[..., None] * np.array([210, 160, 140]), 0, 255).astype(np.uint8)
    image[40:52, 30:60] = 15  # a moustache, say: the fit must not follow it
    soft = np.zeros((len(Part), *seen.shape), np.uint8)
    soft[Part.SKIN] = 255 * seen
    light = fit_light(image, PartMasks(soft, soft[Part.SKIN]), normals)
    expected, got = true.shade(normals[seen]), light.shade(normals[seen])
    ratio = got / expected
    assert ratio.std() / ratio.mean() < 0.03
    assert light.direction[0] < -0.3  # from the picture's left
    assert np.percentile(harmonics(normals[seen]) @ light.coefficients, 90) == pytest.approx(1, abs=0.02)


def test_too_little_skin_falls_back_to_studio_light() -> None:
    soft = np.zeros((len(Part), 8, 8), np.uint8)
    light = fit_light(np.zeros((8, 8, 3), np.uint8), PartMasks(soft, soft[0]), np.zeros((8, 8, 3), np.float32))
    assert np.array_equal(light.coefficients, Light.studio().coefficients)


def test_nearer_things_hide_farther_ones_whatever_the_order() -> None:
    red, blue = quad(0.1, (200, 0, 0, 255), part=Part.HEADWEAR), quad(-0.1, (0, 0, 200, 255))
    one, other = draw(red, blue), draw(blue, red)
    assert np.array_equal(one.rgb, other.rgb)
    np.testing.assert_allclose(one.rgb[16, 16], [200, 0, 0])
    assert one.parts[16, 16] == Part.HEADWEAR
    assert one.depth[16, 16] == pytest.approx(0.9)
    assert one.parts[0, 0] == Part.BACKGROUND and np.isinf(one.depth[0, 0])


def test_what_is_in_the_frame_hides_and_shows() -> None:
    buffers = FrameBuffers.blank(32, 32)
    buffers.rgb[:], buffers.alpha[:], buffers.depth[:], buffers.parts[:] = 100, 1, 1.0, Part.SKIN
    draw(quad(-0.2, (0, 200, 0, 255)), buffers=buffers)
    assert (buffers.rgb == 100).all()
    draw(quad(0.2, (0, 200, 0, 255)), buffers=buffers)
    np.testing.assert_allclose(buffers.rgb[16, 16], [0, 200, 0])
    assert buffers.parts[16, 16] == Part.HAIR


def test_half_covered_edge_of_the_frame_mixes_with_what_is_behind_not_with_paper() -> None:
    buffers = FrameBuffers.blank(32, 32)
    buffers.alpha[:], buffers.depth[:], buffers.parts[:] = 0.5, 0.5, Part.SKIN
    buffers.rgb[:] = 0.5 * 100 + 0.5 * 255
    draw(quad(-0.2, (0, 200, 0, 255)), buffers=buffers)
    np.testing.assert_allclose(buffers.rgb[16, 16], [50, 150, 50], atol=0.01)  # of 255: float32 blending
    assert buffers.alpha[16, 16] == pytest.approx(1)


def test_blending_equals_sorting_every_pixel_slowly() -> None:
    rng = np.random.default_rng(3)
    depths = rng.permutation(np.linspace(-0.3, 0.4, 9))
    items = [
        quad(
            float(z),
            (*rng.integers(0, 256, 3).tolist(), int(rng.integers(40, 255))),  # type: ignore[arg-type]
            half=float(rng.uniform(0.1, 0.4)),
            shift=(float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.1, 0.1))),
            tilt=float(rng.uniform(-0.02, 0.02)),
        )
        for z in depths
    ]
    drawn = draw(*items)
    expected = slowly_sorted(items)
    # A 255th is where the fast path stops looking behind.
    assert np.abs(drawn.rgb - expected).max() < 1.1


def slowly_sorted(items: list[Attachment]) -> NDArray[np.float32]:
    """The same picture, one layer after another from the back; layers do not intersect here."""
    picture = np.full((32, 32, 3), 255, np.float64)
    for item in sorted(items, key=lambda item: item.vertices[:, 2].mean()):
        alone = draw(item)
        covered = alone.alpha > 0
        alpha, colour = item.texture[0, 0, 3] / 255, item.texture[0, 0, :3].astype(np.float64)
        picture[covered] = picture[covered] * (1 - alpha) + alpha * colour
    return picture.astype(np.float32)


def test_alpha_adds_up_and_thin_veils_claim_no_part() -> None:
    veil = draw(quad(0.0, (10, 10, 10, 100)))
    assert veil.alpha[16, 16] == pytest.approx(100 / 255, abs=1e-3)  # a quarter of an 8-bit level
    assert veil.parts[16, 16] == Part.BACKGROUND and np.isinf(veil.depth[16, 16])
    # Two triangles share the diagonal of the quad: no pixel there may be blended twice.
    inside = veil.alpha[veil.alpha > 0]
    assert np.ptp(inside) < 1e-4


def test_normals_light_both_sides_of_a_sheet() -> None:
    light = Light(np.array([0.6, 0, 0, 0.4, 0, 0, 0, 0, 0], np.float32))
    front = draw(quad(0.0, (200, 200, 200, 255)), light=light)
    item = quad(0.0, (200, 200, 200, 255))
    away = Attachment(**{**vars(item), "normals": -item.normals})
    behind = draw(away, light=light)
    np.testing.assert_allclose(front.rgb, behind.rgb, atol=0.1)  # of 255: float32 harmonics


def test_head_weight_blends_between_body_and_neck() -> None:
    shifted = IDENTITY.copy()
    shifted[0, 3] = 0.25
    columns = []
    for weight in (0.0, 0.5, 1.0):
        buffers = FrameBuffers.blank(32, 32)
        draw_attachments(
            buffers, [quad(0.0, (0, 0, 0, 255), half=0.1, weight=weight)], shifted, front_camera(), WHITE_LIGHT
        )
        columns.append(np.nonzero(buffers.alpha.sum(0))[0].mean())
    assert columns[1] - columns[0] == pytest.approx(4, abs=0.6)  # pixels: columns are counted whole at both edges
    assert columns[2] - columns[1] == pytest.approx(4, abs=0.6)  # as above


def test_texture_wraps_in_u_and_is_filtered_when_small() -> None:
    item = quad(0.0, (0, 0, 0, 255))
    stripes = np.zeros((64, 64, 4), np.uint8)
    stripes[..., 3] = 255
    stripes[:, ::2, :3] = 255
    fine = Attachment(**{**vars(item), "texture": stripes, "uvs": item.uvs * np.float32(8)})
    patch = draw(fine).rgb[10:22, 10:22]
    assert np.abs(patch - 127.5).max() < 20  # grey, not moiré
    turned = Attachment(**{**vars(fine), "uvs": fine.uvs + np.array([3, 0], np.float32)})
    # Levels: float32 texture coordinates lose two bits by three turns.
    np.testing.assert_allclose(draw(turned).rgb, draw(fine).rgb, atol=1e-2)


def test_prepared_and_raw_attachments_draw_the_same() -> None:
    items = [quad(0.1, (200, 0, 0, 128)), quad(-0.1, (0, 0, 200, 255))]
    raw, prepared = draw(*items), FrameBuffers.blank(32, 32)
    draw_attachments(prepared, prepare_attachments(items), IDENTITY, front_camera(), WHITE_LIGHT)
    assert np.array_equal(raw.rgb, prepared.rgb)


def test_camera_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"camera\.resized"):
        draw_attachments(FrameBuffers.blank(8, 8), [quad(0, (0, 0, 0, 255))], IDENTITY, front_camera(), WHITE_LIGHT)


def test_shadows_fall_under_a_roof_and_nowhere_else() -> None:
    roof = quad(0.0, (0, 0, 0, 255), half=0.1)
    x = np.linspace(-0.4, 0.4, 81, dtype=np.float32)
    wall = np.stack([x, np.zeros_like(x), np.full_like(x, -0.03)], 1)
    normals = np.tile(np.array([0, 0, 1], np.float32), (81, 1))
    kept = shadows_on(wall, normals, [roof], WHITE_LIGHT)
    assert kept[40] < 0.75
    assert kept[0] == 1 and kept[-1] == 1
    in_front = wall + np.array([0, 0, 0.06], np.float32)
    assert (shadows_on(in_front, normals, [roof], WHITE_LIGHT) == 1).all()
    assert (shadows_on(wall, normals, [], WHITE_LIGHT) == 1).all()


def test_baking_darkens_what_lies_under_something_and_keeps_what_is_open() -> None:
    roof, floor = quad(0.05, (0, 0, 0, 255), half=0.2), quad(0.0, (0, 0, 0, 255), half=0.1)
    wall = quad(-0.5, (0, 0, 0, 255), half=0.01)
    baked_roof, baked_floor = bake_occlusion([roof, floor], wall.vertices, wall.faces, WHITE_LIGHT)
    assert baked_floor.occlusion.max() < 0.7
    assert baked_roof.occlusion.min() > 0.96  # its own border may touch it through a coarse depth map
    assert np.array_equal(baked_floor.vertices, floor.vertices)


def test_a_sheet_does_not_shade_itself_but_a_ditch_does() -> None:
    flat = quad(0.0, (0, 0, 0, 255))
    assert self_occlusion(flat.vertices, flat.normals, flat.faces, WHITE_LIGHT).min() > 0.99
    left, right = quad(0.0, (0, 0, 0, 255), half=0.2, tilt=-2.0), quad(0.0, (0, 0, 0, 255), half=0.2, tilt=2.0)
    aside = np.array([0.2, 0, 0])
    vertices = np.concatenate([left.vertices - aside, right.vertices + aside, [[0, 0, -0.39]]])
    normals = np.tile(np.array([0, 0, 1], np.float32), (9, 1))
    faces = np.concatenate([left.faces, right.faces + 4]).astype(np.int32)
    open_ = self_occlusion(vertices.astype(np.float32), normals, faces, WHITE_LIGHT)
    assert open_[8] < 0.9


def test_the_opacity_that_decides_what_is_collected_is_that_of_the_texel() -> None:
    """Fragments are collected by one kernel and shaded by another: two opacities would leave holes at soft edges."""
    rng = np.random.default_rng(3)
    texels = rng.integers(0, 256, (2 + 5 * 7, 4)).astype(np.uint8)
    colour = np.empty(4)
    for u, v in rng.uniform(-1.5, 2.5, (200, 2)):
        _texel(texels, 2, 5, 7, u, v, colour)
        assert _opacity(texels, 2, 5, 7, u, v) == colour[3]

"""Exports drawn again: what another program reads looks like the avatar."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from perse.errors import InputError
from perse.export import (
    FORMATS,
    SUFFIXES,
    Provenance,
    SplatScene,
    export_bytes,
    export_file,
    format_of,
    orbit,
    read_splats,
    verify_file,
)
from perse.export.gltf import EXTENSION, glb_bytes, glb_chunks
from perse.export.provenance import STATEMENT
from perse.export.splat_files import turned
from perse.export.splat_readers import ply_header, read_ply
from perse.export.spz import read_spz
from perse.export.usd import PRIM, read_usd
from perse.gaussians import Gaussians
from perse.geometry.rotations import quaternion_to_matrix
from perse.render import CpuRasterizer, rasterize

SPLATS = [f for f in FORMATS if f not in ("usd", "html")]


def drawn(gaussians: Gaussians, scene: SplatScene) -> torch.Tensor:
    """From the front and from the side, so that a wrong rotation or mirrored axis cannot hide."""
    camera = scene.camera.resized(96, 96)
    views = [camera, orbit(camera, scene.centre, 0.7, 0.3)]
    ground = torch.ones(3)
    return torch.stack(
        [rasterize(gaussians, view, background=ground, rasterizer=CpuRasterizer()).colors for view in views]
    )


def psnr_on_avatar(one: torch.Tensor, two: torch.Tensor) -> float:
    """White margins would flatter it."""
    seen = (two < 0.98).any(-1)
    return float(-10 * torch.log10((one - two)[seen].square().mean()))


@pytest.mark.parametrize("format", SPLATS)
def test_reading_an_export_and_drawing_it_gives_the_avatar(format, scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"avatar{SUFFIXES[format]}"
    export_file(scene, path, format, provenance)
    expected = drawn(scene.still(), scene)
    assert (expected < 0.5).any()
    assert psnr_on_avatar(drawn(read_splats(path), scene), expected) >= (100 if format in ("ply", "glb") else 40)
    assert psnr_on_avatar(drawn(scene.still(3), scene), expected) < 35  # the test can tell


def test_usd_holds_every_frame(scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "avatar.usdc"
    export_file(scene, path, "usd", provenance)
    gaussians, fps = read_usd(path)
    assert fps == 5.0
    for frame in range(scene.n_frames):
        assert psnr_on_avatar(drawn(gaussians[frame], scene), drawn(scene.still(frame), scene)) >= 100


def test_usd_is_a_conforming_particle_field(scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from pxr import Usd, UsdGeom

    path = tmp_path / "avatar.usdc"
    export_file(scene, path, "usd", provenance)
    stage = Usd.Stage.Open(str(path))
    prim = stage.GetPrimAtPath(PRIM)
    assert prim.GetTypeName() == "ParticleField3DGaussianSplat"
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert stage.GetDefaultPrim().GetPath().pathString == "/Avatar"
    assert prim.GetAttribute("positions").GetNumTimeSamples() == scene.n_frames
    count = scene.gaussians.means.shape[1]
    for name in ("positions", "scales", "orientations", "opacities", "radiance:sphericalHarmonicsCoefficients"):
        assert len(prim.GetAttribute(name).Get(0.0)) == count, name
    low, high = np.array(prim.GetAttribute("extent").Get(0.0))
    means = scene.still().means.numpy()
    assert (means >= low).all() and (means <= high).all()


def test_ply_has_the_names_that_viewers_look_for(scene, provenance) -> None:  # type: ignore[no-untyped-def]
    header, offset = ply_header(export_bytes(scene, "ply", provenance))
    names = re.findall(r"property float (\w+)", header)
    wanted = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3"
    assert names == wanted.split()
    assert offset + 4 * len(names) * scene.gaussians.means.shape[1] == len(export_bytes(scene, "ply", provenance))


def test_compressed_ply_is_recognised_as_such(scene, provenance) -> None:  # type: ignore[no-untyped-def]
    header, _ = ply_header(export_bytes(scene, "compressed-ply", provenance))
    elements = re.findall(r"element (\w+) (\d+)", header)
    assert [name for name, _ in elements] == ["chunk", "vertex"]  # an empty "sh" makes SuperSplat refuse it
    assert int(elements[0][1]) == -(-int(elements[1][1]) // 256)


def test_another_program_reads_spz(scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """PlayCanvas' converter: npm install -g @playcanvas/splat-transform. It turns the format's y up into its y down."""
    converter = shutil.which("splat-transform")
    if converter is None:
        pytest.skip("splat-transform is not here: npm install -g @playcanvas/splat-transform")
    export_file(scene, tmp_path / "a.spz", "spz", provenance)
    subprocess.run([converter, "-w", tmp_path / "a.spz", tmp_path / "a.ply"], check=True, capture_output=True)
    found, ours = read_splats(tmp_path / "a.ply"), scene.still()
    half_turn = torch.tensor([-1.0, 1.0, -1.0])  # between RUB as they see it and what SuperSplat turns a .ply into
    # Metres: one step of the file's 16 fractional bits.
    assert torch.allclose(found.means, ours.means * half_turn, atol=2e-5)
    # The file keeps the logarithm in sixteenths: half a step is 1/32.
    assert torch.allclose(found.scales.log(), ours.scales.log(), atol=1 / 30)
    # Two 8-bit levels: the file has one byte a colour.
    assert torch.allclose(found.colors, ours.colors, atol=0.01) and torch.allclose(
        found.opacities, ours.opacities, atol=0.01
    )
    turned_shapes = half_turn[:, None] * shapes(ours) * half_turn
    assert (shapes(found) - turned_shapes).abs().max() < 0.1 * turned_shapes.abs().max()


def shapes(gaussians: Gaussians) -> torch.Tensor:
    """Covariances [n, 3, 3]: several rotations make the same one."""
    axes = quaternion_to_matrix(gaussians.quats) * gaussians.scales[:, None]
    return axes @ axes.mT


@pytest.mark.parametrize("cut", [0, 3, 40, -9, "other"])
def test_a_damaged_spz_is_refused(scene, provenance, cut) -> None:  # type: ignore[no-untyped-def]
    data = export_bytes(scene, "spz", provenance)
    damaged = gzip.compress(b"NGSP" + bytes(40)) if cut == "other" else data[:cut]
    with pytest.raises(InputError, match="spz"):
        read_spz(damaged)


def test_splat_editors_find_the_head_upright(scene) -> None:  # type: ignore[no-untyped-def]
    """They turn what they load by 180° about z; twice is once too many, so ours is turned already."""
    g = scene.still()
    means, quats = turned(g.means, g.quats)
    assert torch.equal(means[:, 1], -g.means[:, 1]) and torch.equal(means[:, 2], g.means[:, 2])
    back, _ = turned(means, quats)
    assert torch.equal(back, g.means)


def test_glb_follows_the_release_candidate(scene, provenance) -> None:  # type: ignore[no-untyped-def]
    description, body = glb_chunks(export_bytes(scene, "glb", provenance))
    assert description["extensionsUsed"] == [EXTENSION]
    primitive = description["meshes"][0]["primitives"][0]
    assert primitive["mode"] == 0
    assert primitive["extensions"][EXTENSION] == {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }
    columns = {name: description["accessors"][index] for name, index in primitive["attributes"].items()}
    assert {columns[f"{EXTENSION}:{n}"]["type"] for n in ("SCALE", "SH_DEGREE_0_COEF_0")} == {"VEC3"}
    assert columns[f"{EXTENSION}:ROTATION"]["type"] == "VEC4" and columns[f"{EXTENSION}:OPACITY"]["type"] == "SCALAR"
    assert len(body) == description["buffers"][0]["byteLength"] and len(body) % 4 == 0
    view = description["bufferViews"][columns[f"{EXTENSION}:SCALE"]["bufferView"]]
    scales = np.frombuffer(body, "<f4", 3 * 8, view["byteOffset"]).reshape(-1, 3)
    assert np.allclose(scales, scene.still().scales[:8])  # linear, not logarithms


def test_points_of_a_glb_have_linear_colors(scene, provenance) -> None:  # type: ignore[no-untyped-def]
    """glTF's COLOR_0 is linear light, the harmonics are sRGB; a viewer without the extension showed pale points."""
    g = scene.still()
    known = torch.tensor([[0.0, 0.02, 0.1], [0.5, 0.9, 1.0]]).repeat(len(g) // 2 + 1, 1)[: len(g)]
    description, body = glb_chunks(glb_bytes(replace(g, colors=known), provenance))
    attributes = description["meshes"][0]["primitives"][0]["attributes"]

    def column(name: str) -> np.ndarray:
        place = description["bufferViews"][attributes[name]]
        return np.frombuffer(body, "<f4", place["byteLength"] // 4, place["byteOffset"]).reshape(len(g), -1)

    linear = [[0.0, 0.0015480, 0.0100228], [0.2140411, 0.7874123, 1.0]]  # by IEC 61966-2-1
    assert np.allclose(column("COLOR_0")[:2, :3], linear, atol=1e-6)
    assert np.allclose(column("COLOR_0")[:, 3], g.opacities)
    # Float32 rounding.
    assert np.allclose(0.5 + 0.2820947917738781 * column(f"{EXTENSION}:SH_DEGREE_0_COEF_0"), known, atol=1e-6)


def test_page_is_self_contained_and_complete(scene, provenance) -> None:  # type: ignore[no-untyped-def]
    page = export_bytes(scene, "html", provenance).decode()
    assert "{{" not in page and STATEMENT in page
    outside = re.sub(r"http://cv\.iptc\.org\S*", "", page)  # a name in the record, not an address to fetch
    assert not re.search(r"https?://|src=|@import|url\(", outside)
    assert "default-src 'none'" in page
    description = json.loads(re.search(r'id="scene">(.*?)</script>', page, re.S)[1])
    data = zlib.decompress(base64.b64decode(re.search(r'id="splats">(.*?)</script>', page, re.S)[1]))
    assert description["frames"] == scene.n_frames and description["columns"]["scales"]["frames"] == 1
    place = description["columns"]["positions"]
    raw = np.frombuffer(data, "<u2", place["length"], place["offset"]).reshape(place["frames"], -1, 3)
    means = np.array(description["low"]) + np.array(description["step"]) * raw
    # Metres: half of a step of 1/65535 of the scene, and float32.
    assert np.abs(means - scene.gaussians.means.numpy()).max() < 1e-4


def test_page_cannot_be_broken_by_a_prompt(scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    nasty = replace(provenance.edits[0], text="</script><script>alert(1)</script>{{viewer}}{{splats}}")
    hostile = replace(provenance, edits=(nasty,))
    page = export_bytes(scene, "html", hostile)
    assert page.count(b"<script") == 4 and b"alert(1)</script" not in page
    path = tmp_path / "a.html"
    path.write_bytes(page)
    assert verify_file(path).provenance == hostile


def test_a_scene_without_motion_is_stored_once(avatar, scene, provenance) -> None:  # type: ignore[no-untyped-def]
    g = scene.gaussians
    first = Gaussians(*(getattr(g, n)[:1].expand(6, *getattr(g, n).shape[1:]) for n in g.__dataclass_fields__))
    long = export_bytes(replace(scene, gaussians=first), "usd", provenance)
    one = export_bytes(replace(scene, gaussians=g[:1]), "usd", provenance)
    assert len(long) < len(one) + 2000


def test_extreme_gaussians_survive(scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Opacity of exactly one, a single Gaussian, equal scales: where writers divide by zero."""
    g = scene.gaussians
    one = Gaussians(
        g.means[:, :1], g.quats[:, :1], torch.full_like(g.scales[:, :1], 0.01), torch.ones(g.means.shape[0], 1),
        torch.tensor([0.0, 0.5, 1.0]).expand(g.means.shape[0], 1, 3),
    )  # fmt: skip
    for format in SPLATS:
        path = tmp_path / f"one{SUFFIXES[format]}"
        export_file(replace(scene, gaussians=one), path, format, provenance)
        back = read_splats(path)
        # Metres: half a step of 16 fractional bits, the coarsest of the formats.
        assert len(back) == 1 and torch.allclose(back.means, one.means[0], atol=1e-5), format
        # Two 8-bit levels: opacity is a byte, and one is kept off infinity.
        assert torch.allclose(back.opacities, torch.ones(1), atol=0.01)
        assert torch.allclose(back.colors, one.colors[0], atol=0.01)
        step = 1 / 32 if format == "spz" else 0.01  # half of a sixteenth, of the logarithm
        assert torch.allclose(back.scales, one.scales[0], rtol=1.05 * step)


def test_formats_are_known_by_their_endings() -> None:
    for format, suffix in SUFFIXES.items():
        assert format_of(Path(f"me{suffix}")) == format
    with pytest.raises(InputError, match="splat"):
        format_of(Path("me.obj"))


@pytest.mark.parametrize("format", SPLATS)
@pytest.mark.parametrize("keep", [3, 40, 700, -17])
def test_truncated_files_are_refused(format, keep: int, scene, provenance, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"cut{SUFFIXES[format]}"
    path.write_bytes(export_bytes(scene, format, provenance)[:keep])
    with pytest.raises(InputError):
        read_splats(path)


def test_a_header_that_claims_too_much_is_refused() -> None:
    header = "ply\nformat binary_little_endian 1.0\nelement vertex 999999999\nproperty float x\nend_header\n"
    with pytest.raises(InputError, match="truncated"):
        read_ply(header.encode())


def test_the_same_export_twice_is_the_same_file(scene, provenance: Provenance) -> None:  # type: ignore[no-untyped-def]
    for format in FORMATS:
        assert export_bytes(scene, format, provenance) == export_bytes(scene, format, provenance), format

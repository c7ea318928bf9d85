"""SOG: read back by a reader that follows the specification pixel by pixel, and by PlayCanvas' own converter."""

from __future__ import annotations

import io
import json
import math
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perse.errors import InputError
from perse.export import Provenance, SplatScene, export_bytes, export_file, read_splats
from perse.export.sog import read_sog, sog_provenance
from perse.gaussians import Gaussians
from perse.geometry.rotations import quaternion_to_matrix

Row = tuple[list[float], list[float], list[float], float, list[float]]


@pytest.fixture(scope="module")
def data(scene: SplatScene, provenance: Provenance) -> bytes:
    return export_bytes(scene, "sog", provenance)


def read_slowly(data: bytes, index: int) -> Row:
    """Position, rotation wxyz, scales, opacity and colour of one Gaussian, in the file's frame (section 3 of the
    specification, one value after another)."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    meta = json.loads(archive.read("meta.json"))

    def pixel(name: str) -> tuple[int, ...]:
        picture = Image.open(io.BytesIO(archive.read(name))).convert("RGBA")
        return picture.getpixel((index % picture.width, index // picture.width))  # type: ignore[return-value]

    low, high = (pixel(name) for name in meta["means"]["files"])
    position = []
    for axis in range(3):
        share = (high[axis] << 8 | low[axis]) / 65535
        bent = meta["means"]["mins"][axis] * (1 - share) + meta["means"]["maxs"][axis] * share
        position.append(math.copysign(math.exp(abs(bent)) - 1, bent))
    a, b, c, tag = pixel(meta["quats"]["files"][0])
    three = [(value / 255 - 0.5) * 2 / math.sqrt(2) for value in (a, b, c)]
    rotation = [*three[: tag - 252], math.sqrt(max(0, 1 - sum(value**2 for value in three))), *three[tag - 252 :]]
    scales = [math.exp(meta["scales"]["codebook"][place]) for place in pixel(meta["scales"]["files"][0])[:3]]
    *color, alpha = pixel(meta["sh0"]["files"][0])
    return (
        position, rotation, scales, alpha / 255,
        [0.5 + 0.28209479177387814 * meta["sh0"]["codebook"][place] for place in color],
    )  # fmt: skip


def shapes(gaussians: Gaussians) -> torch.Tensor:
    """Covariances [n, 3, 3]: several rotations make the same one."""
    axes = quaternion_to_matrix(gaussians.quats) * gaussians.scales[:, None]
    return axes @ axes.mT


def test_it_reads_what_the_specification_says(data: bytes) -> None:
    found = read_sog(data)
    covariances = shapes(found)
    upright = torch.tensor([-1.0, -1.0, 1.0])  # the file is y down
    for index in range(0, len(found), len(found) // 30):
        position, rotation, scales, opacity, color = read_slowly(data, index)
        # Metres: float32 of the same integers.
        assert torch.allclose(found.means[index] * upright, torch.tensor(position), atol=1e-6)
        assert torch.allclose(found.scales[index], torch.tensor(scales), rtol=1e-5)  # float32 exponentials
        assert abs(float(found.opacities[index]) - opacity) < 1e-6  # float32 of the same byte
        # Float32 of the same byte.
        assert torch.allclose(found.colors[index], torch.tensor(color).clamp(0, 1), atol=1e-6)
        axes = quaternion_to_matrix(torch.tensor(rotation)) * torch.tensor(scales)
        expected = upright[:, None] * (axes @ axes.mT) * upright
        # Float32: a quaternion's last part is the root of what the others leave of one; squares are relative to the
        # largest.
        assert torch.allclose(covariances[index], expected, atol=1e-4 * float(expected.abs().max()))


def test_no_gaussian_is_lost_or_moved(data: bytes, scene: SplatScene) -> None:
    """The order is another one: each finds its like."""
    found, ours = read_sog(data), scene.still()
    assert len(found) == len(ours)
    nearest = torch.cdist(found.means.double(), ours.means.double()).min(1)
    assert nearest.values.max() < 3e-5, "metres; half of the largest step"
    partner = nearest.indices
    assert len(partner.unique()) > 0.99 * len(ours)
    assert ((found.opacities - ours.opacities[partner]).abs() < 0.51 / 255).float().mean() > 0.99
    assert ((found.colors - ours.colors[partner]).abs() < 0.51 / 255).float().mean() > 0.99


def test_another_program_reads_it(data: bytes, tmp_path: Path) -> None:
    """PlayCanvas' converter makes of it what our reader does."""
    converter = shutil.which("splat-transform")
    if converter is None:
        pytest.skip("splat-transform is not here: npm install -g @playcanvas/splat-transform")
    (tmp_path / "a.sog").write_bytes(data)
    subprocess.run([converter, "-w", tmp_path / "a.sog", tmp_path / "a.ply"], check=True, capture_output=True)
    theirs, ours = read_splats(tmp_path / "a.ply"), read_sog(data)
    assert torch.allclose(theirs.means, ours.means, atol=1e-6)  # metres: float32 of the same integers
    # Float32 exponentials, written as logarithms in between.
    assert torch.allclose(theirs.scales, ours.scales, rtol=1e-4)
    assert torch.allclose(theirs.opacities, ours.opacities, atol=1e-5)  # float32, written as a logit in between
    # Float32, written as a harmonic in between.
    assert torch.allclose(theirs.colors.clamp(0, 1), ours.colors, atol=1e-5)
    assert (shapes(theirs) - shapes(ours)).abs().max() < 1e-4 * shapes(ours).abs().max()


@pytest.mark.heavy
def test_we_read_what_another_program_writes(scene: SplatScene, provenance: Provenance, tmp_path: Path) -> None:
    converter = shutil.which("splat-transform")
    if converter is None:
        pytest.skip("splat-transform is not here: npm install -g @playcanvas/splat-transform")
    export_file(scene, tmp_path / "a.ply", "ply", provenance)
    subprocess.run([converter, "-w", tmp_path / "a.ply", tmp_path / "a.sog"], check=True, capture_output=True)
    found, ours = read_splats(tmp_path / "a.sog"), scene.still()
    assert len(found) == len(ours)
    assert torch.cdist(found.means.double(), ours.means.double()).min(1).values.max() < 6e-5  # it rounds down
    assert sog_provenance((tmp_path / "a.sog").read_bytes()) is None


def test_pictures_are_lossless_where_they_are_transparent(data: bytes) -> None:
    """Encoders like to forget the colours of transparent pixels; here alpha is the opacity of a Gaussian."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    pixels = np.asarray(Image.open(io.BytesIO(archive.read("quats.webp"))))
    assert set(np.unique(pixels[..., 3])) <= {0, 252, 253, 254, 255}
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def rewritten(data: bytes, name: str, content: bytes) -> bytes:
    """The archive with one file replaced."""
    old, buffer = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename == name else old.read(info))
    return buffer.getvalue()


def test_damaged_files_are_refused(data: bytes) -> None:
    meta = json.loads(zipfile.ZipFile(io.BytesIO(data)).read("meta.json"))
    small = io.BytesIO()
    Image.new("RGBA", (4, 4)).save(small, "WEBP", lossless=True)
    bad_metas = [
        {**meta, "version": 3}, {**meta, "count": 10**9}, {**meta, "count": 0}, {**meta, "count": "many"},
        {**meta, "means": {}}, {**meta, "means": {**meta["means"], "mins": [0, 0]}},
        {**meta, "scales": {**meta["scales"], "codebook": [0.0]}}, {**meta, "sh0": {**meta["sh0"], "files": []}},
        {**meta, "quats": {"files": ["../../etc/passwd"]}}, [],
    ]  # fmt: skip
    damaged = [rewritten(data, "meta.json", json.dumps(bad).encode()) for bad in bad_metas]
    damaged += [rewritten(data, "meta.json", b"{" * 5000), rewritten(data, "meta.json", b" " * 2_000_000)]
    damaged += [rewritten(data, "quats.webp", small.getvalue()), rewritten(data, "means_l.webp", b"no picture")]
    middle = len(data) // 2
    damaged += [data[:middle] + bytes(64) + data[middle + 64 :], b"PK", data[:-30]]
    for number, one in enumerate(damaged):
        with pytest.raises(InputError, match="sog") as caught:
            read_sog(one)
        assert "\n" not in str(caught.value), number


def test_members_that_swell_are_not_swallowed(data: bytes) -> None:
    """A few kilobytes that unpack to gigabytes end at the limit."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b" " * 30_000_000)
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(InputError, match="sog"):
        read_sog(buffer.getvalue())

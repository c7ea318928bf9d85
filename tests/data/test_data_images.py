"""Strangers' pictures: whatever arrives, an array or a sentence comes out."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perse.data.images import decode_image, encode_image, read_portrait, read_portrait_bytes
from perse.errors import PortraitError


@pytest.fixture
def picture() -> np.ndarray:
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 6, columns * 4, (rows + columns) * 2], -1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_png_comes_back_to_the_pixel(tmp_path: Path, picture: np.ndarray) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(picture))
    np.testing.assert_array_equal(read_portrait(path), picture)
    np.testing.assert_array_equal(read_portrait(str(path)), picture)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_are_read(tmp_path: Path, picture: np.ndarray, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(picture), quality=95)
    assert np.abs(read_portrait(path).astype(int) - picture).mean() < 4


def test_exif_rotation_is_applied(tmp_path: Path, picture: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to view
    path = saved(tmp_path / "a.png", Image.fromarray(picture), exif=exif)
    np.testing.assert_array_equal(read_portrait(path), np.rot90(picture, -1))


def test_cmyk_becomes_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(picture).convert("CMYK"), quality=95)
    assert np.abs(read_portrait(path).astype(int) - picture).mean() < 8


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    gray = (np.arange(2400).reshape(40, 60) * 27).astype(np.uint16)
    path = saved(tmp_path / "a.png", Image.fromarray(gray))
    image = read_portrait(path)
    np.testing.assert_allclose(image[..., 0], gray / 257, atol=1)
    assert image.shape == (40, 60, 3)


def test_alpha_is_put_on_white(tmp_path: Path, picture: np.ndarray) -> None:
    alpha = np.zeros((40, 60, 1), np.uint8)
    alpha[:, :30] = 255
    path = saved(tmp_path / "a.png", Image.fromarray(np.concatenate([picture, alpha], 2)))
    image = read_portrait(path)
    np.testing.assert_array_equal(image[:, :30], picture[:, :30])
    assert (image[:, 30:] == 255).all()


def test_gray_and_palette_become_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    gray = read_portrait(saved(tmp_path / "g.png", Image.fromarray(picture).convert("L")))
    assert gray.shape == (40, 60, 3) and (gray[..., 0] == gray[..., 2]).all()
    palette = read_portrait(saved(tmp_path / "p.png", Image.fromarray(picture).quantize(64)))
    assert np.abs(palette.astype(int) - picture).mean() < 12


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (9000, 10), (6000, 6000), (2**30, 2**30)])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height))
    with pytest.raises(PortraitError, match=r"scale it down|damaged"):
        read_portrait(path)


def test_truncated_pictures_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    for format in ("png", "jpeg", "webp"):
        data = encode_image(noise, format)  # type: ignore[arg-type]
        path = tmp_path / f"cut.{format}"
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(PortraitError, match=r"damaged|convert"):
            read_portrait(path)


def test_other_files_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    text = tmp_path / "a.png"
    text.write_text("I am not a picture")
    with pytest.raises(PortraitError, match="not a PNG, JPEG or WebP"):
        read_portrait(text)
    with pytest.raises(PortraitError, match="not a PNG, JPEG or WebP"):
        read_portrait(saved(tmp_path / "a.gif", Image.fromarray(picture)))
    with pytest.raises(PortraitError, match="there is no file"):
        read_portrait(tmp_path / "missing.png")
    with pytest.raises(PortraitError, match="cannot be read"):
        read_portrait(tmp_path)
    with pytest.raises(PortraitError, match="upload"):
        read_portrait_bytes(b"", name="upload")


@pytest.mark.parametrize("channels", [0, 3, 4])
def test_lossless_round_trip(channels: int) -> None:
    shape = (17, 23, channels) if channels else (17, 23)
    image = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    np.testing.assert_array_equal(decode_image(encode_image(image)), image)
    assert encode_image(image) == encode_image(image)


def test_encoding_strips_metadata_and_checks_its_input(picture: np.ndarray) -> None:
    with Image.open(io.BytesIO(encode_image(picture, "jpeg"))) as reread:
        assert not reread.getexif()
    np.testing.assert_array_equal(decode_image(encode_image(picture, "webp", quality=100)), picture)
    with pytest.raises(ValueError, match="uint8"):
        encode_image(picture.astype(np.float32))  # type: ignore[arg-type]

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
    np.testing.assert_allclose(image[..., 0], gray / 257, atol=1)  # one 8-bit level: rounding
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


def test_large_jpegs_of_phones_are_reduced_while_they_are_read() -> None:
    """Twice the limit becomes half of it; what is seen is the same."""
    gradient = Image.linear_gradient("L").resize((7000, 7000))
    buffer = io.BytesIO()
    gradient.save(buffer, "JPEG", quality=85)
    image = read_portrait_bytes(buffer.getvalue())
    assert image.shape == (3500, 3500, 3)
    assert np.abs(image[::250, 1750, 0].astype(int) - np.asarray(gradient)[1::500, 3500]).max() < 3


def test_jpegs_beyond_what_the_decoder_can_reduce_are_refused() -> None:
    buffer = io.BytesIO()
    Image.new("L", (12_000, 9_000)).save(buffer, "JPEG", quality=30)
    with pytest.raises(PortraitError, match="12000 x 9000 px"):
        read_portrait_bytes(buffer.getvalue())


def wide_gamut_profile() -> bytes:
    """An RGB profile as Display P3's: sRGB's white and curve, and primaries that lie further out (ICC v2 matrix)."""

    def tag(kind: bytes, data: bytes) -> bytes:
        return kind + b"\0\0\0\0" + data

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    tags = {
        b"desc": tag(b"desc", struct.pack(">I", 10) + b"Wide test\0" + b"\0" * 78),
        b"cprt": tag(b"text", b"CC0\0"),
        b"wtpt": tag(b"XYZ ", fixed(0.9642, 1.0, 0.8249)),
        b"rXYZ": tag(b"XYZ ", fixed(0.5151, 0.2412, -0.0011)),
        b"gXYZ": tag(b"XYZ ", fixed(0.2920, 0.6922, 0.0419)),
        b"bXYZ": tag(b"XYZ ", fixed(0.1571, 0.0666, 0.7841)),
        **{name: tag(b"curv", struct.pack(">IH", 1, round(2.2 * 256))) for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    directory, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + b"\0" * (-len(data) % 4)
        directory += name + struct.pack(">II", start + len(body), len(data))
        body += padded
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 24 + struct.pack(">I", 0)
    head += fixed(0.9642, 1.0, 0.8249) + b"\0" * 48
    return head[:128].ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + body


def test_wide_gamut_colours_become_srgb(tmp_path: Path) -> None:
    """A skin tone in Display P3 is less saturated in numbers than the same colour in sRGB."""
    skin = np.full((20, 20, 3), (198, 150, 128), np.uint8)
    plain = read_portrait(saved(tmp_path / "plain.png", Image.fromarray(skin)))
    wide = read_portrait(saved(tmp_path / "wide.png", Image.fromarray(skin), icc_profile=wide_gamut_profile()))
    np.testing.assert_array_equal(plain, skin)
    change = wide[10, 10].astype(int) - skin[10, 10]
    assert 3 <= change[0] <= 15 and -8 <= change[2] <= -1


def test_profiles_of_srgb_and_broken_ones_change_nothing(tmp_path: Path, picture: np.ndarray) -> None:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", wide_gamut_profile()[:200], b"\0" * 400):
        path = saved(tmp_path / "a.png", Image.fromarray(picture), icc_profile=profile)
        np.testing.assert_array_equal(read_portrait(path), picture)


def test_avif_is_read_and_heic_is_explained(tmp_path: Path, picture: np.ndarray) -> None:
    path = saved(tmp_path / "a.avif", Image.fromarray(picture), quality=95)
    assert np.abs(read_portrait(path).astype(int) - picture).mean() < 4
    heic = tmp_path / "a.heic"
    heic.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)
    with pytest.raises(PortraitError, match=r"HEIC.*convert it to JPEG"):
        read_portrait(heic)


def test_an_animated_webp_shows_its_first_frame(tmp_path: Path, picture: np.ndarray) -> None:
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    path = saved(tmp_path / "a.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)
    assert np.abs(read_portrait(path).astype(int) - picture).mean() < 2


def test_gray_with_alpha_is_put_on_white(tmp_path: Path, picture: np.ndarray) -> None:
    gray = Image.fromarray(picture).convert("LA")
    gray.putalpha(0)
    assert (read_portrait(saved(tmp_path / "a.png", gray)) == 255).all()


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
    with pytest.raises(PortraitError, match="not a PNG, JPEG, WebP or AVIF"):
        read_portrait(text)
    with pytest.raises(PortraitError, match="not a PNG, JPEG, WebP or AVIF"):
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

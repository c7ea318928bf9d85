"""Reading and writing of pictures: strangers' photographs read safely, our own frames encoded and decoded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from perse.data.exif_orientation import upright
from perse.errors import PortraitError
from perse.shapes import Picture

ImageFormat = Literal["png", "jpeg", "webp"]

ALLOWED_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
MAX_PIXELS = 25_000_000
MAX_SIDE_PX = 8192
MAX_FILE_BYTES = 64 * 1024 * 1024
"""A 20 kB PNG can decode to 800 MB: sizes are read from the header before any pixel is
(docs/reference.md#hostile-files)."""

MAX_REDUCIBLE_PIXELS = 100_000_000
"""Larger JPEGs are read at a half, quarter or eighth of their size, as phones write 48 megapixels: the decoder itself
leaves the fine frequencies out, so no more memory is taken than for `MAX_PIXELS`."""

MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""Larger colour profiles are not looked at."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""What the header of a phone's HEIC file names after ``ftyp``."""

SIXTEEN_BIT_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")

_ZLIB_DEFAULT, _ZLIB_RUNS = -1, 3
"""Pillow's numbers for zlib's strategies."""

# What Pillow's decoders raise on damaged data. Their text can quote the file and is never passed on.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, MemoryError, Image.DecompressionBombError)


def read_portrait(path: Path | str) -> Picture:
    """Read a photograph from outside: [h, w, 3] uint8 RGB, upright.

    EXIF rotation is applied, colour profiles (Display P3, Adobe RGB, …) become sRGB, CMYK and 16-bit pictures are
    converted, transparency is put on white, and nothing of the metadata is kept. JPEGs of 25 to 100 megapixels are
    read at half their size or less.

    Raises:
        PortraitError: missing, not a PNG, JPEG, WebP or AVIF, damaged, or larger than 25 Mpx or 8192 px a side.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise PortraitError(f"{path.name} has {size / 2**20:.0f} MiB; give a picture file of at most 64 MiB")
        data = path.read_bytes()
    except FileNotFoundError:
        raise PortraitError(f"there is no file {path}; give the path of a PNG, JPEG, WebP or AVIF photograph") from None
    except OSError as error:
        raise PortraitError(f"{path} cannot be read ({error.strerror}); give a readable photograph") from None
    return read_portrait_bytes(data, name=path.name)


def read_portrait_bytes(data: bytes, *, name: str = "the picture", max_side_px: int = MAX_SIDE_PX) -> Picture:
    """`read_portrait` for bytes that arrived some other way; `name` is used in messages."""
    try:
        picture = Image.open(io.BytesIO(data), formats=ALLOWED_FORMATS)
    except UnidentifiedImageError:
        raise PortraitError(_why_unknown(data, name)) from None
    except _DECODER_ERRORS:
        raise PortraitError(f"{name} cannot be decoded: its header is damaged; export the picture again") from None
    _reduce_on_load(picture)
    width, height = picture.size
    if width * height > MAX_PIXELS or max(width, height) > max_side_px:
        raise PortraitError(
            f"{name} has {width} x {height} px; at most 25 megapixels and {max_side_px} px a side are read, "
            "scale it down"
        )
    try:
        picture.load()
        return _to_rgb(upright(picture))
    except _DECODER_ERRORS:
        raise PortraitError(f"{name} cannot be decoded: it is truncated or damaged; export it again") from None


def _why_unknown(data: bytes, name: str) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        return (
            f"{name} is a HEIC picture, which is not read here; convert it to JPEG (macOS: sips -s format jpeg IN "
            "--out OUT.jpg; Linux: heif-convert IN OUT.jpg; iPhone: Settings > Camera > Formats > Most Compatible)"
        )
    return f"{name} is not a PNG, JPEG, WebP or AVIF picture; convert it to one of these"


def _reduce_on_load(picture: Image.Image) -> None:
    """Tell the decoder of a large JPEG to leave out what is not needed; other formats cannot."""
    width, height = picture.size
    if picture.format != "JPEG" or width * height > MAX_REDUCIBLE_PIXELS:
        return
    for divisor in (2, 4, 8):
        if picture.size[0] * picture.size[1] <= MAX_PIXELS and max(picture.size) <= MAX_SIDE_PX:
            return
        picture.draft(None, (-(-width // divisor), -(-height // divisor)))


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Colours of an embedded RGB or CMYK profile in sRGB; unchanged if the profile is sRGB's or cannot be used."""
    if not 128 <= len(profile) <= MAX_PROFILE_BYTES:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        fits = source.profile.xcolor_space.strip() == picture.mode
        if not fits or "srgb" in (source.profile.profile_description or "").lower():
            return picture
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    return picture if converted is None else converted


def _to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    profile = picture.info.get("icc_profile") or b""
    if picture.mode in SIXTEEN_BIT_MODES:
        return _from_deep_gray(np.asarray(picture))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, rgba)
    if picture.mode != "CMYK":
        picture = picture.convert("RGB")
    return np.array(_to_srgb(picture, profile).convert("RGB"))


def _from_deep_gray(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16-bit (or deeper) grey to three bytes; Pillow's own conversion would clip everything above 255 to white."""
    gray = values.astype(np.float64)
    top = 65535.0 if gray.max() > 255 else 255.0
    byte = np.clip(gray / top * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(byte[..., None], 3, axis=2)


def encode_image(
    image: Shaped[NDArray[np.uint8], "h w *c"],
    format: ImageFormat = "png",
    *,
    quality: int = 90,
    xmp: str = "",
    fast: bool = False,
) -> bytes:
    """Encode [h, w], [h, w, 3] or [h, w, 4] uint8.

    PNG is lossless; for WebP, `quality` 100 means lossless. The same array gives the same bytes.

    Args:
        xmp: an XMP packet to put inside; the only metadata there ever is.
        fast: half the time for PNG (a rendered 256² picture: 2 ms instead of 4, of the same size, as flat backgrounds
            are runs) and for WebP (2 ms instead of 4, a third larger).
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"expected uint8 [h, w] or [h, w, c], got {image.dtype} {image.shape}")
    picture = Image.fromarray(np.ascontiguousarray(image))
    buffer = io.BytesIO()
    if format == "png":
        text = PngInfo()
        if xmp:
            text.add_itxt("XML:com.adobe.xmp", xmp)
        level, strategy = (1, _ZLIB_RUNS) if fast else (4, _ZLIB_DEFAULT)
        picture.save(buffer, "PNG", compress_level=level, compress_type=strategy, pnginfo=text)
    elif format == "jpeg":
        picture.save(buffer, "JPEG", quality=quality, subsampling=0, xmp=xmp.encode())
    elif format == "webp":
        effort = 0 if fast else 4
        picture.save(buffer, "WEBP", quality=quality, lossless=quality >= 100, method=effort, xmp=xmp.encode())
    else:
        raise ValueError(f"unknown image format {format!r}; known: png, jpeg, webp")
    return buffer.getvalue()


def decode_image(data: bytes) -> UInt8[NDArray[np.uint8], "h w *c"]:
    """Decode bytes that `encode_image` made: [h, w], [h, w, 3] or [h, w, 4] uint8. Trusted input only."""
    with Image.open(io.BytesIO(data), formats=ALLOWED_FORMATS) as picture:
        return np.array(picture)

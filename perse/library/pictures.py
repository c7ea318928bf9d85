"""Pictures and sequences of pictures that display and save themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import UInt8

from perse.data.durable_files import write_file_atomically
from perse.data.images import encode_image
from perse.data.on_white import laid_on_white
from perse.errors import InputError
from perse.export.provenance import Provenance
from perse.export.video import mp4_bytes, strip, webp_bytes
from perse.export.xmp import xmp_packet

MAX_STRIP = 24
"""More pictures than this do not fit side by side."""


class Picture(np.ndarray):
    """Picture that a notebook displays: an array [h, w, 4] (RGBA, not premultiplied) or [h, w, 3], uint8.

    Attributes:
        provenance: what a file of it says about itself; None for arrays that were computed from pictures.
    """

    provenance: Provenance | None

    @classmethod
    def of(cls, pixels: UInt8[np.ndarray, "h w c"], provenance: Provenance) -> Picture:
        """The same pixels as a picture."""
        picture = np.ascontiguousarray(pixels).view(cls)
        picture.provenance = provenance
        return picture

    def __array_finalize__(self, source: Any) -> None:
        self.provenance = getattr(source, "provenance", None)

    def save(self, path: str | Path) -> Path:
        """Write a .png, .webp or .jpg (on white) that says that it is synthetic.

        Raises:
            InputError: another ending.
        """
        path = Path(path)
        kinds = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}
        kind = kinds.get(path.suffix.lower())
        if kind is None:
            raise InputError(f"a picture is saved as .png, .webp or .jpg, got {path.name!r}")
        write_file_atomically(path, self._encoded(kind))
        return path

    def _repr_png_(self) -> bytes | None:
        """For notebooks; an array that is no picture any more is shown as numbers."""
        drawable = self.dtype == np.uint8 and self.ndim == 3 and self.shape[-1] in (3, 4) and self.size > 0
        return self._encoded("png") if drawable else None

    def _encoded(self, kind: Any) -> bytes:
        pixels = np.asarray(self)
        about = "" if self.provenance is None else xmp_packet(self.provenance)
        return encode_image(_on_white(pixels) if kind == "jpeg" else pixels, kind, quality=95, xmp=about)


class Frames(Sequence[Picture]):
    """Lazy sequence of pictures, each drawn when it is asked for: index it, slice it, loop over it, save it."""

    def __init__(self, count: int, draw: Callable[[int], Picture], fps: float) -> None:
        """
        Args:
            count: of pictures.
            draw: the picture of a number from 0.
            fps: for videos.
        """
        self._numbers: Sequence[int] = range(count)
        self._draw = draw
        self.fps = fps

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: int | slice) -> Picture | Frames:
        if isinstance(index, slice):
            part = Frames(0, self._draw, self.fps)
            part._numbers = self._numbers[index]
            return part
        return self._draw(self._numbers[index])

    def __iter__(self) -> Iterator[Picture]:
        return (self._draw(number) for number in self._numbers)

    def strip(self) -> Picture:
        """All pictures side by side.

        Raises:
            InputError: there are more than fit, or none.
        """
        if not 1 <= len(self) <= MAX_STRIP:
            raise InputError(f"{len(self)} pictures side by side; 1 to {MAX_STRIP} fit, take a slice")
        pictures = list(self)
        joined = strip([np.asarray(picture) for picture in pictures]).view(Picture)
        joined.provenance = pictures[-1].provenance
        return joined

    def save(self, path: str | Path) -> Path:
        """Write a video (.mp4, on white; .webp, transparent), or the pictures side by side (.png).

        Raises:
            InputError: another ending, or too many for a strip.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".png":
            return self.strip().save(path)
        if suffix == ".mp4":
            data = mp4_bytes((_on_white(np.asarray(frame)) for frame in self), self.fps)
        elif suffix == ".webp":
            data = webp_bytes([np.asarray(frame) for frame in self], self.fps)
        else:
            raise InputError(f"frames are saved as .mp4, .webp or .png, got {path.name!r}")
        write_file_atomically(path, data)
        return path

    def _repr_png_(self) -> bytes | None:
        return self.strip()._repr_png_() if 1 <= len(self) <= MAX_STRIP else None


def _on_white(pixels: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    """[h, w, 3] of [h, w, 3] or [h, w, 4]."""
    if pixels.shape[-1] == 3:
        return pixels
    return laid_on_white(pixels[..., :3], pixels[..., 3].astype(np.float32) / 255)

"""Video files of frames: MP4 (H.264, plays everywhere), animated WebP (transparent if wanted), a strip as one PNG."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image

from perse.shapes import Picture

CONSTANT_QUALITY = "17"
"""x264's scale of quality: visually lossless, about 1 MB for ten seconds at 512²."""


def mp4_bytes(frames: Iterable[Picture], fps: float) -> bytes:
    """Content of an MP4 file (H.264), ready for the web. The same frames give the same bytes.

    Args:
        frames: [h, w, 3] each, of one size; an odd last row or column is repeated, as H.264 needs even sizes.

    Raises:
        ValueError: there are no frames.
    """
    import av

    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError("a video needs at least one frame")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"  # "faststart" reads its own output again, so it needs a file
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.height, stream.width = _even(first).shape[:2]
            stream.pix_fmt = "yuv420p"
            # One thread: x264's output depends on their number.
            stream.options = {"crf": CONSTANT_QUALITY, "preset": "medium", "threads": "1"}
            for picture in chain([first], pictures):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(_even(picture), format="rgb24")))
            container.mux(stream.encode())
        return path.read_bytes()


def webp_bytes(frames: Sequence[UInt8[NDArray[np.uint8], "h w c"]], fps: float, *, quality: int = 85) -> bytes:
    """An animated WebP that repeats for ever; frames [h, w, 3] or, transparent, [h, w, 4] (not premultiplied)."""
    if not len(frames):
        raise ValueError("an animation needs at least one frame")
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0,
        quality=quality, method=3,
    )  # fmt: skip
    return buffer.getvalue()


def strip(frames: Sequence[UInt8[NDArray[np.uint8], "h _ c"]]) -> UInt8[NDArray[np.uint8], "h _ c"]:
    """Frames of one size side by side: [h, Σ w, c]."""
    return np.concatenate(list(frames), axis=1)


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), "edge"))

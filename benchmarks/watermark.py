"""How often the mark of exported pictures is found again: after compression, resizing and cropping, and without it.

    python -m benchmarks.watermark --pictures 200

Pictures are crops of photographs of scikit-image at random places and of several sizes, and a flat white one in ten is
half covered: nothing here was trained on, and nothing is drawn by this program.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from perse.export.watermark import THRESHOLD, find_mark, marked

Picture = NDArray[np.uint8]


def jpeg(picture: Picture, quality: int = 50) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def half(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def cropped(picture: Picture) -> Picture:
    """A tenth off each side, by odd numbers of pixels."""
    height, width = picture.shape[:2]
    top, left = height // 10 | 1, width // 10 | 1
    return np.ascontiguousarray(picture[top : height - top, left : width - left])


def h264(picture: Picture, crf: int = 28) -> Picture:
    """The first frame of a video of this still."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width = (length // 2 * 2 for length in picture.shape[:2])
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf), "preset": "medium", "threads": "1"}
        frame = np.ascontiguousarray(picture[: stream.height, : stream.width])
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


ATTACKS: dict[str, Callable[[Picture], Picture]] = {
    "nothing": lambda picture: picture,
    "JPEG q50": jpeg,
    "resize 0.5": half,
    "crop 10 %": cropped,
    "H.264 crf 28": h264,
    "crop, resize 0.5, JPEG q50": lambda picture: jpeg(half(cropped(picture))),
}


def pictures(count: int, size_px: int, seed: int = 0) -> list[Picture]:
    """Random crops; every tenth stands on white, as avatars do."""
    rng = np.random.default_rng(seed)
    sources = [getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")]
    found = []
    for number in range(count):
        source = sources[number % len(sources)][..., :3]
        zoom = size_px / min(source.shape[:2]) * rng.uniform(1.0, 1.6)
        large = cv2.resize(source, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        top, left = (rng.integers(0, length - size_px + 1) for length in large.shape[:2])
        picture = np.ascontiguousarray(large[top : top + size_px, left : left + size_px])
        if number % 10 == 0:
            picture[: size_px // 3] = 255
        found.append(picture)
    return found


def main() -> int:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--pictures", type=int, default=100)
    asked = options.parse_args()
    for size in (512, 256):
        given = pictures(asked.pictures, size)
        plain = [find_mark(picture).score for picture in given]
        print(f"{size} px, without the mark: {np.mean(np.array(plain) > THRESHOLD):.1%} taken for marked, "
              f"largest score {max(plain):.1f}, threshold {THRESHOLD:g}", flush=True)  # fmt: skip
        for name, attack in ATTACKS.items():
            scores = np.array([find_mark(attack(marked(picture))).score for picture in given])
            print(f"{size} px, {name:28} found in {np.mean(scores > THRESHOLD):6.1%} of {len(given)}, "
                  f"smallest score {scores.min():.1f}", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())

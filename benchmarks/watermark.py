"""How often the mark of exported pictures is found again: after compression, resizing and cropping, and without it.

    python -m benchmarks.watermark --pictures 1000 --plain 200 --size 256

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
from skimage.metrics import structural_similarity

from perse.export.watermark import Mark, find_mark, marked

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
    """Print a line for how far the mark is from being seen, one for pictures without it, and one for each attack."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--pictures", type=int, default=100, help="with the mark")
    options.add_argument("--plain", type=int, help="without it, of which each takes seconds; as many, if left out")
    options.add_argument("--size", type=int, nargs="+", default=[512, 256], help="px of a side")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    plain = asked.pictures if asked.plain is None else asked.plain
    for size in asked.size:
        given = pictures(asked.pictures, size, asked.seed)
        print(f"{size} px, {_seen(given)}", flush=True)
        for name, attack in ATTACKS.items():
            found = [find_mark(attack(marked(picture))) for picture in given]
            print(f"{size} px, {name:28} {_told(found)}", flush=True)
        found = [find_mark(picture) for picture in pictures(plain, size, asked.seed)]
        print(f"{size} px, {'without the mark':28} {_told(found)}", flush=True)
    return 0


def _told(found: list[Mark]) -> str:
    margins = [mark.margin for mark in found]
    there = sum(mark.is_there for mark in found)
    return f"found in {there:4} of {len(found)}, {min(margins):+.1f} to {max(margins):+.1f} from the threshold"


def _seen(given: list[Picture]) -> str:
    """Means of the peak signal-to-noise ratio and of the structural similarity (Wang et al. 2004), and the worst."""
    ratios, similar = [], []
    for picture in given[:100]:
        with_mark = marked(picture)
        ratios.append(10 * np.log10(255**2 / np.square(with_mark.astype(float) - picture).mean()))
        similar.append(structural_similarity(picture, with_mark, channel_axis=2))
    return (
        f"the mark against the picture: PSNR {np.mean(ratios):.1f} dB, worst {min(ratios):.1f}; "
        f"SSIM {np.mean(similar):.4f}, worst {min(similar):.4f} ({len(ratios)} pictures)"
    )


if __name__ == "__main__":
    sys.exit(main())

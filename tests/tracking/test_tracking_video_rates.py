"""Videos whose frames come unevenly, or whose container names a wrong rate: every frame once, holes where they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from perse.tracking.video_file import open_video

SIZE = 96


def written(path: Path, times_ms: list[int], *, codec: str = "libx264", rate: int = 25) -> Path:
    """A clip whose frames show their numbers as six black and white bars, at the times given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width = stream.height = SIZE
        stream.bit_rate = 2_000_000
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(_bars(number), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _bars(number: int) -> np.ndarray:
    bits = (number >> np.arange(6)) & 1
    return np.repeat(np.repeat(np.repeat(bits, 16)[None], SIZE, 0)[..., None], 3, 2).astype(np.uint8) * 220 + 16


def numbers(path: Path, **options: float) -> list[int | None]:
    """Which frame stands at each place; None for a hole."""
    frames = open_video(path, **options).frames()  # type: ignore[arg-type]
    middles = 16 * np.arange(6) + 8
    return [None if f is None else int(((f[SIZE // 2, middles, 0] > 128) << np.arange(6)).sum()) for f in frames]


def test_a_browsers_clock_is_no_frame_rate(tmp_path: Path) -> None:
    """30 frames a second in a container that says 1000: nothing is invented between them."""
    path = written(tmp_path / "a.webm", [round(k * 1000 / 30) for k in range(45)], codec="libvpx", rate=1000)
    assert open_video(path).fps == pytest.approx(30, rel=0.02)  # stamps are whole milliseconds, of 33
    assert numbers(path) == list(range(45))


@pytest.mark.parametrize("steps", [(20, 60), (60, 20), (33, 33, 54), (10, 40, 70)])
def test_uneven_frames_are_all_used_once(tmp_path: Path, steps: tuple[int, ...]) -> None:
    times = np.concatenate([[0], np.cumsum(np.resize(steps, 49))]).tolist()
    path = written(tmp_path / "a.mp4", times)
    assert open_video(path).fps == pytest.approx(1000 / np.mean(steps), rel=0.03)  # 49 steps are no whole cycles
    assert numbers(path) == list(range(50))


def test_a_pause_is_a_hole_and_does_not_slow_the_rate(tmp_path: Path) -> None:
    times = [40 * k + (1000 if k >= 20 else 0) for k in range(40)]
    path = written(tmp_path / "a.mp4", times)
    assert open_video(path).fps == pytest.approx(25, rel=0.01)  # frames of a few seconds are counted whole
    found = numbers(path)
    assert [n for n in found if n is not None] == list(range(40))
    assert found[20:45] == [None] * 25 and found[45] == 20


def test_a_single_lost_frame_is_a_hole(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", [40 * k for k in range(30) if k != 12])
    found = numbers(path)
    assert found[12] is None and [n for n in found if n is not None] == list(range(29))


def test_a_rate_that_is_asked_for_thins_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", [20 * k for k in range(40)], rate=50)
    assert numbers(path, fps=25) == list(range(0, 40, 2))

"""LivePortrait's networks at full size on random weights: milliseconds a frame, network by network.

    python -m benchmarks.liveportrait [--quick] [--small] [--json FILE]

Where there is a CUDA device: bfloat16, eager and compiled, one frame and eight at a time. Without one: float32 on the
CPU, which nobody would film with, and our own parser, which `paper-permissive` does use. What its authors publish
(RTX 4090, half precision, compiled, one frame): F 0.82, M 0.84, W 5.2, G 7.6, S 0.31 ms. `--small` runs all of a GPU's
variants on networks of a few channels wherever it is: its times say nothing, but that the variants run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from benchmarks.command import parser, report
from benchmarks.timing import Row, interleaved
from perse.synthesis.production.liveportrait.networks import LivePortraitNetworks
from perse.synthesis.production.liveportrait.shape import LivePortraitShape

PUBLISHED_MS = {"F": 0.82, "M": 0.84, "W": 5.2, "G": 7.6, "S": 0.31}
SMALL = LivePortraitShape(
    width=4, max_width=32, volume_channels=4, volume_blocks=1, motion_depths=(1, 1, 1, 1), motion_widths=(8, 8, 16, 16),
    flow_width=4, flow_max_width=16, flow_halvings=3, flow_features=2, style_width=8, middle_blocks=1,
)  # fmt: skip
NAMES = {"F": "appearance", "M": "motion", "W": "warping", "G": "generator", "S": "stitching"}


@dataclass(frozen=True)
class Variant:
    """One way to run the networks.

    Attributes:
        name: of the column.
        device: where.
        half: bfloat16 by autocast instead of float32.
        compiled: by torch.compile.
        frames: at a time.
    """

    name: str
    device: str
    half: bool = False
    compiled: bool = False
    frames: int = 1


def variants(quick: bool, small: bool) -> list[Variant]:
    """What this machine can run, or all that a GPU could where the networks are small."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not small:
        return [Variant("CPU float32", "cpu")]
    eager = Variant("bf16, 1 frame", device, half=True)
    eight = replace(eager, name="bf16, 8 frames", frames=8)
    compiled = [replace(one, name=f"{one.name}, compiled", compiled=True) for one in (eager, eight)]
    return [Variant("float32", device), eager, eight, *([] if quick else compiled)]


def works(variant: Variant, shape: LivePortraitShape) -> dict[str, Callable[[], None]]:
    """One call of each network, by letter."""
    made = LivePortraitNetworks.of_shape(shape)
    for name in NAMES.values():
        network = getattr(made, name).to(variant.device)
        if variant.compiled:
            network.compile()
    n, where = variant.frames, variant.device
    features = torch.randn(n, shape.volume_channels, shape.volume_depth, 64, 64, device=where)
    source, driving = 0.3 * torch.randn(2, n, shape.keypoints, 3, device=where)
    picture, style = torch.rand(n, 3, 256, 256, device=where), torch.randn(n, shape.map_width, 64, 64, device=where)
    inputs = {
        "F": (picture,), "M": (picture,), "W": (features, source, driving), "G": (style,), "S": (source, driving),
    }  # fmt: skip

    def work(letter: str) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode(), torch.autocast(where, torch.bfloat16, enabled=variant.half):
                getattr(made, NAMES[letter])(*inputs[letter])
            if where == "cuda":
                torch.cuda.synchronize()

        return run

    return {letter: work(letter) for letter in NAMES}


def networks(quick: bool, small: bool) -> list[Row]:
    """A row a network."""
    measured: dict[str, dict[str, float | None]] = {letter: {} for letter in NAMES}
    for variant in variants(quick, small):
        rounds, seconds = (1, 1.0) if variant.device == "cpu" else (20, 3.0)
        work = works(variant, SMALL if small else LivePortraitShape())
        for letter, ms in interleaved(work, rounds=rounds, seconds=seconds).items():
            measured[letter][variant.name] = ms / variant.frames if ms is not None else None
    title = "LivePortrait with a few channels, a frame" if small else "LivePortrait, a frame"
    anchors = {letter: {} if small else {"published": ms} for letter, ms in PUBLISHED_MS.items()}
    return [Row(title, f"{letter} {NAMES[letter]}", times, anchors[letter]) for letter, times in measured.items()]


def parsing() -> Row:
    """Our own parser on a frame of 512 px."""
    import skimage.data

    from perse.synthesis.production.segmenter import LandmarkSegmenter

    image, segmenter = skimage.data.astronaut(), LandmarkSegmenter()
    times = interleaved({"CPU": lambda: segmenter.segment(image)}, rounds=5, seconds=5.0)
    return Row("Parsing, a frame", "landmarks and colours, 512²", times)


def main() -> int:
    options = parser(__doc__, quick="without torch.compile")
    options.add_argument("--small", action="store_true", help="networks of a few channels, to see that it runs")
    arguments = options.parse_args()
    if arguments.small:
        rows = networks(arguments.quick, small=True)
    else:
        if not torch.cuda.is_available():
            print("benchmarks.liveportrait: no CUDA device here; float32 on the CPU, one frame at a time")
        rows = [*networks(arguments.quick, small=False), parsing()]
    report(rows, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""From a video of a face to a motion file that any avatar can perform; or a look at what is found in a portrait.

    perse track --video me.mp4                                # writes me.motion.json
    perse track --video me.mp4 --out me.npz --overlay me-tracked.mp4
    perse track --video two-people.mov --face 2 --fps 25
    perse render reenact --workspace runs/me --motion me.motion.json --out me-reenacted.mp4
    perse track --portrait me.jpg --overlay parts.png         # before a build: which parts are found?
    perse track --portrait me.jpg --parts mask.png            # the same to paint on: perse build --parts

The motion holds the head's rotation, the jaw, the eyes and the facial actions of every frame, smoothed; where the face
is not seen it is interpolated, and that is reported. What the face looks like at rest is found in the video itself;
--rest names a moment if it is found wrongly. Look at the --overlay video before you trust a motion. The video is read
on this machine and goes nowhere.

--parts writes a PNG of the crop in one colour a part (background 0 0 0, skin 255 200 160, brows 130 70 20, eyes
0 200 255, nose 255 140 90, mouth 230 30 60, ears 255 160 220, neck 190 130 100, hair 90 60 200, beard 0 110 60, clothes
60 160 255, headwear 255 220 0, headphones 150 255 0, earrings 255 0 255). Repaint what is wrong, or paint on a
transparent picture of the same size, and give it to `perse build` as --parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, recipe_of, run_command

if TYPE_CHECKING:
    from perse.head import HeadModel
    from perse.tracking.video_file import VideoFile
    from perse.tracking.video_tracker import TrackedVideo


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The video, and what to write."""

    video: Path | None = None
    """MP4, MOV, MKV, WebM or AVI; the face at least 40 pixels wide, and mostly turned to the camera."""

    portrait: Path | None = None
    """A photograph to look at instead of a video."""

    parts: Path | None = None
    """With --portrait: a PNG to write, the parts in plain colours, to be corrected."""

    out: Path | None = None
    """Motion file to write, .json or .npz; the video's name with .motion.json, in the current folder, if left out."""

    overlay: Path | None = None
    """Also write a video (.mp4) that shows what was tracked; with --portrait, a picture (.png)."""

    face: int | None = None
    """Which of several faces, counted from 1 at the left; the one that is seen most if left out."""

    rest: float | None = None
    """Seconds from the start at which the face is at rest: mouth closed, eyes open, no expression."""

    fps: float | None = None
    """Frames a second of the motion; the video's if left out."""

    recipe: str = "laptop"
    """Recipe whose head model the motion is for."""


def main(arguments: Arguments) -> None:
    """Track, write, and say what was found."""
    if arguments.portrait is not None:
        look_at(arguments)
        return
    video_path = _check_video(arguments)
    from perse.data.motion_file import write_motion
    from perse.tracking.video_file import open_video
    from perse.tracking.video_tracker import VideoTracker, VideoTrackerConfig
    from perse_ray.runtime.progress import progress_of_steps

    out = arguments.out or Path(f"{video_path.stem}.motion.json")
    _check(arguments, out)
    video = open_video(video_path, fps=arguments.fps)
    model = recipe_of(arguments.recipe, None).head.load()
    rest = None if arguments.rest is None else round(arguments.rest * video.fps)
    with progress_of_steps() as started:
        tracked = VideoTracker(VideoTrackerConfig(), model).track(
            video, face=arguments.face, rest=rest, started=started
        )  # fmt: skip
        write_motion(out, tracked.motion(model))
        if arguments.overlay is not None:
            _write_overlay(arguments.overlay, video, tracked, model, started("overlay", len(tracked.seen)))
    for line in summary(tracked, out):
        print(line)


def look_at(arguments: Arguments) -> None:
    """Track a portrait, write what was asked for, and say what was found."""
    from perse.attributes import Part
    from perse.data.durable_files import write_file_atomically
    from perse.data.images import encode_image, read_portrait
    from perse.tracking.part_picture import draw_parts, overlay_parts

    if arguments.portrait is None or arguments.video is not None:
        raise InputError("give either --video or --portrait")
    for path in (arguments.overlay, arguments.parts):
        if path is not None and path.suffix != ".png":
            raise InputError(f"pictures of a portrait's parts are written as .png, got {path.name!r}")
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"the folder {path.parent} does not exist")
    recipe = recipe_of(arguments.recipe, None)
    portrait = recipe.tracker.build(recipe.head.load()).track(read_portrait(arguments.portrait), face=arguments.face)
    if arguments.overlay is not None:
        write_file_atomically(arguments.overlay, encode_image(overlay_parts(portrait.image, portrait.masks)))
    if arguments.parts is not None:
        write_file_atomically(arguments.parts, encode_image(draw_parts(portrait.masks)))
    print(f"fit   {portrait.fit_rms_px:.2f} px off, of a face {portrait.face_width_px:.0f} px wide")
    unit = portrait.face_width_px**2
    found = [(part, float(portrait.masks[part].sum()) / unit) for part in Part if part is not Part.BACKGROUND]
    print("parts " + ", ".join(f"{part.name.lower()} {area:.2f}" for part, area in found if area >= 0.005))
    print("      squared face widths; correct them with --parts if the picture shows others")


def _check_video(arguments: Arguments) -> Path:
    if arguments.video is None:
        raise InputError("give a --video to track, or a --portrait to look at")
    if arguments.parts is not None:
        raise InputError("--parts belongs to --portrait")
    return arguments.video


def summary(tracked: TrackedVideo, out: Path) -> list[str]:
    """Lines that tell a person what to know about the result."""
    import numpy as np

    count, seen = len(tracked.seen), int(tracked.seen.sum())
    lines = [
        f"{count} frames at {tracked.fps:.4g} frames a second in {out}",
        f"  fit   {float(np.nanmean(tracked.rms_px)):.1f} px off, of a face {_face_px(tracked):.0f} px wide",
        f"  rest  {', '.join(f'{frame / tracked.fps:.2f} s' for frame in tracked.rest)} (another: --rest SECONDS)",
    ]
    if tracked.faces > 1:
        lines.append(f"  faces {tracked.faces} are seen; choose with --face N, counted from the left")
    if seen < count:
        places = [f"{first / tracked.fps:.2f}–{(last + 1) / tracked.fps:.2f} s" for first, last in tracked.gaps()]
        shown = ", ".join(places[:8]) + (" …" if len(places) > 8 else "")
        lines.append(f"  gaps  {count - seen} frames without the face are interpolated: {shown}")
    return lines


def _face_px(tracked: TrackedVideo) -> float:
    from perse.tracking.crop import CropConfig

    return tracked.window[2] / CropConfig().widths


def _check(arguments: Arguments, out: Path) -> None:
    """Refuse what cannot work before anything is computed."""
    if out.suffix not in (".json", ".npz"):
        raise InputError(f"--out must end in .json or .npz, got {out.name!r}")
    if arguments.overlay is not None and arguments.overlay.suffix != ".mp4":
        raise InputError(f"--overlay must end in .mp4, got {arguments.overlay.name!r}")
    if arguments.fps is not None and not 1 <= arguments.fps <= 120:
        raise InputError(f"--fps must be between 1 and 120, got {arguments.fps}")
    if arguments.rest is not None and not 0 <= arguments.rest < 86_400:
        raise InputError(f"--rest must be a time in the video in seconds, got {arguments.rest}")
    for path in (out, arguments.overlay):
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"the folder {path.parent} does not exist")


def _write_overlay(
    path: Path, video: VideoFile, tracked: TrackedVideo, model: HeadModel, tick: Callable[[], None]
) -> None:
    from perse.data.durable_files import write_file_atomically
    from perse.export import mp4_bytes
    from perse.tracking.overlay import overlay_frames

    def counted():  # type: ignore[no-untyped-def]
        for picture in overlay_frames(video, tracked, model):
            yield picture
            tick()

    write_file_atomically(path, mp4_bytes(counted(), tracked.fps))


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("track", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))

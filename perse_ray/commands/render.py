"""Film an avatar: pictures, turntables, interpolation strips, reenactments.

    perse render portrait  --workspace runs/me --wear "hat=teal beanie" --out me.png
    perse render turntable --workspace runs/me --wear "hair=white afro" --out turn.mp4
    perse render interpolate --workspace runs/me --start "hair=grey bob" --end "hair=white afro" --out strip.png
    perse render reenact   --workspace runs/me --motion me.json --out me.mp4
    perse render reenact   --workspace runs/me --transparent --out frames/
    perse render reenact   --workspace runs/body --motion dance --out dance.mp4

The ending of --out says what is made: .mp4 (H.264), .webp (animated, may be transparent), .png (all frames side by
side), .jpg for one picture, or a folder of numbered PNGs. --wear names edits by words of their prompts or by key, with
weights if wanted: "hair=white afro*0.7+grey bob*0.3". Every file carries a signed C2PA manifest that says it is
synthetic; `perse verify FILE` reads it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, run_command, workspace_first

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perse.avatar import Avatar
    from perse.export import AvatarView, Mix

KINDS = ("portrait", "turntable", "interpolate", "reenact")
STRIP_FRAMES = 24
"""More frames than this do not fit side by side."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes."""

    out: Path
    """The file to write: .mp4, .webp, .png, .jpg, or a folder."""

    workspace: str = "runs/demo"
    """Workspace with a finished avatar; also s3://… or gs://…."""

    size: int = 512
    """Width and height, pixels."""

    fps: float | None = None
    """Frames a second; the motion file's, or 25."""

    transparent: bool = False
    """Without a background (.webp, .png and folders)."""

    supersampling: int = 1
    """Pixels drawn for each pixel and side; 2 is smoother and four times the work."""

    sign: bool = True
    """Put a signed C2PA manifest into each file."""


@dataclass(frozen=True, kw_only=True)
class Portrait(Common):
    """One picture."""

    wear: tuple[str, ...] = ()
    """Edits, as category=words."""

    expression: tuple[str, ...] = ()
    """Expressions, as mouthSmileLeft=0.8."""

    pose: tuple[str, ...] = ()
    """Joint rotations in degrees, axis-angle, as neck=0,20,0."""

    yaw: float = 0.0
    """Where the camera stands, degrees to the person's left."""

    pitch: float = 0.0
    """Where the camera stands, degrees upwards."""


@dataclass(frozen=True, kw_only=True)
class Turntable(Common):
    """The camera around the head."""

    wear: tuple[str, ...] = ()
    """Edits, as category=words."""

    frames: int = 100
    """Pictures in one turn."""

    reach: float | None = None
    """Degrees to either side; 180 goes all around. If left out, as far as the avatar looks right: 40, and all around
    where the recipe closed it from behind (laptop-closed)."""


@dataclass(frozen=True, kw_only=True)
class Interpolate(Common):
    """From one edit state to another."""

    start: tuple[str, ...] = ()
    """Edits at the start; the person as photographed if left out."""

    end: tuple[str, ...]
    """Edits at the end."""

    steps: int = 9
    """Pictures from end to end."""


@dataclass(frozen=True, kw_only=True)
class Reenact(Common):
    """A motion, performed."""

    wear: tuple[str, ...] = ()
    """Edits, as category=words."""

    motion: str | None = None
    """Motion file (.json or .npz), or a motion that a body brings along (turn, wave, walk, squat, dance); the built-in
    test motion, or all that a body brings along, if left out."""

    stride: int = 1
    """Every n-th frame of the motion."""


Command = (
    Annotated[Portrait, tyro.conf.subcommand("portrait")]
    | Annotated[Turntable, tyro.conf.subcommand("turntable")]
    | Annotated[Interpolate, tyro.conf.subcommand("interpolate")]
    | Annotated[Reenact, tyro.conf.subcommand("reenact")]
)


def main(command: Portrait | Turntable | Interpolate | Reenact) -> None:
    """Open the avatar, take the pictures, write the file."""
    from perse.export import Provenance, film
    from perse.export.opening import open_avatar, rasterizer_for

    _check(command)
    avatar = open_avatar(command.workspace)
    shots, mixes, fps = planned(avatar, command)
    ground = None if command.transparent else (1.0, 1.0, 1.0)
    frames = film(
        avatar, shots, rasterizer_for(avatar), background=ground, supersampling=command.supersampling
    )  # fmt: skip
    provenance = Provenance.of(avatar, mixes, datetime.now(UTC).isoformat(timespec="seconds"))
    written = _write(command, frames, len(shots), command.fps or fps, provenance)
    print(f"{len(shots)} {'picture' if len(shots) == 1 else 'pictures'} in {written}")


def planned(
    avatar: Avatar, command: Portrait | Turntable | Interpolate | Reenact
) -> tuple[list[AvatarView], list[Mix], float]:
    """Views to film, the edit states that are seen, and the frames a second if nobody says otherwise."""
    from perse.export import (
        BUILT_IN,
        AvatarView,
        at_rest,
        good_reach_deg,
        interpolation,
        mixed_code,
        motion_of,
        orbit,
        orbit_centre,
        parse_mix,
        portrait_camera,
        posed,
        reenactment,
        turntable,
    )

    camera = portrait_camera(avatar, command.size)
    if isinstance(command, Interpolate):
        start, end = parse_mix(avatar, command.start), parse_mix(avatar, command.end)
        shots = interpolation(
            mixed_code(avatar, start), mixed_code(avatar, end), camera, steps=command.steps, frame=at_rest(avatar),
            there_and_back=command.out.suffix in (".mp4", ".webp"),
        )  # fmt: skip
        return shots, [start, end], 25.0
    mix = parse_mix(avatar, command.wear)
    code = mixed_code(avatar, mix)
    if isinstance(command, Turntable):
        reach = good_reach_deg(avatar) if command.reach is None else command.reach
        shots = turntable(avatar, code, camera, frames=command.frames, reach_deg=reach, frame=at_rest(avatar))
        return shots, [mix], 25.0
    if isinstance(command, Reenact):
        motion, fps = motion_of(avatar, command.motion or BUILT_IN)
        return reenactment(code, camera, motion.frame(slice(None, None, command.stride))), [mix], fps / command.stride
    view = orbit(camera, orbit_centre(avatar), math.radians(command.yaw), math.radians(command.pitch))
    return [AvatarView(code, posed(avatar, command.expression, command.pose), view)], [mix], 25.0


def _check(command: Common) -> None:
    """Refuse what cannot work before anything is computed."""
    suffix = command.out.suffix.lower()
    if suffix not in ("", ".mp4", ".webp", ".png", ".jpg", ".jpeg"):
        raise InputError(f"--out must end in .mp4, .webp, .png or .jpg, or name a folder; got {command.out.name!r}")
    if command.transparent and suffix in (".mp4", ".jpg", ".jpeg"):
        raise InputError(f"{suffix} cannot be transparent; choose .webp, .png or a folder")
    if suffix in (".jpg", ".jpeg") and not isinstance(command, Portrait):
        raise InputError("several pictures do not fit in a JPEG; choose .mp4, .webp, .png or a folder")
    ranges = {"size": (16, 2048), "supersampling": (1, 4), "frames": (1, 5000), "steps": (2, 1000), "stride": (1, 1000)}
    for name, (low, high) in ranges.items():
        if not low <= getattr(command, name, low) <= high:
            raise InputError(f"--{name} must be between {low} and {high}, got {getattr(command, name)}")
    reach = command.reach if isinstance(command, Turntable) else None
    if reach is not None and not 0 < reach <= 180:
        raise InputError(f"--reach must be above 0 and at most 180 degrees, got {reach:g}")
    if command.fps is not None and not 1 <= command.fps <= 120:
        raise InputError(f"--fps must be between 1 and 120, got {command.fps}")


def _write(command: Common, frames: Iterable[NDArray[np.uint8]], count: int, fps: float, provenance: object) -> Path:
    """Encode, sign and write; returns the file or folder."""
    from perse.data.durable_files import write_file_atomically
    from perse.data.images import encode_image
    from perse.export import Provenance, local_identity, marked, mp4_bytes, sign_media, strip, webp_bytes

    assert isinstance(provenance, Provenance)
    identity = local_identity() if command.sign else None

    def finished(data: bytes) -> bytes:
        return data if identity is None else sign_media(data, provenance, identity)

    out, suffix = command.out, command.out.suffix.lower()
    frames = map(marked, frames) if command.sign else frames
    if not suffix:
        for number, frame in enumerate(frames):
            write_file_atomically(out / f"{number:05d}.png", finished(encode_image(frame, "png")))
        return out
    if suffix == ".png" and count > STRIP_FRAMES:
        raise InputError(f"{count} frames side by side are too wide; choose .mp4, .webp, a folder, or fewer frames")
    if suffix == ".mp4":
        data = mp4_bytes(frames, fps)
    elif suffix == ".webp" and count > 1:
        data = webp_bytes(list(frames), fps)
    else:
        kinds = {".png": "png", ".webp": "webp"}
        data = encode_image(strip(list(frames)), kinds.get(suffix, "jpeg"), quality=95)  # type: ignore[arg-type]
    write_file_atomically(out, finished(data))
    return out


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    if words and not words[0].startswith("-") and words[0] not in KINDS:
        return run_command(lambda: _ask_for_a_kind(words[0]))
    arguments = parsed("render", Command, __doc__, [*words[:1], *workspace_first(words[1:])])
    return run_command(lambda: main(arguments))


def _ask_for_a_kind(said: str) -> None:
    """
    Raises:
        InputError: always; it says what to type.
    """
    place = said if "/" in said or Path(said).exists() else "runs/me"
    raise InputError(f"say what to film, {', '.join(KINDS)}, as in: perse render turntable {place} --out turn.mp4")

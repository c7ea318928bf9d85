"""Export an edited avatar for other programs.

    perse export --workspace runs/me --wear "hat=teal beanie" --out me.ply          SuperSplat, Unity, Unreal
    perse export runs/body --motion dance --stride 4 --out me.html                 a whole body, in motion
    perse export --workspace runs/me --out me.compressed.ply me.splat me.glb       smaller; glTF
    perse export --workspace runs/me --motion builtin --stride 4 --out me.usdc     OpenUSD with the animation
    perse export --workspace runs/me --wear "hair=white afro" --out me.html         opens by double click

--wear names edits by words of their prompts or by key, with weights if wanted: "hair=white afro*0.7+grey bob*0.3". The
endings .usdc and .html hold a whole motion, the others its first frame. Every file says that it is synthetic and of
whom; `perse verify FILE` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, run_command, workspace_first


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to export, and as what."""

    out: tuple[Path, ...] = ()
    """Files to write: .ply, .compressed.ply, .splat, .glb, .usdc, .html."""

    workspace: str = "runs/demo"
    """Workspace with a finished avatar; also s3://… or gs://…."""

    wear: tuple[str, ...] = ()
    """Edits, as category=words."""

    expression: tuple[str, ...] = ()
    """Expressions of a still, as mouthSmileLeft=0.8."""

    pose: tuple[str, ...] = ()
    """Joint rotations of a still in degrees, axis-angle, as neck=0,20,0."""

    motion: str | None = None
    """Motion file (.json or .npz), the word builtin, or a motion that a body brings along (turn, wave, walk, squat,
    dance); a still if left out."""

    stride: int = 1
    """Every n-th frame of the motion."""


def main(arguments: Arguments) -> None:
    """Open the avatar, freeze the edit state, write the files."""
    from perse.export import Provenance, export_file, format_of, freeze, mixed_code, motion_of, parse_mix, posed
    from perse.export.opening import open_avatar

    if not arguments.out:
        raise InputError(
            f"say what to write, as in: perse export {arguments.workspace} --out me.ply "
            "(.ply, .compressed.ply, .splat, .glb, .usdc or .html)"
        )
    formats = [format_of(path) for path in arguments.out]  # a wrong ending is refused before any work
    if arguments.motion is not None and (arguments.expression or arguments.pose):
        raise InputError("give a motion, or an expression and a pose, not both")
    if not 1 <= arguments.stride <= 1000:
        raise InputError(f"--stride must be between 1 and 1000, got {arguments.stride}")
    avatar = open_avatar(arguments.workspace)
    mix = parse_mix(avatar, arguments.wear)
    if arguments.motion is None:
        frames, fps = posed(avatar, arguments.expression, arguments.pose), 25.0
    else:
        frames, fps = motion_of(avatar, arguments.motion)
        frames, fps = frames.frame(slice(None, None, arguments.stride)), fps / arguments.stride
    scene = freeze(avatar, mixed_code(avatar, mix), frames, fps=fps)
    provenance = Provenance.of(avatar, [mix], datetime.now(UTC).isoformat(timespec="seconds"))
    for path, format in zip(arguments.out, formats, strict=True):
        for written in export_file(scene, path, format, provenance):
            print(f"{written}  {written.stat().st_size / 1e6:.2f} MB")


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("export", Arguments, __doc__, workspace_first(words))
    return run_command(lambda: main(arguments))

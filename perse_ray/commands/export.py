"""Export an edited avatar for other programs.

    perse export --workspace runs/me --wear "hat=teal beanie" --out me.ply          SuperSplat, Unity, Unreal
    perse export --workspace runs/me --out me.sog me.spz me.glb                    small; glTF
    perse export runs/body --motion dance --stride 4 --out me.html                 a whole body, in motion
    perse export --workspace runs/me --motion builtin --stride 4 --out me.usdc     OpenUSD with the animation
    perse export --workspace runs/me --motion builtin --out "frames/me_####.ply"   a numbered sequence: SuperSplat
    perse export --workspace runs/me --wear "hair=white afro" --out me.html         opens by double click

--wear names edits by words of their prompts or by key, with weights if wanted: "hair=white afro*0.7+grey bob*0.3". The
endings .usdc and .html hold a whole motion; the others hold its first frame, or all of them in numbered files where the
name has # for the digits. What no view within 60 degrees to either side shows is left out (all around, if the avatar is
closed from behind). Every file says that it is synthetic and of whom; `perse verify FILE` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, run_command, workspace_first

if TYPE_CHECKING:
    from perse.avatar import Avatar
    from perse.export import Provenance, SplatScene
    from perse.export.formats import ExportFormat
    from perse.head import HeadParameters


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: what to export, and as what."""

    out: tuple[Path, ...] = ()
    """Files to write: .ply, .compressed.ply, .splat, .spz, .sog, .glb, .usdc, .html; me_####.ply for a sequence."""

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

    cull: bool = True
    """Leave out what nobody sees from where the avatar is good to look at; --no-cull keeps it."""


def main(arguments: Arguments) -> None:
    """Open the avatar, freeze the edit state, write the files."""
    from perse.export import Provenance, format_of, frame_paths, freeze, is_numbered, mixed_code, parse_mix
    from perse.export.opening import open_avatar

    if not arguments.out:
        raise InputError(
            f"say what to write, as in: perse export {arguments.workspace} --out me.ply "
            "(.ply, .compressed.ply, .splat, .spz, .sog, .glb, .usdc or .html)"
        )
    formats = [format_of(path) for path in arguments.out]  # a wrong ending is refused before any work
    _check(arguments)
    avatar = open_avatar(arguments.workspace)
    mix = parse_mix(avatar, arguments.wear)
    frames, fps = _frames(avatar, arguments)
    for path in filter(is_numbered, arguments.out):
        frame_paths(path, len(frames))
    scene = freeze(avatar, mixed_code(avatar, mix), frames, fps=fps)
    if arguments.cull:
        scene = _culled(avatar, scene)
    provenance = Provenance.of(avatar, [mix], datetime.now(UTC).isoformat(timespec="seconds"))
    for path, format in zip(arguments.out, formats, strict=True):
        _write(scene, path, format, provenance)


def _write(scene: SplatScene, path: Path, format: ExportFormat, provenance: Provenance) -> None:
    """Write the file, or the files of a sequence, and say so."""
    from perse.export import export_file, export_sequence, is_numbered

    if is_numbered(path):
        written = export_sequence(scene, path, format, provenance)
        size = sum(one.stat().st_size for one in written) / 1e6
        print(f"{written[0]} to {written[-1].name}  {size:.2f} MB, {scene.n_frames} frames, {scene.fps:g} a second")
    else:
        for one in export_file(scene, path, format, provenance):
            print(f"{one}  {one.stat().st_size / 1e6:.2f} MB")


def _frames(avatar: Avatar, arguments: Arguments) -> tuple[HeadParameters, float]:
    """What the avatar does, and frames a second."""
    from perse.export import motion_of, posed

    if arguments.motion is None:
        return posed(avatar, arguments.expression, arguments.pose), 25.0
    frames, fps = motion_of(avatar, arguments.motion)
    return frames.frame(slice(None, None, arguments.stride)), fps / arguments.stride


def _culled(avatar: Avatar, scene: SplatScene) -> SplatScene:
    """Without what nobody sees; says how much that was."""
    from perse.export import seen_reach_deg, without_unseen

    reach = seen_reach_deg(avatar)
    found = without_unseen(scene, reach)
    where = "from all around" if reach >= 180 else f"within {reach:g} degrees to either side"
    print(
        f"left out {found.left_out} of {scene.n_gaussians} Gaussians that no view {where} shows"
        + (f"; PSNR of these views without them {found.worst_db:.0f} dB or more" if found.left_out else "")
    )
    return found.scene


def _check(arguments: Arguments) -> None:
    """Refuse what cannot work before anything is computed."""
    from perse.export import ANIMATED, format_of, is_numbered

    if arguments.motion is not None and (arguments.expression or arguments.pose):
        raise InputError("give a motion, or an expression and a pose, not both")
    if not 1 <= arguments.stride <= 1000:
        raise InputError(f"--stride must be between 1 and 1000, got {arguments.stride}")
    for path in filter(is_numbered, arguments.out):
        if arguments.motion is None:
            raise InputError(f"{path.name} asks for the frames of a motion; add --motion builtin, or a motion file")
        if format_of(path) in ANIMATED:
            raise InputError(f"{path.suffix} holds a whole motion in one file; name it {path.name.replace('#', '')}")


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("export", Arguments, __doc__, workspace_first(words))
    return run_command(lambda: main(arguments))

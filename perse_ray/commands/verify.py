"""Say where a file comes from: the provenance that exports carry.

    perse verify me.png
    perse verify turn.mp4 me.ply me.html --json

Exit code 0: every file states its provenance and nothing contradicts it. 1: a file has none, or was altered after it
was signed. 2: a file cannot be read.

Pictures and videos are signed (C2PA). Signatures of this installation are recognised by its own certificate, which is
self-signed: it proves that a file was made here and is unaltered, not who made it. Their pixels carry an invisible mark
besides, which is still found when the record was stripped; alone it does not change the exit code. Splats, scenes and
pages carry the same record unsigned; anybody could have changed it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from perse_ray.commands.command_line import parsed, run_command

if TYPE_CHECKING:
    from perse.export import Verification

EXIT_NOT_PROVEN = 1
LONGEST_LINE = 400


@dataclass(frozen=True)
class Arguments:
    """Arguments: which files."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """PNG, JPEG, WebP, MP4, PLY, .splat, GLB, USD or HTML."""

    json: bool = False
    """Print one JSON object a line instead of sentences."""


def main(arguments: Arguments) -> bool:
    """Print what each file says; whether all of them say something that holds."""
    from perse.export import verify_file

    fine = True
    for path in arguments.files:
        found = verify_file(path)
        fine &= found.intact and (found.provenance is not None or bool(found.source_type))
        if arguments.json:
            print(json.dumps({"file": str(path), **asdict(found)}))
        else:
            print("\n".join(sentences(path, found)))
    return fine


def sentences(path: Path, found: Verification) -> list[str]:
    """Sentences that tell a person what was found, one line each."""
    if found.watermark and found.provenance is None and not found.signed:
        return [f"{path}: carries no record any more, but the invisible mark of pictures that PERSE on Ray draws"]
    if found.provenance is None and not found.signed:
        return [f"{path}: carries no provenance. That proves nothing: it is easily removed"]
    if not found.signed:
        lines = [f"{path}: states its provenance; not signed, so it could have been changed"]
    elif not found.intact:
        lines = [f"{path}: NOT INTACT: altered after it was signed ({', '.join(found.problems) or 'no reason given'})"]
    elif found.ours:
        lines = [f"{path}: signed by this installation and unaltered since"]
    else:
        lines = [f"{path}: unaltered since it was signed by {found.signer or 'somebody'}, whom nobody here vouches for"]
    if found.source_type:
        lines.append(f"  kind      {found.source_type.rsplit('/', 1)[-1]} (IPTC digital source type)")
    if found.watermark:
        lines.append("  watermark found in the pixels")
    record = found.provenance
    if record is not None:
        lines += [
            f"  statement {record.statement}",
            f"  avatar    {record.avatar}",
            f"  made      {record.made or '-'}",
        ]
        lines += [f"  edit      {e.category} {e.weight:g}: {e.text or e.subject}" for e in record.edits]
        lines.append(f"  by        {record.generator}")
    return [_shown(line) for line in lines]


def _shown(line: str) -> str:
    """What a stranger wrote, as a line: signs that a terminal would obey, or that break lines, are left out."""
    return "".join(sign if sign.isprintable() else " " for sign in line[:LONGEST_LINE])


def run(words: Sequence[str] | None = None) -> int:
    """Run the command; the codes are in the module's docstring."""
    return exit_code(parsed("verify", Arguments, __doc__, words))


def exit_code(arguments: Arguments) -> int:
    """Exit code of the command for arguments that have been read."""
    proven: list[bool] = []
    return run_command(lambda: proven.append(main(arguments))) or (0 if all(proven) else EXIT_NOT_PROVEN)

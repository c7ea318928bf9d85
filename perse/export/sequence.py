"""A motion as numbered files of a format that holds one frame: ``me_####.ply`` becomes ``me_0000.ply`` and so on.

SuperSplat plays such a sequence when its files, or their folder, are dropped into it: a common beginning, then the
number of the frame, then ``.ply`` or ``.compressed.ply`` (its manual, and `isPlySequence` in its source of 2026).
"""

from __future__ import annotations

import re
from pathlib import Path

from perse.errors import InputError

PLACE = "#"
"""Stands for a digit of the frame's number."""


def is_numbered(path: Path) -> bool:
    """Whether a file name asks for a sequence."""
    return PLACE in path.name


def frame_paths(path: Path, n_frames: int) -> list[Path]:
    """The files of a sequence, from 0.

    Raises:
        InputError: the places are not together right before the ending, are too few, or frames of a longer sequence
            of that name are there already: a player would play them too.
    """
    match = re.fullmatch(r"([^#]*?)(#+)(\.[^#]*)", path.name)
    if match is None:
        raise InputError(f"write the frame's number right before the ending, as in me_####.ply; got {path.name!r}")
    before, places, ending = match.groups()
    width = len(places)
    if n_frames > 10**width:
        raise InputError(
            f"{n_frames} frames do not fit {path.name!r}; write {before}{PLACE * len(str(n_frames - 1))}{ending}"
        )
    if re.search(r"\d$", before):
        raise InputError(f"{path.name!r} has a digit before the frame's number; write {before}_{places}{ending}")
    numbered = re.compile(re.escape(before) + r"(\d+)" + re.escape(ending))
    old = [
        found.name
        for found in (path.parent.iterdir() if path.parent.is_dir() else ())
        if (number := numbered.fullmatch(found.name)) and (len(number[1]) != width or int(number[1]) >= n_frames)
    ]
    if old:
        raise InputError(
            f"{path.parent} holds frames of another sequence ({len(old)}, {min(old)} first); remove them, or choose "
            "another name"
        )
    return [path.with_name(f"{before}{number:0{width}d}{ending}") for number in range(n_frames)]

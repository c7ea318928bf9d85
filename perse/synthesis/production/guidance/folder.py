"""Guidance as a folder of pictures that a person can look at.

::

    depth/0000.png  normals/0000.png  keypoints/0000.png …     one picture a frame
    guidance.json                                              written last: how many frames, how large
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from perse.data.durable_files import write_file_atomically
from perse.data.images import decode_image, encode_image
from perse.errors import WorkspaceError
from perse.synthesis.production.guidance.maps import KINDS, Guidance

NOTE = "guidance.json"


def save_guidance(folder: Path, guidance: Guidance) -> None:
    """Write the maps into a folder.

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    try:
        for kind in KINDS:
            for number, picture in enumerate(getattr(guidance, kind)):
                write_file_atomically(_place(folder, kind, number), encode_image(picture))
        note = {"frames": len(guidance), "size_px": guidance.depth.shape[1]}
        write_file_atomically(folder / NOTE, json.dumps(note).encode())
    except OSError as error:
        raise WorkspaceError(
            f"the guidance maps cannot be written to {folder} ({error.strerror}); name another folder in the recipe"
        ) from error


def load_guidance(folder: Path) -> Guidance | None:
    """The maps of a folder; None if it is not complete."""
    try:
        frames = int(json.loads((folder / NOTE).read_bytes())["frames"])
        maps = {
            kind: np.stack([decode_image(_place(folder, kind, number).read_bytes()) for number in range(frames)])
            for kind in KINDS
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Guidance(**maps)


def _place(folder: Path, kind: str, number: int) -> Path:
    return folder / kind / f"{number:04d}.png"

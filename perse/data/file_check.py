"""Readability of a workspace's files: each from end to end, by itself, without knowing what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load

from perse.data.tables.codecs import npz_to_arrays, png_to_picture
from perse.data.workspace import Workspace
from perse.errors import WorkspaceError


def _parquet(content: bytes) -> None:
    pq.read_table(pa.BufferReader(content), page_checksum_verification=True)


_READERS: dict[str, Callable[[bytes], object]] = {
    ".parquet": _parquet,
    ".json": json.loads,
    ".npz": npz_to_arrays,
    ".safetensors": load,
    ".png": png_to_picture,
}


def unreadable(workspace: Workspace, name: str) -> str:
    """Fault of a file, in a few words; empty if it can be read or is of a kind that cannot be checked.

    Parquet and NPZ carry checksums of their content, so a flipped bit is found in them; in the others only where it
    breaks the form.
    """
    reader = _READERS.get(PurePosixPath(name).suffix)
    if workspace.look(name) is None:
        return "is missing"
    try:
        content = workspace.read(name)
        if reader is not None:
            reader(content)
    except WorkspaceError as error:
        return f"cannot be read ({error})"
    except Exception as error:  # every format has its own errors for every kind of damage
        return f"is damaged ({type(error).__name__})"
    return ""

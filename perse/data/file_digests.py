"""sha256 of files. Large ones are read once and remembered by path, size and time of change."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from perse.data.durable_files import write_file_atomically
from perse.private_folders import cache_folder

log = logging.getLogger(__name__)

REMEMBERED_BYTES = 16 << 20
"""Smaller files are read each time, which takes no longer than looking their digest up."""

_WORTH_A_WORD_BYTES = 1 << 30


def cache_root() -> Path:
    """``$PERSE_CACHE``, or ``~/.cache/perse``."""
    return cache_folder().expanduser()


def file_digest(path: Path, *, again: bool = False) -> str:
    """sha256 of a file's content, 64 hexadecimal digits.

    Args:
        again: read the file even if it is remembered.
    """
    path = path.resolve()
    state = path.stat()
    if state.st_size < REMEMBERED_BYTES:
        return _read(path)
    known = [str(path), state.st_size, state.st_mtime_ns]
    note = cache_root() / "digests" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    if not again and (found := _remembered(note, known)):
        return found
    if state.st_size > _WORTH_A_WORD_BYTES:
        log.info("reading %s once for its sha256 (%.1f GiB)", path, state.st_size / 2**30)
    digest = _read(path)
    try:
        write_file_atomically(note, json.dumps({"file": known, "sha256": digest}).encode())
    except OSError as error:  # a read-only home costs time, nothing else
        log.debug("the digest of %s cannot be remembered: %s", path, error)
    return digest


def _read(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remembered(note: Path, file: list[object]) -> str | None:
    try:
        content = json.loads(note.read_bytes())
        return str(content["sha256"]) if content["file"] == file else None
    except (OSError, ValueError, KeyError, TypeError):
        return None

"""Durable writing of files and folders: there after a crash once the call has returned, and never half.

Every change on disk that a commit relies on goes through here, and here through `os` alone, so that a test can stop the
machine after each single operation (`tests/crash_disk.py`). A name is durable when the folder that holds it has been
synced, so new folders are synced into their parents too.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

TEMPORARY = ".part-"
"""Begins the name of a file that is being written."""


def write_file_atomically(target: Path, content: bytes) -> None:
    """Write a file so that after a crash at any moment either the old or the new content is there.

    Raises:
        OSError: as the filesystem says; no temporary file is left behind.
    """
    make_folders(target.parent)
    temporary = target.with_name(f"{TEMPORARY}{secrets.token_hex(6)}")
    try:
        write_synced(temporary, content)
        os.replace(temporary, target)
    except OSError:
        remove(temporary)
        raise
    sync_folder(target.parent)


def write_synced(path: Path, content: bytes) -> None:
    """A new file with this content on disk; its name is not durable yet."""
    stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(stream, left) :]
        os.fsync(stream)
    finally:
        os.close(stream)


def make_folders(path: Path) -> None:
    """A folder and those above it, durably."""
    if os.path.isdir(path):
        return
    make_folders(path.parent)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    sync_folder(path.parent)


def move_folder(source: Path, target: Path) -> None:
    """Give a folder of synced files its name, at once and durably."""
    sync_folder(source)
    os.rename(source, target)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it; nothing happens if it is not there."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            remove(path / name)
        os.rmdir(path)
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

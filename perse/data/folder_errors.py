"""Errors of a folder's files: what a filesystem raises, as one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from perse.errors import WorkspaceError

_ON_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EFBIG: "the file would exceed the size limit",
    errno.ENAMETOOLONG: "the path is too long",
}


@contextmanager
def explained(action: str, location: str) -> Iterator[None]:
    """Context in which a filesystem's errors are `WorkspaceError`s.

    Args:
        action: what is done, as in "cannot write clips/a.parquet in runs/me".
    """
    try:
        yield
    except FileNotFoundError as error:
        raise WorkspaceError(f"cannot {action} in {location}: there is no such file") from error
    except pa.ArrowInvalid as error:
        raise WorkspaceError(f"cannot {action} in {location}: {one_line(error)}") from error
    except OSError as error:
        reason = _ON_DISK.get(error.errno or 0, one_line(error))
        raise WorkspaceError(
            f"cannot {action} in {location}: {reason}. What is finished is kept: make room or choose "
            "another --workspace, then run the same command again"
        ) from error


def one_line(error: Exception) -> str:
    """Message of an error in one line, the first 200 characters; its type where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__

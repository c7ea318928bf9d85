"""Object stores: whether one answers at all, found out in seconds.

Google's client goes on trying for a quarter of an hour before it says that there is no network or no credentials. That
patience is right in the middle of a long run and wrong at its door.
"""

from __future__ import annotations

import re
from functools import lru_cache

import pyarrow as pa
from pyarrow import fs

from perse.errors import WorkspaceError

PATIENCE_S = 5
"""For the first answer. Longer than a sound connection and a renewed access token take."""

_REASONS = (
    r"CURL error \[\d+\]=(.+?)(?: error_info|$)",
    r"Details: (.+)$",
    r"message of (.+?)(?: error_info|$)",
    r"(.+)",
)
"""Where a client says it, the most telling first."""


@lru_cache(maxsize=256)
def check_answers(location: str) -> None:
    """Ask a store for the folder that an address names, whether or not it exists. An answer is remembered.

    Args:
        location: an address, ``s3://bucket/folder`` or ``gs://bucket/folder``.

    Raises:
        WorkspaceError: nobody answers there, or not to us.
    """
    try:
        filesystem, root = fs.FileSystem.from_uri(_impatient(location))
        filesystem.get_file_info(root)
    except pa.ArrowInvalid:
        raise  # no address at all
    except OSError as error:
        raise WorkspaceError(
            f"no answer from the object store at {location} ({reason_of(error)}); look at the address, the network and "
            "the credentials, then run the same command again"
        ) from error


def _impatient(location: str) -> str:
    """The address as it is asked first; only Google's client has to be told."""
    if not location.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in location:
        return location
    return f"{location}{'&' if '?' in location else '?'}retry_limit_seconds={PATIENCE_S}"


def reason_of(error: Exception) -> str:
    """Fault of a store, out of the paragraph that a store's client makes of it."""
    text = " ".join(str(error).split())
    found = next((found for found in (re.search(pattern, text) for pattern in _REASONS) if found), None)
    reason = found[1][:200] if found else type(error).__name__
    return f"no access token: {reason}" if "access token" in text else reason

"""Memory pool of training steps: what one step frees is kept for the next, which will ask for the same blocks.

glibc hands large blocks back to the operating system as soon as they are free; the next step then waits for thousands
of fresh, zeroed pages: 20,000 a step with the `networks` decoder at laptop size, a third of its time or more [M].
"""

from __future__ import annotations

import ctypes
import logging

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_KEPT_BYTES = 32 << 20
"""The largest threshold that glibc takes."""
_KEPT_BYTES = 1 << 30
"""Freed memory at the end of the heap that this process may keep."""


def keep_freed_memory() -> bool:
    """Tell this process's allocator; False where it cannot be told (not glibc). Results never depend on it."""
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        logger.debug("this C library has no mallopt; freed memory goes back to the system after every step")
        return False
    return bool(set_option(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)) and bool(set_option(_TRIM_THRESHOLD, _KEPT_BYTES))

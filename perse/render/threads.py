"""Number of threads that the kernels use, and the pool they come from.

numba's default pool (``workqueue``) crashes when two threads of a server enter it at once; ``tbb`` and ``omp`` do not.
``threadsafe`` makes numba take one of these or refuse.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numba
import torch

_settings: Any = numba.config
if "NUMBA_THREADING_LAYER" not in os.environ:
    _settings.THREADING_LAYER = "threadsafe"


def thread_count(threads: int | None) -> int:
    """Number of threads: the one asked for, or as many as torch uses in this process (Ray gives its workers their share
    that way).

    Never more than numba started with (``NUMBA_NUM_THREADS``, by default the CPUs of this process).
    """
    wanted = torch.get_num_threads() if threads is None else threads
    return max(1, min(wanted, _settings.NUMBA_NUM_THREADS))


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Run numba's parallel regions of the calling thread on so many threads."""
    _start_pool()
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@cache
def _start_pool() -> None:
    """Start numba's pool, which over OpenMP sets the starting thread's default, which torch obeys: put that back."""
    torch_threads = torch.get_num_threads()
    numba.get_num_threads()
    torch.set_num_threads(torch_threads)

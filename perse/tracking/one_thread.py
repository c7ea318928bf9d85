"""Limit to one thread for small matrices.

The fits solve systems of some sixty unknowns, one after the other. torch's OpenMP and OpenBLAS would have all cores
work on each of them; the cores that have nothing to do wait for each other in loops that cost what work costs. On two
busy cores 97 frames took 11.7 s of processor time that way and 3.1 s on one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

_HOLDS_BLAS = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Context in which torch in the calling thread and BLAS in the whole process use one thread each.

    Blocks may be nested, and may run in several threads at once: OpenMP's number belongs to a thread, and that of BLAS
    is set and put back by whoever came first. If others are still inside then, they are slower, not wrong.
    """
    torch.get_num_threads()  # torch sets a new thread's number when it is first asked for, which would be too late
    with _libraries().select(user_api="openmp").limit(limits=1):
        if not _HOLDS_BLAS.acquire(blocking=False):
            yield
            return
        try:
            with _libraries().select(user_api="blas").limit(limits=1):
                yield
        finally:
            _HOLDS_BLAS.release()


@cache
def _libraries() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401 - only libraries that are loaded can be told

    return ThreadpoolController()

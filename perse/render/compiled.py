"""Decorators of all numba kernels: compiled once, kept on disk between processes, and never stale.

::

    kernel, parallel_kernel                where time counts: multiply-adds are fused
    exact_kernel, parallel_exact_kernel    where pictures are made: no operation is fused, so that every processor that
                                           keeps to IEEE 754 computes the same bits
    kernel_part                            what several kernels have in common; it is compiled into each
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.cpu_options import ParallelOptions

# Multiply-adds may be fused. Nothing else is relaxed: NaN must stay NaN, and a sum must keep its order.
# Only what is written as a loop over `prange` is shared by threads: waking them for every `np.zeros` costs more.
_NOT_SHARED = ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion")

_EXACT: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_OPTIONS: dict[str, Any] = {**_EXACT, "fastmath": {"contract"}}

kernel_part = numba.njit(inline="always")


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that runs on one thread and holds no lock."""
    return _stamped(numba.njit(**_OPTIONS)(function), function)


def exact_kernel(function: Callable[..., Any]) -> Any:
    """Compile as `kernel` does, without fused operations."""
    return _stamped(numba.njit(**_EXACT)(function), function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function whose `numba.prange` loops are shared by the threads (see `perse.render.threads`)."""
    return _stamped(numba.njit(parallel=_only_loops(), **_OPTIONS)(function), function)


def parallel_exact_kernel(function: Callable[..., Any]) -> Any:
    """Compile as `parallel_kernel` does, without fused operations."""
    return _stamped(numba.njit(parallel=_only_loops(), **_EXACT)(function), function)


def _only_loops() -> Any:
    # As a plain dict it would be emptied by the first signature that is compiled.
    return ParallelOptions({"prange": True, **dict.fromkeys(_NOT_SHARED, False)})


def _stamped(dispatcher: Any, function: Callable[..., Any]) -> Any:
    """numba compiles again when a kernel's own file changes, but not for a file it takes helpers or constants from.

    So the stamp that it keeps beside the compiled code becomes a digest of all files that kernels are made of: the
    kernel's own, and in its package and in this one those named below.
    """
    own = Path(inspect.getfile(function))
    stamp = (_digest(Path(__file__).parent), _digest(own.parent), hashlib.sha256(own.read_bytes()).hexdigest())
    dispatcher._cache._cache_file._source_stamp = stamp
    return dispatcher


_MADE_OF = ("*_kernels.py", "constants.py", "lanes.py", "lane_memory.py", "compiled.py")


@cache
def _digest(folder: Path) -> str:
    files = sorted(path for pattern in _MADE_OF for path in folder.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()

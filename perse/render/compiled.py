"""The decorators of all numba kernels: compiled once, kept on disk between processes, and never stale."""

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

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that runs on one thread and holds no lock."""
    return _stamped(numba.njit(**_OPTIONS)(function), function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function whose `numba.prange` loops are shared by the threads (see `perse.render.threads`)."""
    # As a plain dict it would be emptied by the first signature that is compiled.
    only_loops: Any = ParallelOptions({"prange": True, **dict.fromkeys(_NOT_SHARED, False)})
    return _stamped(numba.njit(parallel=only_loops, **_OPTIONS)(function), function)


def _stamped(dispatcher: Any, function: Callable[..., Any]) -> Any:
    """numba compiles again when a kernel's own file changes, but not for a file it takes helpers or constants from.

    So the stamp that it keeps beside the compiled code becomes a digest of all files that kernels are made of: in the
    kernel's package and in this one, those named below.
    """
    here, there = Path(__file__).parent, Path(inspect.getfile(function)).parent
    dispatcher._cache._cache_file._source_stamp = (_digest(here), _digest(there))
    return dispatcher


_MADE_OF = ("*_kernels.py", "constants.py", "lanes.py", "lane_memory.py", "compiled.py")


@cache
def _digest(folder: Path) -> str:
    files = sorted(path for pattern in _MADE_OF for path in folder.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()

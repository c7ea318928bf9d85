"""FLAME's official pickles as safetensors: converted once, by a reader that runs nothing of what is in them.

The files hold chumpy objects, scipy's sparse matrices and numpy arrays under the module names of ten years ago. What
they *describe* is read with `perse.head.pickle_data`; the arrays are built here, from a type's name, sizes and bytes.
Neither chumpy nor the constructors of numpy and scipy are asked for anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from perse.errors import HeadModelError
from perse.head.pickle_data import Call, Name, PickleDataError, parse_pickle
from perse.plain_arrays import DTYPE, PlainArrayError, array_of

MAX_FILE_BYTES = 512 * 1024 * 1024

NEEDED = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")
"""What makes a head of a FLAME file; the rest is not looked at."""

_NAMES = re.compile(
    r"numpy\.(?:ndarray|dtype)|numpy\._?core\.multiarray\.(?:_reconstruct|scalar)|numpy\._?core\.numeric\._frombuffer"
    r"|scipy\.sparse\._?(?:csc|csr|coo)\.(?:csc|csr|coo)_matrix|chumpy(?:\.[a-z_]+)*\.[A-Z]\w*"
    r"|copy_?reg\._reconstructor|(?:__builtin__|builtins)\.(?:object|set)|collections\.OrderedDict|_codecs\.encode"
)
"""All that FLAME's files name. They are names only; but who sends others does not send FLAME."""


def convert_flame(path: Path) -> Path:
    """Write the arrays of a FLAME pickle as safetensors beside it, and return where.

    Raises:
        HeadModelError: missing, not a FLAME model, or a pickle that asks for anything but arrays; nothing was run.
    """
    arrays = arrays_of_flame_pickle(read_bytes(path), path.name)
    target = path.with_suffix(".safetensors")
    native = {name: np.ascontiguousarray(one.astype(one.dtype.newbyteorder("="))) for name, one in arrays.items()}
    try:
        save_file(native, target)
    except OSError as error:
        raise HeadModelError(f"{target} cannot be written ({error.strerror or error})") from None
    return target


def read_bytes(path: Path) -> bytes:
    """The content of a head-model file of bearable size.

    Raises:
        HeadModelError: it cannot be read, or is larger than 512 MiB.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise HeadModelError(f"{path.name} is larger than 512 MiB; give FLAME's 2020 or 2023 model file")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise HeadModelError(f"{path} cannot be read ({reason}); give the path of a FLAME model file") from None


def arrays_of_flame_pickle(data: bytes, name: str = "the head-model file") -> dict[str, NDArray[np.generic]]:
    """The arrays of `NEEDED` in the bytes of a FLAME pickle.

    Raises:
        HeadModelError: see `convert_flame`.
    """
    try:
        content = parse_pickle(data)
        _refuse_other_names(content)
    except PickleDataError as error:
        raise HeadModelError(f"{name} cannot be read as a FLAME model: {error}; give FLAME's own file") from None
    if not isinstance(content, dict):
        raise HeadModelError(f"{name} holds a {type(content).__name__}, not FLAME's dictionary of arrays")
    missing = [one for one in NEEDED if one not in content]
    if missing:
        raise HeadModelError(f"{name} lacks {', '.join(missing)}; give FLAME's 2020 or 2023 model file")
    try:
        return {one: _array(content[one], room=len(data)) for one in NEEDED}
    except PlainArrayError as error:
        raise HeadModelError(f"{name} holds arrays that cannot be rebuilt: {error}; give FLAME's own file") from None


def _refuse_other_names(content: Any) -> None:
    for name in _names_in(content):
        if _NAMES.fullmatch(str(name)) is None:
            raise HeadModelError(
                f"the head-model file wants to run {str(name)[:80]!r}, which no FLAME file needs; nothing was run. "
                "Download the model again from FLAME's own site"
            )


def _names_in(content: Any) -> Iterator[Name]:
    """Every name, wherever it stands; each shared value is visited once."""
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Name):
            yield value
        elif isinstance(value, Call):
            waiting += [value.of, *value.arguments, *value.states]
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()


# Arrays


def _array(value: Any, room: int) -> NDArray[np.generic]:
    """The array that a value of the file describes; a dense one of a sparse one, if it takes `room` bytes at most."""
    kind = _kind_of(value)
    if kind.startswith("chumpy."):
        value = _state(value).get("x")
        kind = _kind_of(value)
    if kind.endswith("_matrix"):
        return _dense(kind.removesuffix("_matrix")[-3:], _state(value), room)
    return _ndarray(value, kind)


def _kind_of(value: Any) -> str:
    """The full name of what a call would build, seeing through ``copyreg._reconstructor(cls, object, None)``."""
    if not isinstance(value, Call):
        return type(value).__name__
    if value.of.name == "_reconstructor":
        return str(value.arguments[0]) if value.arguments else ""
    return str(value.of)


def _state(value: Any) -> dict[str, Any]:
    if len(value.states) != 1 or not isinstance(value.states[0], dict):
        raise PlainArrayError("an object of it has no state")
    return value.states[0]


def _ndarray(value: Any, kind: str) -> NDArray[np.generic]:
    if kind.endswith("._reconstruct") and len(value.states) == 1 and _is_tuple(value.states[0], 5):
        _, shape, dtype, column_major, content = value.states[0]
    elif kind.endswith("._frombuffer") and _is_tuple(value.arguments, 4):
        content, dtype, shape, order = value.arguments
        column_major = order == "F"
    else:
        raise PlainArrayError(f"expected an array, got {kind[:60]}")
    if not _is_sizes(shape) or not isinstance(column_major, bool | int):
        raise PlainArrayError("an array has an impossible shape")
    return array_of(_dtype(dtype), shape, _bytes(content), column_major=bool(column_major))


def _dtype(value: Any) -> str:
    """``dtype('f8', False, True)`` with the state ``(3, '<', None, None, None, -1, -1, 0)``: a plain number."""
    if _kind_of(value) != "numpy.dtype" or not value.arguments or len(value.states) > 1:
        raise PlainArrayError("an array has no type")
    name = value.arguments[0]
    order, extras = "<", [None, None, None]
    if value.states:
        if not _is_tuple(value.states[0], 8):
            raise PlainArrayError("it holds an array of something else than numbers")
        _, order, *extras, _, _, _ = value.states[0]
    if not isinstance(name, str) or order not in ("<", ">", "|", "=") or any(extra is not None for extra in extras):
        raise PlainArrayError("it holds an array of something else than numbers")
    if DTYPE.fullmatch(name) is None:
        raise PlainArrayError("it holds an array of something else than numbers")
    return order + name.lstrip("<>|=")


def _bytes(value: Any) -> bytes:
    """Python 2 wrote bytes as text; Python 3, for protocol 2, as a call of ``_codecs.encode(text, 'latin1')``."""
    if isinstance(value, Call) and str(value.of) == "_codecs.encode":
        if not _is_tuple(value.arguments, 2) or value.arguments[1] != "latin1":
            raise PlainArrayError("it uses an unexpected text encoding")
        value = value.arguments[0]
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise PlainArrayError("an array's bytes are text") from None
    if not isinstance(value, bytes | bytearray):
        raise PlainArrayError("it holds an array of something else than numbers")
    return bytes(value)


# Sparse matrices


def _dense(layout: str, state: dict[str, Any], room: int) -> NDArray[np.generic]:
    shape = state.get("_shape", state.get("shape"))
    if not _is_sizes(shape) or len(shape) != 2:
        raise PlainArrayError("a sparse matrix has an impossible shape")
    values = _vector(state, "data")
    if math.prod(shape) * values.dtype.itemsize > room:
        raise PlainArrayError("a sparse matrix is larger than the whole file when it is written out")
    rows, columns = _COORDINATES[layout](state, shape)
    if not len(rows) == len(columns) == len(values):
        raise PlainArrayError("a sparse matrix has more or fewer places than values")
    for places, size in ((rows, shape[0]), (columns, shape[1])):
        if len(places) and not (places.min() >= 0 and places.max() < size):
            raise PlainArrayError("a sparse matrix has values outside itself")
    dense = np.zeros(shape, values.dtype)
    np.add.at(dense, (rows, columns), values)
    return dense


def _vector(state: dict[str, Any], name: str) -> NDArray[np.generic]:
    value = state.get(name)
    array = _ndarray(value, _kind_of(value))
    if array.ndim != 1:
        raise PlainArrayError("a sparse matrix is not made of vectors")
    return array


def _places(state: dict[str, Any], name: str) -> NDArray[np.int64]:
    array = _vector(state, name)
    if array.dtype.kind not in "iu":
        raise PlainArrayError("a sparse matrix has places that are no whole numbers")
    return array.astype(np.int64)


def _compressed(state: dict[str, Any], lines: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which line each value is on, and where on it."""
    ends, inner = _places(state, "indptr"), _places(state, "indices")
    lengths = np.diff(ends)
    if len(ends) != lines + 1 or ends[0] != 0 or ends[-1] != len(inner) or lengths.min(initial=0) < 0:
        raise PlainArrayError("a sparse matrix has lines that do not end where the next begins")
    return np.repeat(np.arange(lines), lengths), inner


def _csc(state: dict[str, Any], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    column, row = _compressed(state, shape[1])
    return row, column


def _csr(state: dict[str, Any], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _compressed(state, shape[0])


def _coo(state: dict[str, Any], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if _is_tuple(coordinates := state.get("coords"), 2):
        return _places({"row": coordinates[0]}, "row"), _places({"col": coordinates[1]}, "col")
    return _places(state, "row"), _places(state, "col")


_Coordinates = Callable[[dict[str, Any], tuple[int, ...]], tuple[NDArray[np.int64], NDArray[np.int64]]]
_COORDINATES: dict[str, _Coordinates] = {"csc": _csc, "csr": _csr, "coo": _coo}


def _is_tuple(value: Any, length: int) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple) and len(value) == length


def _is_sizes(value: Any) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(isinstance(size, int) and not isinstance(size, bool) for size in value)

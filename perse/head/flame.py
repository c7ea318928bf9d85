"""FLAME 2020 and 2023 from the files that their authors give to licensees, read without running what is in them.

The official files are pickles that hold chumpy objects and old scipy and numpy paths. An allow-listing unpickler turns
those few into plain arrays and refuses everything else; chumpy itself is neither needed nor imported.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.errors import HeadModelError
from perse.head.model import HeadModel, Joint, Region

MAX_FILE_BYTES = 512 * 1024 * 1024
N_SHAPE_2020 = 300
"""FLAME stacks 300 identity and 100 expression components in one array."""
N_SHAPE_USED, N_EXPRESSION_USED = 100, 50
"""The leading components; the rest is below what a photograph or a Gaussian avatar can show
(docs/reference.md#method-numbers)."""

REQUIRED = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")


# What CPython's unpickler raises on damaged or truncated data.
DAMAGED_PICKLE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError,
    OverflowError, MemoryError, AssertionError,
)  # fmt: skip


class ChumpyArray:
    """What stands in for ``chumpy.ch.Ch`` while unpickling: an object that only keeps its state."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def to_array(self) -> NDArray[np.generic]:
        """The plain values, kept under ``x``."""
        if "x" not in self.state:
            raise HeadModelError("a chumpy object of the head-model file holds no values; give FLAME's original file")
        return np.asarray(self.state["x"])


def _sparse(kind: str) -> Callable[..., Any]:
    return getattr(scipy.sparse, kind)  # type: ignore[no-any-return]


def _numpy_core(name: str) -> Any:
    """numpy's private rebuilding functions, under whichever module path this numpy keeps them."""
    from numpy._core import multiarray

    return getattr(multiarray, name)


ALLOWED: dict[tuple[str, str], Callable[[], Any]] = {
    ("chumpy.ch", "Ch"): lambda: ChumpyArray,
    ("chumpy", "Ch"): lambda: ChumpyArray,
    ("numpy", "ndarray"): lambda: np.ndarray,
    ("numpy", "dtype"): lambda: np.dtype,
    ("collections", "OrderedDict"): lambda: dict,
    ("copy_reg", "_reconstructor"): lambda: _reconstruct_plain,
    ("copyreg", "_reconstructor"): lambda: _reconstruct_plain,
    ("__builtin__", "object"): lambda: object,
    ("builtins", "object"): lambda: object,
    ("_codecs", "encode"): lambda: _encode_latin1,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    ALLOWED[(_module, "_reconstruct")] = lambda: _numpy_core("_reconstruct")
    ALLOWED[(_module, "scalar")] = lambda: _numpy_core("scalar")
for _kind in ("csc", "csr", "coo"):
    for _module in (f"scipy.sparse.{_kind}", f"scipy.sparse._{_kind}"):
        ALLOWED[(_module, f"{_kind}_matrix")] = partial(_sparse, f"{_kind}_matrix")


def _reconstruct_plain(kind: type, base: type, state: object) -> object:
    """``copyreg._reconstructor`` for the stub only; the real one would build any class."""
    if kind is not ChumpyArray or base is not object:
        raise HeadModelError("the head-model file rebuilds an object other than a chumpy array; it is not FLAME's file")
    return ChumpyArray()


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """Protocol-2 pickles written by Python 3 store bytes this way."""
    if encoding != "latin1":
        raise HeadModelError("the head-model file uses an unexpected text encoding; it is not FLAME's file")
    return text.encode("latin1")


class FlameUnpickler(pickle.Unpickler):
    """Unpickles arrays, sparse matrices and chumpy shells; anything else is refused before it is built."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = ALLOWED.get((module, name))
        if allowed is None:
            raise HeadModelError(
                f"the head-model file wants to run {module}.{name}, which no FLAME file needs; it was not loaded. "
                "Download the model again from FLAME's own site"
            )
        return allowed()

    def persistent_load(self, pid: Any) -> Any:
        raise HeadModelError("the head-model file refers to data outside itself; it is not FLAME's file")


def load_flame(
    path: Path | str,
    *,
    landmark_embedding: Path | str | None = None,
    n_shape: int = N_SHAPE_USED,
    n_expression: int = N_EXPRESSION_USED,
) -> HeadModel:
    """Read a FLAME model.

    Args:
        path: ``generic_model.pkl``, ``flame2023.pkl`` or an ``.npz`` with the same names.
        landmark_embedding: FLAME's ``mediapipe_landmark_embedding.npz`` (lmk_face_idx, lmk_b_coords,
            landmark_indices). Without it the model has no landmarks and cannot track portraits.
        n_shape, n_expression: leading components to keep.

    Raises:
        HeadModelError: missing, not a FLAME model, or a pickle that asks for anything but arrays.
    """
    raw = _read(Path(path))
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        raise HeadModelError(f"{Path(path).name} lacks {', '.join(missing)}; give FLAME's 2020 or 2023 model file")
    arrays = {name: _plain(raw[name]) for name in REQUIRED}
    template = arrays["v_template"].astype(np.float32)
    faces = arrays["f"].astype(np.int64)
    directions = arrays["shapedirs"].astype(np.float32)
    if template.ndim != 2 or directions.ndim != 3 or directions.shape[:2] != template.shape:
        raise HeadModelError(f"{Path(path).name} has arrays of unexpected shapes; give FLAME's 2020 or 2023 model file")
    split = min(N_SHAPE_2020, directions.shape[2])
    expression = directions[:, :, split : split + n_expression]
    parents = arrays["kintree_table"][0].astype(np.int64)
    parents[0] = -1  # stored as 2³² - 1
    if len(parents) != len(Joint):
        raise HeadModelError(f"{Path(path).name} has {len(parents)} joints, FLAME has {len(Joint)}")
    embedding = _read_embedding(landmark_embedding, len(faces))
    weights = arrays["weights"].astype(np.float32)
    return HeadModel(
        template=_tensor(template),
        faces=_tensor(faces),
        shape_basis=_tensor(directions[:, :, : min(n_shape, split)]),
        expression_basis=_tensor(expression),
        pose_basis=_tensor(arrays["posedirs"].astype(np.float32).reshape(len(template), 3, -1)),
        joint_regressor=_tensor(arrays["J_regressor"].astype(np.float32)),
        parents=_tensor(parents),
        skinning_weights=_tensor(weights / weights.sum(1, keepdims=True)),
        regions=_tensor(_regions(weights)),
        uvs=torch.zeros(0, 2),
        uv_faces=torch.zeros(0, 3, dtype=torch.int64),
        landmark_ids=_tensor(embedding[0]),
        landmark_faces=_tensor(embedding[1]),
        landmark_weights=_tensor(embedding[2]),
        joint_names=tuple(joint.name.lower() for joint in Joint),
        expression_names=tuple(f"expression{index:02d}" for index in range(expression.shape[2])),
    )


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _regions(weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """Eyeballs are what the eye joints carry entirely; FLAME has neither teeth nor tongue."""
    regions = np.full(len(weights), int(Region.SKIN), np.int64)
    regions[weights[:, Joint.LEFT_EYE] > 0.99] = int(Region.LEFT_EYE)
    regions[weights[:, Joint.RIGHT_EYE] > 0.99] = int(Region.RIGHT_EYE)
    return regions


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise HeadModelError(f"{path.name} is larger than 512 MiB; give FLAME's 2020 or 2023 model file")
        data = path.read_bytes()
    except OSError as error:
        raise HeadModelError(f"{path} cannot be read ({error.strerror}); give the path of a FLAME model file") from None
    return _read_npz(path.name, data) if data[:2] == b"PK" else _read_pickle(path.name, data)


def _read_npz(name: str, data: bytes) -> dict[str, Any]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise HeadModelError(f"{name} cannot be read as an npz of plain arrays; convert it again") from None


def _read_pickle(name: str, data: bytes) -> dict[str, Any]:
    try:
        content = FlameUnpickler(io.BytesIO(data), encoding="latin1").load()
    except HeadModelError:
        raise
    except DAMAGED_PICKLE:
        raise HeadModelError(
            f"{name} is neither a pickle nor an npz that can be read; give FLAME's model file"
        ) from None
    if not isinstance(content, dict):
        raise HeadModelError(f"{name} holds a {type(content).__name__}, not FLAME's dictionary of arrays")
    return {str(key): value for key, value in content.items()}


def _plain(value: Any) -> NDArray[np.generic]:
    if isinstance(value, ChumpyArray):
        return value.to_array()
    if scipy.sparse.issparse(value):
        return np.asarray(value.toarray())
    return np.asarray(value)


def _read_embedding(
    path: Path | str | None, n_faces: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    if path is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.float32)
    raw = _read(Path(path))
    missing = [name for name in ("lmk_face_idx", "lmk_b_coords", "landmark_indices") if name not in raw]
    if missing:
        raise HeadModelError(
            f"{Path(path).name} lacks {', '.join(missing)}; give FLAME's mediapipe_landmark_embedding.npz"
        )
    faces = np.asarray(raw["lmk_face_idx"]).astype(np.int64).ravel()
    weights = np.asarray(raw["lmk_b_coords"]).astype(np.float32).reshape(-1, 3)
    ids = np.asarray(raw["landmark_indices"]).astype(np.int64).ravel()
    if not len(faces) == len(weights) == len(ids) or faces.max(initial=0) >= n_faces:
        raise HeadModelError(f"{Path(path).name} does not belong to this head model; give the matching embedding")
    return ids, faces, weights

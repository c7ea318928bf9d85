"""FLAME 2020 and 2023 as a head model: from safetensors or npz, the arrays alone.

FLAME's own files are pickles. They are converted once (`perse.head.flame_pickle`, ``perse models convert``),
and never opened here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from torch import Tensor

from perse.errors import HeadModelError
from perse.head.flame_pickle import NEEDED, read_bytes
from perse.head.model import HeadModel, Joint, Region
from perse.plain_arrays import PlainArrayError, read_npz

MAX_ARRAY_BYTES = 256 * 1024 * 1024
"""What an npz may unpack to; FLAME in double precision takes 55 MiB."""
N_SHAPE_2020 = 300
"""FLAME stacks 300 identity and 100 expression components in one array."""
N_SHAPE_USED, N_EXPRESSION_USED = 100, 50
"""The leading components; the rest is below what a photograph or a Gaussian avatar can show
(docs/reference.md#method-numbers)."""

N_MEDIAPIPE_LANDMARKS = 478
EMBEDDING = ("lmk_face_idx", "lmk_b_coords", "landmark_indices")

Arrays = dict[str, NDArray[np.generic]]


def load_flame(
    path: Path | str,
    *,
    landmark_embedding: Path | str | None = None,
    n_shape: int = N_SHAPE_USED,
    n_expression: int = N_EXPRESSION_USED,
) -> HeadModel:
    """Read a FLAME model.

    Args:
        path: what ``perse models convert generic_model.pkl`` wrote, or an ``.npz`` with the same names.
        landmark_embedding: FLAME's ``mediapipe_landmark_embedding.npz`` (lmk_face_idx, lmk_b_coords,
            landmark_indices). Without it the model has no landmarks and cannot track portraits.
        n_shape, n_expression: leading components to keep.

    Raises:
        HeadModelError: missing, not a FLAME model, damaged, or still a pickle.
    """
    name = Path(path).name
    arrays = read_arrays(Path(path), NEEDED)
    missing = [one for one in NEEDED if one not in arrays]
    if missing:
        raise HeadModelError(f"{name} lacks {', '.join(missing)}; give FLAME's 2020 or 2023 model file")
    refuse_misfits(name, arrays, FLAME_FILES)
    template = arrays["v_template"].astype(np.float32)
    faces = arrays["f"].astype(np.int64)
    directions = arrays["shapedirs"].astype(np.float32)
    split = min(N_SHAPE_2020, directions.shape[2])
    expression = directions[:, :, split : split + n_expression]
    parents = arrays["kintree_table"][0].astype(np.int64)
    parents[0] = -1  # stored as 2³² - 1
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


def _regions(weights: Float32[np.ndarray, "v j"]) -> Int64[np.ndarray, " v"]:
    """Eyeballs are what the eye joints carry entirely; FLAME has neither teeth nor tongue."""
    regions = np.full(len(weights), int(Region.SKIN), np.int64)
    regions[weights[:, Joint.LEFT_EYE] > 0.99] = int(Region.LEFT_EYE)
    regions[weights[:, Joint.RIGHT_EYE] > 0.99] = int(Region.RIGHT_EYE)
    return regions


@dataclass(frozen=True)
class ModelFiles:
    """A family of model files that share FLAME's arrays.

    Attributes:
        model: its name.
        advice: which files to give.
        joints: how many there are.
    """

    model: str
    advice: str
    joints: int


FLAME_FILES = ModelFiles("FLAME", "give FLAME's 2020 or 2023 model file", len(Joint))


def read_arrays(path: Path, names: tuple[str, ...]) -> Arrays:
    """The arrays of these names from safetensors or npz, as far as they are there.

    Raises:
        HeadModelError: missing, damaged, or something else, such as a pickle.
    """
    data = read_bytes(path)
    if path.suffix.lower() != ".safetensors" and data[:2] != b"PK":
        raise HeadModelError(
            f"{path.name} is neither safetensors nor npz; if it is FLAME's own pickle, convert it once (nothing in it "
            f"is run): perse models convert {path}"
        )
    try:
        if data[:2] == b"PK":
            return dict(read_npz(data, max_bytes=MAX_ARRAY_BYTES, max_members=len(names), wanted=names.__contains__))
        return {name: array for name, array in load_safetensors(data).items() if name in names}
    except (PlainArrayError, SafetensorError, ValueError, KeyError) as error:
        reason = error if isinstance(error, PlainArrayError) else "it is no safetensors file, or damaged"
        raise HeadModelError(f"{path.name} cannot be read as plain arrays: {reason}; convert it again") from None


def refuse_misfits(name: str, arrays: Arrays, files: ModelFiles) -> None:
    """Look at every size and index, so that what comes later cannot fall over them.

    Raises:
        HeadModelError: one does not fit.
    """
    v = len(arrays["v_template"]) if arrays["v_template"].ndim else 0
    j, t = files.joints, len(arrays["f"]) if arrays["f"].ndim else 0
    kinds = {"f": "iu", "kintree_table": "iu"}
    for one in NEEDED:
        if arrays[one].dtype.kind not in kinds.get(one, "f"):
            raise HeadModelError(f"{name}: {one} holds {arrays[one].dtype}; {files.advice}")
        with np.errstate(over="ignore"):
            finite = arrays[one].dtype.kind != "f" or np.isfinite(arrays[one].astype(np.float32)).all()
        if not finite:
            raise HeadModelError(f"{name}: {one} holds numbers that are not finite; convert {files.model}'s file again")
    joints = arrays["kintree_table"].shape[-1] if arrays["kintree_table"].ndim == 2 else 0
    if joints != j:
        raise HeadModelError(f"{name} has {joints} joints, {files.model} has {j}")
    shapes = {
        "v_template": (v, 3), "f": (t, 3), "shapedirs": (v, 3, None), "posedirs": (v, 3, 9 * (j - 1)),
        "J_regressor": (j, v), "kintree_table": (2, j), "weights": (v, j),
    }  # fmt: skip
    for one, expected in shapes.items():
        found = arrays[one].shape
        if len(found) != len(expected) or any(w is not None and w != f for f, w in zip(found, expected, strict=True)):
            raise HeadModelError(f"{name}: {one} has shape {found}; {files.advice}")
    faces, parents = arrays["f"].astype(np.int64), arrays["kintree_table"][0].astype(np.int64)
    if not v or not t or not (faces.min() >= 0 and faces.max() < v):
        raise HeadModelError(f"{name} has triangles without vertices; {files.advice}")
    if any(not 0 <= parent < joint for joint, parent in enumerate(parents) if joint):
        raise HeadModelError(f"{name} has joints that hang from none; {files.advice}")
    if (np.abs(arrays["weights"].sum(1)) < 1e-6).any():
        raise HeadModelError(f"{name} has vertices without a joint; {files.advice}")


def _read_embedding(
    path: Path | str | None, n_faces: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    if path is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.float32)
    name = Path(path).name
    raw = read_arrays(Path(path), EMBEDDING)
    missing = [one for one in EMBEDDING if one not in raw]
    if missing:
        raise HeadModelError(f"{name} lacks {', '.join(missing)}; give FLAME's mediapipe_landmark_embedding.npz")
    faces = raw["lmk_face_idx"].astype(np.int64).ravel()
    weights = raw["lmk_b_coords"].astype(np.float32)
    ids = raw["landmark_indices"].astype(np.int64).ravel()
    weights = weights.reshape(-1, 3) if weights.size % 3 == 0 else weights[:0]
    whole = len(faces) == len(weights) == len(ids) and np.isfinite(weights).all()
    inside = faces.min(initial=0) >= 0 and faces.max(initial=0) < n_faces
    if not whole or not inside or not (ids.min(initial=0) >= 0 and ids.max(initial=0) < N_MEDIAPIPE_LANDMARKS):
        raise HeadModelError(f"{name} does not belong to this head model; give the matching embedding")
    return ids, faces, weights

"""SMPL-X as a body model: from npz or safetensors, the arrays alone; by the reader that FLAME's files go through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.body.model.joints import JOINT_NAMES, N_JOINTS, PARENTS
from perse.errors import HeadModelError
from perse.head import HeadModel
from perse.head.flame import ModelFiles, read_arrays, refuse_misfits
from perse.head.flame_pickle import NEEDED

SMPLX_FILES = ModelFiles("SMPL-X", "give SMPL-X's SMPLX_NEUTRAL.npz, version 1.1", N_JOINTS)
N_SHAPE_FULL = 300
"""SMPL-X 1.1 stacks 300 identity and 100 expression components; older files have 10 and 10."""
N_SHAPE_USED, N_EXPRESSION_USED = 30, 50


def load_smplx(path: Path | str) -> HeadModel:
    """Read SMPL-X. It has no mediapipe landmarks and its head is not the tracked head's, so the face keeps the
    template's shape.

    Raises:
        HeadModelError: missing, not SMPL-X, damaged, or a pickle.
    """
    name = Path(path).name
    arrays = read_arrays(Path(path), NEEDED)
    missing = [one for one in NEEDED if one not in arrays]
    if missing:
        raise HeadModelError(f"{name} lacks {', '.join(missing)}; {SMPLX_FILES.advice}")
    refuse_misfits(name, arrays, SMPLX_FILES)
    parents = arrays["kintree_table"][0].astype(np.int64)
    parents[0] = -1  # stored as 2³² - 1
    if tuple(parents.tolist()) != PARENTS:
        raise HeadModelError(f"{name} has another joint tree than SMPL-X; {SMPLX_FILES.advice}")
    template = arrays["v_template"].astype(np.float32)
    directions = arrays["shapedirs"].astype(np.float32)
    split = N_SHAPE_FULL if directions.shape[2] > N_SHAPE_FULL else directions.shape[2] // 2
    weights = arrays["weights"].astype(np.float32)
    return HeadModel(
        template=_tensor(template),
        faces=_tensor(arrays["f"].astype(np.int64)),
        shape_basis=_tensor(directions[:, :, : min(N_SHAPE_USED, split)]),
        expression_basis=_tensor(directions[:, :, split : split + N_EXPRESSION_USED]),
        pose_basis=_tensor(arrays["posedirs"].astype(np.float32).reshape(len(template), 3, -1)),
        joint_regressor=_tensor(arrays["J_regressor"].astype(np.float32)),
        parents=_tensor(parents),
        skinning_weights=_tensor(weights / weights.sum(1, keepdims=True)),
        regions=torch.zeros(len(template), dtype=torch.int64),
        uvs=torch.zeros(0, 2),
        uv_faces=torch.zeros(0, 3, dtype=torch.int64),
        landmark_ids=torch.zeros(0, dtype=torch.int64),
        landmark_faces=torch.zeros(0, dtype=torch.int64),
        landmark_weights=torch.zeros(0, 3),
        joint_names=JOINT_NAMES,
        expression_names=tuple(
            f"expression{index:02d}" for index in range(min(N_EXPRESSION_USED, directions.shape[2] - split))
        ),
    )


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))

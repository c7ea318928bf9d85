"""All kernels are compiled by the decorators of one module, and z-buffers agree on what a triangle covers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tolerances import SINGLE

from perse.render.mesh import rasterize_mesh

ROOT = Path(__file__).parents[2]


def test_nobody_decorates_kernels_by_hand() -> None:
    for path in (ROOT / "perse").rglob("*.py"):
        if path.name != "compiled.py":
            assert not re.search(r"^@(numba\.)?n?jit\b", path.read_text(), re.MULTILINE), path


def test_the_triangle_loop_exists_once() -> None:
    """Whoever divides by an area has written the loop again."""
    found = [path for path in (ROOT / "perse").rglob("*.py") if "* inverse_area" in path.read_text()]
    assert [path.name for path in found] == ["triangle_kernels.py"]


def test_a_triangle_covers_its_pixels_and_weighs_its_corners() -> None:
    corners = np.array([[1, 1, 1], [1, 9, 2], [9, 1, 4]], np.float32)  # counter-clockwise, since y points down
    drawn = rasterize_mesh(corners, np.array([[0, 1, 2]], np.int32), 10, 10)
    rows, columns = np.nonzero(drawn.face == 0)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        (y, x) for y in range(1, 9) for x in range(1, 9) if x + y <= 9
    }
    np.testing.assert_allclose(drawn.weights[rows, columns].sum(1), 1, atol=SINGLE)
    seen = (drawn.weights[rows, columns, :, None] * corners).sum(1)
    np.testing.assert_allclose(seen[:, 2], drawn.depth[rows, columns], rtol=SINGLE)
    assert (rasterize_mesh(corners, np.array([[0, 2, 1]], np.int32), 10, 10).face == -1).all(), "seen from behind"
    behind = corners * [1, 1, -1]
    assert (rasterize_mesh(behind.astype(np.float32), np.array([[0, 1, 2]], np.int32), 10, 10).face == -1).all()

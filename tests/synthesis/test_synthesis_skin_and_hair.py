"""What hardly anything is seen of is continued from what there is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from perse.synthesis.procedural.animator.skin_and_hair import _around


@pytest.mark.parametrize("count", [0, 1, 3, 6, 20])
def test_values_are_continued_from_however_few_vertices_are_seen(count: int) -> None:
    """Under a cap two or three vertices of hair may be seen, as in Grace Hopper's portrait."""
    rng = np.random.default_rng(0)
    surface = SimpleNamespace(rest=rng.normal(size=(40, 3)), outer=np.ones(40, bool), average=sparse.eye(40).tocsr())
    known = np.zeros(40, np.float32)
    known[:count] = 4.0
    values = np.full((40, 3), 0.25, np.float32)
    values[count:] = 9.0  # of hidden ones: not to be believed
    found = _around(surface, values, known, rounds=1)  # type: ignore[arg-type]
    assert found.shape == (40, 3) and np.isfinite(found).all()
    if count:
        assert np.allclose(found, 0.25, atol=1e-5)

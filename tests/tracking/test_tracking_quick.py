"""What makes a video quick to track equals its slow twin; and several pictures may be tracked at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tolerances import DOUBLE, EXACT_DOUBLE

from perse.head import HeadModel
from perse.tracking.bounded_solver import solve_bounded, solve_bounded_quickly
from perse.tracking.detection import detect_faces, detect_landmarks
from perse.tracking.landmark_model import LandmarkModel
from perse.tracking.quick_landmarks import QuickLandmarkModel

Floats = NDArray[np.float64]
CAMERA = (900.0, (192.0, 180.0))


@pytest.fixture(scope="module")
def twins(head_model: HeadModel) -> tuple[LandmarkModel, QuickLandmarkModel]:
    offsets = 0.002 * torch.randn(head_model.n_vertices, 3, generator=torch.Generator().manual_seed(1))
    return LandmarkModel(head_model, *CAMERA, offsets), QuickLandmarkModel(head_model, *CAMERA, offsets)


@pytest.mark.parametrize("size", [0.0, 1e-5, 0.3])
def test_landmarks_and_their_derivatives_equal_forward_mode(
    twins: tuple[LandmarkModel, QuickLandmarkModel], size: float
) -> None:
    slow, quick = twins
    random = torch.Generator().manual_seed(2)
    vector = size * torch.randn(slow.layout.size, generator=random, dtype=torch.float64)
    vector[slow.layout.translation] = torch.tensor([0.02, -0.01, 1.4], dtype=torch.float64)
    torch.testing.assert_close(quick.positions(vector), slow.positions(vector), atol=EXACT_DOUBLE, rtol=0)
    torch.testing.assert_close(quick.pixels(vector), slow.pixels(vector), atol=DOUBLE, rtol=0)
    every = torch.ones(slow.layout.size, dtype=torch.bool)
    some = every & (torch.rand(slow.layout.size, generator=random) < 0.4)
    for free in (every, some):
        expected = slow.jacobian(vector, free)
        assert float((expected.abs().amax((0, 1)) > 0).float().mean()) > 0.95  # all but the tongue moves something
        # Hundreds of pixels a unit; at 1e-5 the series of Rodrigues' formula leave out terms of 1e-11 of that.
        torch.testing.assert_close(quick.jacobian(vector, free), expected, atol=1e-7, rtol=0)


def random_problem(random: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    n = int(random.integers(1, 60))
    rows = random.normal(size=(n + int(random.integers(0, 30)), n)) * 10 ** random.uniform(-2, 2, n)
    normal = rows.T @ rows + 1e-6 * np.eye(n)
    lower = -random.random(n)
    upper = np.where(random.random(n) < 0.3, np.inf, lower + 2 * random.random(n) + 1e-9)
    return normal, random.normal(size=n) * np.sqrt(np.diag(normal)), lower, upper


def test_the_bounded_solution_is_the_best_there_is() -> None:
    """Where it is free the slope is zero, and on a bound it points outwards: no other point is as good."""
    random = np.random.default_rng(0)
    on_bounds = 0
    for _ in range(100):
        normal, right, lower, upper = random_problem(random)
        found = solve_bounded_quickly(normal, right, lower, upper)
        slope = (normal @ found - right) / np.sqrt(np.diag(normal))
        below, above = found <= lower, found >= upper
        on_bounds += int(below.sum() + above.sum())
        assert (found >= lower).all() and (found <= upper).all()
        assert np.abs(slope[~below & ~above]).max(initial=0) < 1e-9  # float64: the gradient where no bound holds
        assert slope[below].min(initial=0) > -1e-9 and slope[above].max(initial=0) < 1e-9  # as above
    assert on_bounds > 500


def test_both_solvers_find_the_same() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(60, 40))
    problem = (rows.T @ rows, random.normal(size=40) * 20, np.full(40, -0.2), np.full(40, 0.3))
    # Equal to some 1e-8; another set of bounds would be tenths away.
    np.testing.assert_allclose(solve_bounded_quickly(*problem), solve_bounded(*problem), atol=1e-5)


def test_several_threads_get_each_its_own_answers(
    astronaut: NDArray[np.uint8], twins: tuple[LandmarkModel, QuickLandmarkModel]
) -> None:
    slow, _ = twins
    pictures = [np.ascontiguousarray(astronaut[:300, left : left + 400]) for left in (0, 40, 80, 20)]
    vectors = [torch.full((slow.layout.size,), 0.01 * k, dtype=torch.float64) for k in range(4)]
    free = torch.ones(slow.layout.size, dtype=torch.bool)

    def look(k: int) -> tuple[Floats, float, NDArray[np.float64]]:
        points, faces = detect_landmarks(pictures[k]), detect_faces(pictures[k])
        assert points is not None
        return points.astype(np.float64), faces[0].left, slow.jacobian(vectors[k], free).numpy()

    alone = [look(k) for k in range(4)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(look, range(4)))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one[0], other[0]) and one[1] == other[1] and np.array_equal(one[2], other[2])
    assert len({one[1] for one in alone}) == 4

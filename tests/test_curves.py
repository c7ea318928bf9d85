from __future__ import annotations

import numpy as np
from tolerances import EXACT_DOUBLE, SINGLE

from perse.curves import ramp, smoothstep


def test_a_ramp_has_no_corners_and_keeps_its_precision() -> None:
    x = np.linspace(-1, 2, 3001)
    rise = np.diff(ramp(x))
    assert ramp(x).dtype == np.float64 and ramp(x.astype(np.float32)).dtype == np.float32
    assert (rise >= 0).all() and (ramp(x[x < 0]) == 0).all() and (ramp(x[x > 1]) == 1).all()
    # The second derivative is 6 at most.
    assert np.abs(np.diff(rise)).max() <= 6 * 0.001**2 + EXACT_DOUBLE
    np.testing.assert_allclose(ramp(x) + ramp(1 - x), 1, atol=EXACT_DOUBLE)


def test_smoothstep_rises_or_falls_between_its_levels() -> None:
    x = np.linspace(-1, 2, 31)
    assert (np.diff(smoothstep(x)) >= 0).all() and (np.diff(smoothstep(x, 1, 0)) <= 0).all()
    assert smoothstep(np.array([3.0, 4.0, 5.0]), 3, 5).tolist() == [0.0, 0.5, 1.0]
    assert smoothstep(x).dtype == np.float32
    np.testing.assert_allclose(smoothstep(x, 0.2, 0.8) + smoothstep(x, 0.8, 0.2), 1, atol=SINGLE)


def test_levels_may_differ_from_place_to_place() -> None:
    low = np.array([0.0, 1.0])
    assert smoothstep(np.array([0.5, 0.5]), low, low + 1).tolist() == [0.5, 0.0]

"""The sample picture's parts: a cut-out head is laid where landmarks say."""

from __future__ import annotations

import numpy as np

from perse.body.sample.photographed_head import similarity_2d


def test_the_similarity_is_found_again() -> None:
    here = np.random.default_rng(0).uniform(0, 500, (40, 2))
    wanted = np.array([[0.4, -0.1, 300.0], [0.1, 0.4, 150.0]])
    there = np.concatenate([here, np.ones((40, 1))], 1) @ wanted.T
    assert np.allclose(similarity_2d(here, there), wanted)

"""Connected pieces."""

from __future__ import annotations

import numpy as np

from perse.tracking.pieces import pieces_touching


def test_a_piece_is_chosen_as_a_whole_by_any_of_its_pixels_and_never_by_one_beside_it() -> None:
    mask = np.zeros((6, 9), bool)
    mask[1:3, 1:4], mask[4, 5:8], mask[0, 8] = True, True, True
    seeds = np.zeros_like(mask)
    seeds[2, 3] = seeds[5, 6] = True  # on the first piece, and under the second
    expected = np.zeros_like(mask)
    expected[1:3, 1:4] = True
    assert (pieces_touching(mask, seeds) == expected).all()
    assert not pieces_touching(mask, ~mask).any() and not pieces_touching(~mask & mask, seeds).any()
    assert (pieces_touching(mask, mask) == mask).all()

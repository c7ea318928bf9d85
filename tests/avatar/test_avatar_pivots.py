from __future__ import annotations

import torch
from tolerances import SINGLE_SUM

from perse.avatar.pivots import BETWEEN_BEND, PivotFrame, curve


def test_nothing_is_added_at_a_pivot_and_something_between_two() -> None:
    differences, directions = torch.randn(3, 16), torch.linalg.qr(torch.randn(16, 8))[0]
    frame = PivotFrame.of(differences, directions, 0.5)
    way = torch.stack([*differences, (differences[0] + differences[1]) / 2])[:, None]
    straight, bent = (curve(way, directions[None], bend)[:, 0] for bend in (0.5, BETWEEN_BEND))
    added = frame.between(straight, bent)
    # Float32: a pseudo-inverse of three rows takes a digit.
    assert added[:3].norm(dim=1).max() < 10 * SINGLE_SUM
    assert added[3].norm() > 0.1
    # Orthogonal to what the pivots' straight coefficients span.
    assert (added @ frame.inverse).abs().max() < 10 * SINGLE_SUM

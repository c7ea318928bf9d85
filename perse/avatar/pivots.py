"""Pivots of a fine-tuning: subjects of one category that keep their looks while the way between them is learned.

With G and Φ the pivots' straight and strongly curved coefficients, the straight ones of a code are c G for some weights
c of the pivots (a pivot's own is 1). Its curved ones then differ from c Φ only between pivots, and of that difference
the part orthogonal to all of G is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

BETWEEN_BEND = 2.0
"""Bend of the coefficients that shape the way between subjects: they must differ from straight ones there."""

BETWEEN_GAIN = 6.0
"""Brings what is added to a norm of one or two half-way (0.28 without), near the coefficients' own 3 [M]."""


def curve(
    differences: Float[Tensor, "s k d"], directions: Float[Tensor, "k d r"], bend: float
) -> Float[Tensor, "s k r"]:
    """Coefficients tanh(bend · W_k x) / bend, [s, k, r], of differences [s, k, d] and directions [k, d, r]: straight
    for a small bend, a switch for a large one."""
    return torch.tanh(bend * torch.einsum("skd,kdr->skr", differences, directions)) / bend


@dataclass(frozen=True)
class PivotFrame:
    """Span of a category's pivots, and what is orthogonal to it.

    Attributes:
        bent: [s, r], strongly curved coefficients of the pivots.
        inverse: [r, s], pseudo-inverse of their straight ones.
        free: [r, r], projector onto what is orthogonal to the straight ones.
    """

    bent: Float[Tensor, "s r"]
    inverse: Float[Tensor, "r s"]
    free: Float[Tensor, "r r"]

    @classmethod
    @torch.no_grad()
    def of(cls, differences: Float[Tensor, "s d"], directions: Float[Tensor, "d r"], bend: float) -> PivotFrame:
        """Frame of pivots, given by their codes' differences from the reference's.

        Args:
            bend: of the straight coefficients.
        """
        straight, bent = (curve(differences[:, None], directions[None], one)[:, 0] for one in (bend, BETWEEN_BEND))
        inverse = torch.linalg.pinv(straight, rtol=1e-4)
        return cls(bent, inverse, torch.eye(straight.shape[1]).to(straight) - inverse @ straight)

    def between(self, straight: Float[Tensor, "n r"], bent: Float[Tensor, "n r"]) -> Float[Tensor, "n r"]:
        """Coefficients that are added to straight ones, zero at every pivot."""
        return BETWEEN_GAIN * (bent - straight @ self.inverse @ self.bent) @ self.free

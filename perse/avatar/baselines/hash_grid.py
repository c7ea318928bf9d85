"""A multi-resolution hash grid (Müller et al. 2022): learned features of places in a box."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding

PRIMES = (1, 2_654_435_761, 805_459_861)
"""Factors of the spatial hash (Müller et al. 2022, Eq. 4)."""

_FIRST = 0.01
"""Size of the first features. Larger ones are noise, of which Adam takes off a rate's worth a visit."""


class HashGrid(nn.Module):
    """Features [n, levels · width] of places [n, 3] in the unit cube, trilinear between a level's grid points.

    Levels whose grid fits into the table have a row for every grid point; of finer ones several share a row.
    """

    def __init__(self, levels: int, width: int, rows: int, coarsest: int, finest: int) -> None:
        super().__init__()
        self.rows = rows
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        self.resolutions = tuple(round(coarsest * growth**level) for level in range(levels))
        self.tables = nn.ParameterList(nn.Parameter(_FIRST * torch.randn(rows, width)) for _ in range(levels))

    def forward(self, places: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
        """Features [n, levels · width] of places [n, 3] in the unit cube. No gradient flows to the places."""
        found = []
        for table, resolution in zip(self.tables, self.resolutions, strict=True):
            indices, weights = corners(places.detach(), resolution, self.rows)
            found.append((weights[..., None] * embedding(indices, table)).sum(1))
        return torch.cat(found, -1)


def corners(
    places: Float[Tensor, "n 3"], resolution: int, rows: int
) -> tuple[Int[Tensor, "n 8"], Float[Tensor, "n 8"]]:
    """Rows [n, 8] int64 of the grid points around places [n, 3] in the unit cube, and their weights [n, 8]."""
    scaled = places.clamp(0, 1) * resolution
    low = scaled.floor().clamp(max=resolution - 1)
    share = scaled - low
    steps = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], device=places.device)
    points = low.long()[:, None] + steps  # [n, 8, 3]
    weights = torch.where(steps.bool(), share[:, None], 1 - share[:, None]).prod(-1)
    if (resolution + 1) ** 3 <= rows:
        x, y, z = points.unbind(-1)
        return (x * (resolution + 1) + y) * (resolution + 1) + z, weights
    mixed = points * torch.tensor(PRIMES, device=places.device)
    return (mixed[..., 0] ^ mixed[..., 1] ^ mixed[..., 2]) % rows, weights

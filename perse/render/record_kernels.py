# mypy: ignore-errors
"""Rows of three or four numbers, [·, 3] or [·, 4], of a strip of Gaussians: one Gaussian to a lane.

A strip is sixteen Gaussians; only the last one of an array may have fewer.
"""

from __future__ import annotations

from perse.render.compiled import kernel
from perse.render.lane_memory import (
    gather,
    load_quads,
    load_triples,
    scatter,
    store_quads,
    store_triples,
)
from perse.render.lanes import WIDTH


@kernel
def load_vectors(array, row, valid):
    """x, y and z of rows row … row + valid - 1."""
    at = row * 3
    if valid == WIDTH:
        return load_triples(array, at)
    return gather(array, at, 3, valid), gather(array, at + 1, 3, valid), gather(array, at + 2, 3, valid)


@kernel
def load_fours(array, row, valid):
    """The same for rows of four."""
    at = row * 4
    if valid == WIDTH:
        return load_quads(array, at)
    return (
        gather(array, at, 4, valid), gather(array, at + 1, 4, valid),
        gather(array, at + 2, 4, valid), gather(array, at + 3, 4, valid),
    )  # fmt: skip


@kernel
def store_vectors(array, row, valid, x, y, z):
    """The reverse of `load_vectors`."""
    at = row * 3
    if valid == WIDTH:
        store_triples(array, at, x, y, z)
    else:
        scatter(array, at, 3, valid, x)
        scatter(array, at + 1, 3, valid, y)
        scatter(array, at + 2, 3, valid, z)


@kernel
def store_fours(array, row, valid, a, b, c, d):
    """The reverse of `load_fours`."""
    at = row * 4
    if valid == WIDTH:
        store_quads(array, at, a, b, c, d)
    else:
        scatter(array, at, 4, valid, a)
        scatter(array, at + 1, 4, valid, b)
        scatter(array, at + 2, 4, valid, c)
        scatter(array, at + 3, 4, valid, d)

"""Batch sizes with which all workers begin soon, keep busy, and end together.

A worker that is handed a batch gives nothing on before it is through with all of it. Full batches from the first to the
last would let the next stage wait for a whole batch in the beginning, and in the end a few workers would have a full
batch each while the others have none.
"""

from __future__ import annotations


def batch_sizes(rows: int, largest: int, workers: int) -> list[int]:
    """Sizes of consecutive batches for workers that take turns.

    The first batch of the workers has one row, two, … up to the largest, so that they come round at different times.
    After that a batch has what remains, divided by the workers, and at most the largest size: full ones, until the
    remainder is dealt out ever smaller (guided self-scheduling, Polychronopoulos and Kuck 1987).
    """
    sizes: list[int] = []
    while rows:
        turn = len(sizes)
        wanted = 1 + turn % largest if turn < workers else largest
        size = min(wanted, max(1, -(-rows // workers)))
        sizes.append(size)
        rows -= size
    return sizes

# mypy: ignore-errors
"""Softplus and its derivative for numba, sixteen numbers at a time and in place."""

from __future__ import annotations

import math

import numba
import numpy as np

from perse.render.compiled import kernel_part, parallel_kernel
from perse.render.lane_memory import gather, load, scatter, store
from perse.render.lanes import exp2, larger, log2, smaller

SHARPNESS = 100
"""β of softplus(x) = ln(1 + e^{βx}) / β (docs/reference.md#method-numbers)."""

BLOCK = 1 << 14
"""Numbers that one thread takes at a time."""

_WIDTH = 16
_f4 = np.float32
_ZERO, _ONE = _f4(0), _f4(1)
_TO_LOG2 = _f4(SHARPNESS / math.log(2))
_FROM_LOG2 = _f4(math.log(2) / SHARPNESS)
_LOWEST = _f4(-125)  # 2^-125 is nothing beside 1, and exp2 is defined there


@kernel_part
def _softplus(x):
    falling = larger(smaller(x, _ZERO - x) * _TO_LOG2, _LOWEST)  # -β|x| / ln 2
    return larger(x, _ZERO) + log2(exp2(falling) + _ONE) * _FROM_LOG2


@kernel_part
def _slope(y):
    """dy/dx = 1 - e^{-βy}."""
    return _ONE - exp2(larger(y * -_TO_LOG2, _LOWEST))


@parallel_kernel
def softplus(values):
    """values [count] float32 become softplus(values)."""
    count = values.shape[0]
    for block in numba.prange((count + BLOCK - 1) // BLOCK):
        begin, end = block * BLOCK, min(count, (block + 1) * BLOCK)
        whole = begin + (end - begin) // _WIDTH * _WIDTH
        for i in range(begin, whole, _WIDTH):
            store(values, i, _softplus(load(values, i)))
        if whole < end:
            scatter(values, whole, 1, end - whole, _softplus(gather(values, whole, 1, end - whole)))


@parallel_kernel
def softplus_gradient(results, cotangents, gradients):
    """gradients [count] = cotangents times the slope where softplus gave `results`."""
    count = results.shape[0]
    for block in numba.prange((count + BLOCK - 1) // BLOCK):
        begin, end = block * BLOCK, min(count, (block + 1) * BLOCK)
        whole = begin + (end - begin) // _WIDTH * _WIDTH
        for i in range(begin, whole, _WIDTH):
            store(gradients, i, _slope(load(results, i)) * load(cotangents, i))
        if whole < end:
            n = end - whole
            tail = _slope(gather(results, whole, 1, n)) * gather(cotangents, whole, 1, n)
            scatter(gradients, whole, 1, n, tail)

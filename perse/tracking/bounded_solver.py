"""Linear least squares within bounds, from its normal equations, by guessing which bounds hold.

All that is on a bound is taken as known, the rest solved for; what leaves its bounds is put on them, and what a bound
only holds back is let go, until nothing is wrong: block principal pivoting (Júdice and Pires, Computers & Operations
Research 21, 1994). It takes a handful of solutions where a trust-region method takes dozens of decompositions of twice
the size.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import lsq_linear

PATIENCE = 3
"""Rounds in which the number of wrong guesses need not fall."""
ROUNDS = 200
"""Then the slow method is asked: rounding may keep two guesses apart for ever."""


def solve_bounded(
    normal: Float64[np.ndarray, "n n"],
    right: Float64[np.ndarray, " n"],
    lower: Float64[np.ndarray, " n"],
    upper: Float64[np.ndarray, " n"],
) -> Float64[np.ndarray, " n"]:
    """Least-squares solution [n] of A x = b (A symmetric, positive definite) within bounds."""
    # The square root of the normal matrix is a system with as many rows as unknowns and the same solution.
    root = np.linalg.cholesky(normal)
    return np.asarray(lsq_linear(root.T, np.linalg.solve(root, right), bounds=(lower, upper), max_iter=100).x)


def solve_bounded_quickly(
    normal: Float64[np.ndarray, "n n"],
    right: Float64[np.ndarray, " n"],
    lower: Float64[np.ndarray, " n"],
    upper: Float64[np.ndarray, " n"],
) -> Float64[np.ndarray, " n"]:
    """Solution of the same problem as `solve_bounded`, equal to some 1e-8, not to the last bit."""
    below, above = np.zeros(len(right), bool), np.zeros(len(right), bool)
    fewest, patience = len(right) + 1, PATIENCE
    for _ in range(ROUNDS):
        solution = np.where(below, lower, np.where(above, upper, 0.0))
        free = ~(below | above)
        if free.any():
            rest = right[free] - normal[np.ix_(free, ~free)] @ solution[~free]
            solution[free] = cho_solve(cho_factor(normal[np.ix_(free, free)], check_finite=False), rest)
        pull = right - normal @ solution  # where it would go if it were let
        too_low, too_high = free & (solution < lower), free & (solution > upper)
        wrong = too_low | too_high | (below & (pull > 0)) | (above & (pull < 0))
        count = int(wrong.sum())
        if not count:
            return solution
        if count < fewest:
            fewest, patience = count, PATIENCE
        elif patience:
            patience -= 1
        else:  # round in circles: one at a time ends for certain
            wrong[: np.flatnonzero(wrong)[-1]] = False
        below = (below & ~wrong) | (too_low & wrong)
        above = (above & ~wrong) | (too_high & wrong)
    return solve_bounded(normal, right, lower, upper)

"""Numbers in refusals, rounded so that what is printed compares as what was measured: 40.2 of 40 at most are 41."""

from __future__ import annotations

import math

_EXACT = 1e-9  # a whole number may come out of a division a little beside itself


def above(value: float, digits: int = 0) -> str:
    """Value that is too large, rounded up: it is never printed as the limit that it exceeds."""
    unit = 10**digits
    return f"{math.ceil(value * unit - _EXACT) / unit:.{digits}f}"


def below(value: float, digits: int = 0) -> str:
    """Value that is too small, rounded down."""
    unit = 10**digits
    return f"{math.floor(value * unit + _EXACT) / unit:.{digits}f}"

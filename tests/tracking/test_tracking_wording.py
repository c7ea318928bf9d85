"""Refusals print numbers that compare as what was measured."""

from __future__ import annotations

import pytest

from perse.tracking.wording import above, below


@pytest.mark.parametrize(
    ("value", "limit", "digits"), [(40.2, 40.0, 0), (40.6, 40.0, 0), (60.01, 60.0, 0), (2.24, 2.2, 1), (1.0004, 1.0, 1)]
)
def test_what_exceeds_a_limit_is_printed_as_more(value: float, limit: float, digits: int) -> None:
    assert float(above(value, digits)) > float(f"{limit:.{digits}f}")
    assert float(below(limit - (value - limit), digits)) < float(f"{limit:.{digits}f}")


def test_whole_numbers_stay_as_they_are() -> None:
    assert above(41.0) == below(41.0) == "41"
    assert above(100 * 0.023, 1) == below(100 * 0.023, 1) == "2.3"

"""Deadline of an answer. Set once where a request comes in, known everywhere below, sent along to replicas.

Wall-clock time, since it crosses processes and machines; deadlines are seconds, and clocks agree to milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from perse_ray.serving.schema.errors import DeadlineExceeded

_until: ContextVar[float | None] = ContextVar("deadline", default=None)


def current_deadline() -> float | None:
    """Deadline, seconds since the epoch; None if there is no hurry."""
    return _until.get()


@contextmanager
def due(until: float | None) -> Iterator[None]:
    """Context in which answers are due then, or earlier if they already were."""
    known = [moment for moment in (until, _until.get()) if moment is not None]
    token = _until.set(min(known, default=None))
    try:
        yield
    finally:
        _until.reset(token)


def due_in(seconds: float) -> AbstractContextManager[None]:
    """Context in which answers are due so many seconds from now."""
    return due(time.time() + seconds)


def remaining_s(until: float | None) -> float | None:
    """Seconds left; None if there is no hurry.

    Raises:
        DeadlineExceeded: there are none left.
    """
    if until is None:
        return None
    left = until - time.time()
    if left <= 0:
        raise DeadlineExceeded("the request waited longer than its answer is of use; try again")
    return left

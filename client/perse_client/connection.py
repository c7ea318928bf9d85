"""Requests to the service, sent once more where the first time was bad luck."""

from __future__ import annotations

import time
from typing import Any

import httpx

from perse_client.errors import ServiceError

MAX_WAIT_S = 5.0
"""A longer Retry-After is left to the caller."""

_COME_BACK = frozenset({429, 502, 503, 504})


def ask(http: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    """Answer of the service.

    Raises:
        ServiceError: it refused, did not answer in time, or is not there.
    """
    try:
        answer = http.request(method, path, **content)
        wait_s = _patience(answer)
        if wait_s is None:
            return _checked(answer)
        time.sleep(wait_s)
    except httpx.TimeoutException as error:
        raise ServiceError(0, f"no answer in time from {http.base_url}") from error
    except httpx.TransportError:
        pass  # dropped: the service, or one of its machines, has just died
    try:
        return _checked(http.request(method, path, **content))
    except httpx.TransportError as error:
        raise ServiceError(0, f"cannot reach {http.base_url}: {error}") from error


def _patience(answer: httpx.Response) -> float | None:
    """How long to wait before asking again; None if that is not wanted."""
    if answer.status_code not in _COME_BACK:
        return None
    try:
        wait_s = float(answer.headers.get("Retry-After", "0.1"))
    except ValueError:
        return None  # a date; nobody of ours sends one
    return wait_s if 0 <= wait_s <= MAX_WAIT_S else None


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = answer.reason_phrase
    raise ServiceError(answer.status_code, detail[:2000])

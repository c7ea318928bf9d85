"""Ray Serve for the length of a block: one that runs already, or one that is begun and ended here.

A cluster has one Serve, and it keeps the HTTP options that it was begun with. So a build and a service may meet in it,
and neither may end it under the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import serve

from perse.errors import InputError


@contextmanager
def serve_session(http: dict[str, Any] | None) -> Iterator[None]:
    """Context with Serve, listening with these HTTP options (`serve.start`), or, with None, reached through handles
    alone.

    One that was begun here is ended again, unless somebody else has put an application into it.

    Raises:
        InputError: HTTP is wanted, and the cluster's Serve was begun without.
    """
    begun_here = not serve_runs()
    if http is None:
        serve.start(proxy_location="Disabled")
    else:
        serve.start(http_options=http)
        _check_listens()
    try:
        yield
    finally:
        if begun_here and not serve.status().applications:
            serve.shutdown()


def serve_runs() -> bool:
    """Whether this cluster has a Serve, somebody's or our own."""
    try:
        ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    except ValueError:
        return False
    return True


def _check_listens() -> None:
    if not serve.status().proxies:
        raise InputError(
            "this cluster's Ray Serve was begun without HTTP, by a build that uses it now: wait until the build has "
            "ended, or run `serve start` before you start a build"
        )

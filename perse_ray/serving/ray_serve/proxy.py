"""Limits of Serve's own HTTP proxy, which it applies before a request travels to an ingress.

At ten times the capacity, nine of ten requests are refused. From the ingress each refusal costs two processes several
milliseconds, and the proxy's queue grows to seconds; in the proxy it costs a fraction of one (measured:
docs/performance.md). Serve imports `middlewares` in its proxies where `VARIABLE` names it: in the environment of a
cluster's pods, and of a local Ray before it starts.
"""

from __future__ import annotations

import os

from starlette.middleware import Middleware

from perse_ray.serving.protection.admission import Admission, Lanes, environment_lanes
from perse_ray.serving.protection.own_routes import OwnRoutesOnly
from perse_ray.serving.protection.receive_deadline import use_everywhere

VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
"""Ray's name for it."""
IMPORT_PATH = f"{__name__}.middlewares"


def middlewares() -> list[Middleware]:
    """Middlewares of one proxy; there is one on every node that serves. Called where its server is about to be made."""
    use_everywhere()
    return [Middleware(OwnRoutesOnly), Middleware(Admission, lanes=environment_lanes())]


def guard_proxies(renderers: int) -> None:
    """Make the proxies of a Ray that this process is about to start refuse what so many renderers cannot draw soon."""
    os.environ.setdefault(VARIABLE, IMPORT_PATH)
    os.environ.setdefault("PERSE_LANE_PICTURES", str(renderers * Lanes.pictures))

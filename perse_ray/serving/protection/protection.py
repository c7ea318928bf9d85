"""Order of all middlewares around an application."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import FastAPI, Response

from perse.errors import InputError
from perse_ray.serving.protection.admission import Admission, Lanes
from perse_ray.serving.protection.authentication import Authentication
from perse_ray.serving.protection.metrics import MeasuredRequests, Metrics
from perse_ray.serving.protection.rate_limit import RateLimit
from perse_ray.serving.protection.request_deadline import Deadline
from perse_ray.serving.protection.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class Protection:
    """Limits of one ingress process: who may ask, how often and how much."""

    tokens: Tokens | None
    """Who may. None: anyone on this machine, and nobody else; to be chosen explicitly."""
    per_second: float = 100.0
    """Requests that one token may make in the long run."""
    burst: int = 200
    """Requests that one token may make at once."""
    lanes: Lanes = field(default_factory=Lanes)
    """What may be under way."""
    pictures_s: float = 10.0
    """Deadline of everything but films and exports."""
    media_s: float = 60.0
    """Deadline of films and exports."""

    def __post_init__(self) -> None:
        if self.tokens is not None and not self.tokens:
            raise InputError(
                "the service needs a token: give one in a file (PERSE_TOKENS_FILE) or in PERSE_TOKENS, or switch "
                "authentication off for this machine alone"
            )


def protect(app: FastAPI, protection: Protection) -> Metrics:
    """Put the middlewares around an application, and ``/metrics`` into it."""
    metrics = Metrics()

    @app.get("/metrics", include_in_schema=False)
    async def measured() -> Response:
        body, kind = metrics.page()
        return Response(body, headers={"Content-Type": kind})

    # The last one added is the first one met.
    app.add_middleware(Deadline, pictures_s=protection.pictures_s, media_s=protection.media_s)
    app.add_middleware(Admission, lanes=protection.lanes)
    app.add_middleware(RateLimit, per_second=protection.per_second, burst=protection.burst)
    app.add_middleware(Authentication, tokens=protection.tokens)
    app.add_middleware(MeasuredRequests, metrics=metrics)
    return metrics

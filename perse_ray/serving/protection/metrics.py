"""Metrics in Prometheus' format. Of one process: with several ingresses, scrape each (docs/service.md)."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from perse_ray.serving.protection.admission import lane_of
from perse_ray.serving.protection.asgi import Application, Message, Receive, Scope, Send

BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4, 0.8, 1.6, 5.0, 15.0, 60.0)


class Metrics:
    """Registry of the numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "perse_requests", "Requests and WebSockets that have ended.", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "perse_request_seconds", "From a request to the last byte of its answer.", ["route"], buckets=BUCKETS_S,
            registry=self.registry,
        )  # fmt: skip
        self.under_way = Gauge(
            "perse_under_way", "Requests that are drawn or wait, by lane.", ["lane"], registry=self.registry
        )
        self.pictures = Counter(
            "perse_pictures", "Pictures sent, by HTTP or over a stream.", ["over"], registry=self.registry
        )

    def page(self) -> tuple[bytes, str]:
        """Text of the metrics, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class MeasuredRequests:
    """Middleware that counts and times whatever passes, refusals included."""

    def __init__(self, app: Application, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        metrics, lane = self._metrics, lane_of(scope)
        status = "101" if scope["type"] == "websocket" else "499"  # 499: the client left first

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"].endswith(".response.start"):
                status = str(message["status"])
                if _is_picture(message) and message["status"] == 200:
                    metrics.pictures.labels("http").inc()
            elif message["type"] == "websocket.send" and message.get("bytes") is not None:
                metrics.pictures.labels("stream").inc()
            elif message["type"] == "websocket.close" and message.get("code", 1000) != 1000:
                status = str(message["code"])
            await send(message)

        start = time.perf_counter()
        metrics.under_way.labels(lane).inc()
        try:
            await self._app(scope, receive, sent)
        except Exception:
            status = "500"
            raise
        finally:
            metrics.under_way.labels(lane).dec()
            route = _route(scope)
            metrics.requests.labels(_method(scope), route, status).inc()
            if scope["type"] == "http":
                metrics.seconds.labels(route).observe(time.perf_counter() - start)


def _method(scope: Scope) -> str:
    """One of few: whatever a client writes there must not become a label."""
    method = scope.get("method", "WS")
    return method if method in ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "WS") else "other"


def _route(scope: Scope) -> str:
    """The route's pattern, ``/v1/avatars/{avatar}/render``, never the path, of which there are endlessly many."""
    return str(getattr(scope.get("route"), "path", "other"))


def _is_picture(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"image/") for name, value in message["headers"])

"""All of it around the real application, as one call puts it there; and the numbers it leaves."""

from __future__ import annotations

import asyncio

import pytest
from asgi_harness import ask, greeting, http_scope, socket_scope
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flat_service import FlatService
from starlette.testclient import WebSocketDenialResponse

from perse_ray.serving.http.app import create_app
from perse_ray.serving.protection import Protection, Tokens
from perse_ray.serving.protection.admission import Lanes
from perse_ray.serving.protection.metrics import MeasuredRequests, Metrics
from perse_ray.serving.schema.requests import MAX_BODY_BYTES

TOKEN = "a-token-for-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
RENDER = "/v1/avatars/me/render"


@pytest.fixture
def app() -> FastAPI:
    return create_app(FlatService(), Protection(tokens=Tokens.of([TOKEN]), per_second=0.001, burst=5))


def test_every_route_but_health_asks_for_a_token(app: FastAPI) -> None:
    paths = {path for path in app.openapi()["paths"]} | {"/docs", "/openapi.json", "/metrics", "/view", "/"}
    client = TestClient(app)
    for path in paths - {"/healthz", "/readyz"}:
        for method in ("GET", "POST"):
            assert client.request(method, path.replace("{avatar}", "me")).status_code == 401, path
    for path in ("/healthz", "/readyz"):
        assert client.get(path).status_code == 200


def test_a_stream_asks_for_a_token(app: FastAPI) -> None:
    client = TestClient(app)
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/v1/avatars/me/stream"):
        pass
    assert refused.value.status_code == 401
    with client.websocket_connect("/v1/avatars/me/stream", headers=BEARER) as stream:
        assert stream.receive_bytes()


def test_a_browser_signs_in_and_sees_the_page(app: FastAPI) -> None:
    with TestClient(app, base_url="http://localhost:8000") as browser:
        page = browser.get("/view", headers={"Accept": "text/html"})
        assert page.status_code == 401 and "<form" in page.text
        entered = browser.post("/login", data={"token": TOKEN, "next": "/view"}, headers={"Accept": "text/html"})
        assert entered.status_code == 200 and entered.url.path == "/view"
        assert browser.get("/docs").status_code == 200


def test_limits_and_numbers_meet_in_one_application(app: FastAPI) -> None:
    client = TestClient(app, headers=BEARER)
    picture = client.post(RENDER, json={})
    assert picture.status_code == 200 and picture.headers["content-type"] == "image/png"
    assert client.post(RENDER, content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413
    text = client.get("/metrics").text
    assert 'perse_requests_total{method="POST",route="/v1/avatars/{avatar}/render",status="200"} 1.0' in text
    assert 'status="413"} 1.0' in text and 'perse_pictures_total{over="http"} 1.0' in text
    client.get("/v1/avatars"), client.get("/v1/avatars")
    refused = client.get("/v1/avatars")
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1


def test_a_full_house_refuses(app: FastAPI) -> None:
    full = create_app(FlatService(), Protection(tokens=Tokens.of([TOKEN]), lanes=Lanes(pictures=0)))
    answer = TestClient(full, headers=BEARER).post(RENDER, json={})
    assert answer.status_code == 503 and "Retry-After" in answer.headers


# Numbers


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_pictures_and_streams_are_counted() -> None:
    metrics = Metrics()
    app = MeasuredRequests(greeting, metrics)
    ask(app, http_scope()), ask(app, http_scope(method="MADE-UP")), ask(app, socket_scope())
    assert sample(metrics, "perse_pictures_total", over="http") == 2
    assert sample(metrics, "perse_pictures_total", over="stream") == 1
    assert sample(metrics, "perse_requests_total", method="other", route="other", status="200") == 1
    assert sample(metrics, "perse_requests_total", method="WS", route="other", status="101") == 1
    assert sample(metrics, "perse_request_seconds_count", route="other") == 2
    assert sample(metrics, "perse_under_way", lane="pictures") == 0


def test_what_breaks_or_is_left_is_counted_too() -> None:
    async def broken(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        raise asyncio.CancelledError if scope["path"] == "/left" else RuntimeError("broken")

    metrics = Metrics()
    app = MeasuredRequests(broken, metrics)
    with pytest.raises(RuntimeError):
        ask(app, http_scope("/broken"))
    with pytest.raises(asyncio.CancelledError):
        ask(app, http_scope("/left"))
    assert sample(metrics, "perse_requests_total", method="GET", route="other", status="500") == 1
    assert sample(metrics, "perse_requests_total", method="GET", route="other", status="499") == 1
    assert sample(metrics, "perse_under_way", lane="pages") == 0

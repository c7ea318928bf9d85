"""What Serve's proxies do before a request travels on."""

from __future__ import annotations

import os

import pytest
import uvicorn
from asgi_harness import ask, greeting, http_scope
from ray._common.utils import import_attr

from perse_ray.serving.protection.admission import Lanes, environment_lanes
from perse_ray.serving.protection.own_routes import OwnRoutesOnly
from perse_ray.serving.protection.receive_deadline import ReceiveDeadlineProtocol
from perse_ray.serving.ray_serve import proxy


@pytest.fixture(autouse=True)
def protocols_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))


def test_the_room_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PICTURES", "MEDIA", "STREAMS", "PAGES"):
        monkeypatch.delenv(f"PERSE_LANE_{name}", raising=False)
    assert environment_lanes() == Lanes()
    monkeypatch.setenv("PERSE_LANE_PICTURES", "0")
    monkeypatch.setenv("PERSE_LANE_MEDIA", "many")
    assert environment_lanes() == Lanes(pictures=0)
    _, middleware = proxy.middlewares()
    guarded = middleware.cls(greeting, *middleware.args, **middleware.kwargs)
    assert ask(guarded, http_scope("/v1/avatars/me/render", "POST")).status == 503
    assert ask(guarded, http_scope("/healthz")).status == 200


def test_ray_finds_it_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(proxy.VARIABLE, raising=False)
    monkeypatch.delenv("PERSE_LANE_PICTURES", raising=False)
    proxy.guard_proxies(3)
    try:
        assert import_attr(os.environ[proxy.VARIABLE]) is proxy.middlewares
        assert environment_lanes().pictures == 3 * Lanes.pictures
    finally:
        del os.environ[proxy.VARIABLE], os.environ["PERSE_LANE_PICTURES"]


@pytest.mark.parametrize("path", ["/-/routes", "/-/", "/-/metrics"])
def test_the_proxys_own_addresses_are_closed(path: str) -> None:
    assert ask(OwnRoutesOnly(greeting), http_scope(path)).status == 404
    assert ask(OwnRoutesOnly(greeting), http_scope("/-/healthz")).body == b"hello"
    assert ask(OwnRoutesOnly(greeting), http_scope("/view")).body == b"hello"


def test_the_proxys_server_waits_for_nobody_without_end() -> None:
    proxy.middlewares()
    made = uvicorn.Config(greeting)
    made.load()
    assert made.http_protocol_class is ReceiveDeadlineProtocol

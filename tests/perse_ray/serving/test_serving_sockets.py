"""The door itself: a real server, and what comes over a socket from people who do not mean well."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from flat_service import FlatService

from perse_ray.serving.http.app import create_app
from perse_ray.serving.local_viewer import viewer_server
from perse_ray.serving.protection import Protection, Tokens, receive_deadline
from perse_ray.serving.protection.asgi import ALWAYS_OPEN
from perse_ray.serving.schema.requests import AvatarInfo

TOKEN = "a-token-for-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
RENDER = "/v1/avatars/me/render"
JSON = BEARER | {"Content-Type": "application/json"}


class SlowService(FlatService):
    """Needs half a second for what it knows of its avatar."""

    async def info(self, avatar: str) -> AvatarInfo:
        await asyncio.sleep(0.5)
        return await super().info(avatar)


@dataclass
class Door:
    """A server that runs in this process."""

    server: uvicorn.Server
    port: int
    app: FastAPI

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def socket(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return made

    def say(self, raw: bytes) -> bytes:
        """What the server answers to raw bytes, until it closes or says no more for a while."""
        answer = b""
        with self.socket() as made, suppress(TimeoutError, ConnectionError):
            made.sendall(raw)
            made.settimeout(0.3)
            while piece := made.recv(65536):
                answer += piece
        return answer


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    protection = Protection(tokens=Tokens.of([TOKEN]), per_second=1e6, burst=10**6)
    app = create_app(SlowService(), protection)
    yield from serving(app)


def serving(app: FastAPI) -> Iterator[Door]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = viewer_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Door(server, listening.getsockname()[1], app)
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()


# Routes


def routes_of(app: FastAPI) -> set[str]:
    """Everything that the application answers to, found by asking its routers and not its description."""
    found: set[str] = set()

    def walk(routes: Any, prefix: str) -> None:
        for route in routes:
            inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
            path = prefix + getattr(route, "path", "")
            if inner:
                walk(inner, prefix if hasattr(route, "original_router") else path)
            elif hasattr(route, "path"):
                found.add(path)

    walk(app.routes, "")
    return found


OPEN = set(ALWAYS_OPEN)
CLOSED = {
    "/", "/view", "/view/{name}", "/docs", "/metrics", "/openapi.json", "/v1/avatars", "/v1/camera",
    *(f"/v1/avatars/{{avatar}}/{name}" for name in ("render", "frames", "animate", "describe")),
    *(f"/v1/avatars/{{avatar}}/{name}" for name in ("attributes", "thumbnail", "export")),
}  # fmt: skip
SOCKETS = {"/v1/avatars/{avatar}/stream", "/v1/avatars/{avatar}/splats", "/v1/camera"}


def test_every_route_is_known_and_closed_but_for_two_probes(door: Door) -> None:
    """A route that somebody adds has to be added here, and is closed without another word."""
    assert routes_of(door.app) == OPEN | CLOSED | SOCKETS
    with httpx.Client(base_url=door.address) as stranger:
        for route in CLOSED:
            for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
                path = route.replace("{avatar}", "me").replace("{name}", "view.js")
                assert stranger.request(method, path).status_code == 401, (method, path)
        for route in OPEN:
            assert stranger.get(route).status_code == 200
        for made_up in ("/-/routes", "/-/healthz", "/debug", "/docs/oauth2-redirect", "/redoc", "/static/x"):
            assert stranger.get(made_up).status_code == 401
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    for route in SOCKETS:
        path = route.replace("{avatar}", "me").encode()
        assert b" 401 " in door.say(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n").splitlines()[0]


# Half-open


def test_connections_that_do_not_finish_asking_are_closed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """600 of them stayed for as long as their owner liked."""
    monkeypatch.setattr(receive_deadline, "HEADER_WITHIN_S", 0.5)
    monkeypatch.setattr(receive_deadline, "BODY_WITHIN_S", 0.7)
    header = f"POST {RENDER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    beginnings = [b"", b"GET", header, header + b"Content-Length: 100\r\n\r\n{", header + b"X: " + b"x" * 1000]
    answered = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    beginnings += [answered + b"GET /he", header + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"]
    open_ = [door.socket() for _ in range(10 * len(beginnings))]
    for number, one in enumerate(open_):
        one.sendall(beginnings[number % len(beginnings)])
    begun = time.monotonic()
    assert httpx.get(door.address + "/healthz").status_code == 200
    for one in open_:
        with suppress(ConnectionError):
            while one.recv(65536):
                pass
        one.close()
    assert time.monotonic() - begun < 5
    assert not door.server.server_state.connections


def test_a_body_that_drips_is_cut_off(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_deadline, "BODY_WITHIN_S", 0.5)
    with door.socket() as made:
        made.sendall(f"POST {RENDER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode())
        made.sendall(b"Content-Length: 1000\r\n\r\n")
        begun = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - begun < 5:
                made.sendall(b" ")
                time.sleep(0.05)
        assert time.monotonic() - begun < 3


def test_a_connection_that_asks_again_is_kept(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_deadline, "HEADER_WITHIN_S", 0.3)
    connection = http.client.HTTPConnection("127.0.0.1", door.port)
    for _ in range(3):
        connection.request("GET", "/v1/avatars", headers=BEARER)  # takes longer than the deadline
        assert connection.getresponse().read().startswith(b"[")
    connection.close()


# Much


def test_much_keeps_nobody_else_waiting(door: Door) -> None:
    """7 MB of names that no category has blocked everything for 23 seconds, `/healthz` included."""
    many = json.dumps({"attributes": {f"a{i}": 1 for i in range(500_000)}}).encode()
    deep = json.dumps({"attributes": {f"a{i}": {f"b{j}": "x" for j in range(18)} for i in range(256)}}).encode()
    motion = {"kind": "uploaded", "expressions": {f"e{i}": ["x"] * 300 for i in range(200)}}
    bodies = [(RENDER, many), (RENDER, deep), (RENDER.replace("render", "animate"), json.dumps({"motion": motion}))]
    statuses: list[int] = []

    def ask() -> None:
        for path, body in bodies:
            answer = httpx.post(door.address + path, content=body, headers=JSON, timeout=60)
            statuses.append(answer.status_code)
            assert len(answer.content) < 5000

    asking = threading.Thread(target=ask)
    asking.start()
    waits = []
    with httpx.Client(base_url=door.address, timeout=60) as other:
        while asking.is_alive():
            begun = time.perf_counter()
            assert other.get("/healthz").status_code == 200
            waits.append(time.perf_counter() - begun)
    assert statuses == [422, 422, 422]
    assert max(waits) < 2.5  # a crowded machine; alone it is 0.05


# Odd


@pytest.mark.parametrize(
    "body",
    [
        {"expression": {"smile": 1e308}},
        {"expression": {"smile": 11}},
        {"camera": {"world_to_camera": [[1, 0, 0, 1e308], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
                    "intrinsics": [[9, 0, 1], [0, 9, 1], [0, 0, 1]]}},
        {"camera": {"world_to_camera": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
                    "intrinsics": [[1e308, 0, 1], [0, 9, 1], [0, 0, 1]]}},
        {"pose": {"neck": [1e308, 0, 0]}},
        {"width": 1e308},
        {"background": [1e308, 0, 0]},
    ],
)  # fmt: skip
def test_numbers_beyond_all_bounds_are_refused(door: Door, body: dict[str, Any]) -> None:
    assert httpx.post(door.address + RENDER, json=body, headers=BEARER).status_code == 422


def with_cookie(door: Door, origin: str) -> int:
    cookie = {"Cookie": f"perse_token_{door.port}={TOKEN}"}
    return httpx.post(door.address + RENDER, json={}, headers=cookie | {"Origin": origin}).status_code


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "", "//", "http://evil.example"])
def test_a_malformed_origin_is_another_page(door: Door, origin: str) -> None:
    assert with_cookie(door, origin) == 403
    assert with_cookie(door, door.address) == 200


@pytest.mark.parametrize(
    "path",
    ["/%C3%A9/evil.example", "//evil.example", "/%5Cevil.example", "/\\evil.example", "/%2F%2Fevil.example",
     "/%09//evil.example", "/%00//evil.example", "/view/..%2F..%2F%2Fevil.example", "/%E2%80%AE//evil.example",
     "/v1/avatars/..%2f..%2fevil", "/view/%0d%0aX-Evil:%20yes"],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(door: Door, path: str) -> None:
    for raw in (f"GET {path}?token={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n", sign_in(path)):
        head = door.say(raw.encode("latin-1")).partition(b"\r\n\r\n")[0].decode("latin-1")
        location = next((line[10:] for line in head.split("\r\n") if line.lower().startswith("location: ")), "/view")
        assert location.startswith("/") and not location.startswith(("//", "/\\")) and "evil" not in location, head
        assert "X-Evil" not in head


def sign_in(target: str) -> str:
    body = httpx.QueryParams({"token": TOKEN, "next": target})
    form = "Content-Type: application/x-www-form-urlencoded"
    return f"POST /login HTTP/1.1\r\nHost: x\r\n{form}\r\nContent-Length: {len(str(body))}\r\n\r\n{body}"


@pytest.mark.parametrize("target", ["/view", "/docs", "/v1/avatars/me/thumbnail?subject=hat-a&size=64", "/"])
def test_signing_in_leads_where_one_wanted(door: Door, target: str) -> None:
    joined = target + ("&" if "?" in target else "?") + f"token={TOKEN}"
    answer = httpx.get(door.address + joined)
    assert answer.status_code == 303 and answer.headers["location"] == target


HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"
RAW = [
    b"GET /v1/avatars/../../etc/passwd/attributes HTTP/1.1\r\n%b\r\n",
    b"GET /v1/avatars/%%2e%%2e%%2fme/attributes HTTP/1.1\r\n%b\r\n",
    b"GET /v1/avatars/me%%00/attributes HTTP/1.1\r\n%b\r\n",
    b"GET /v1/avatars/%%ff%%fe/attributes HTTP/1.1\r\n%b\r\n",
    b"GET /view/..%%2f..%%2fapp.py HTTP/1.1\r\n%b\r\n",
    b"GET /view/%%00 HTTP/1.1\r\n%b\r\n",
    b"GET //// HTTP/1.1\r\n%b\r\n",
    b"GET /v1/avatars/me/export?format=..%%2fx&look=%%00 HTTP/1.1\r\n%b\r\n",
    b"GET /v1/avatars/me/export?look=" + b"[" * 3000 + b" HTTP/1.1\r\n%b\r\n",
    b"GET /v1/avatars/me/thumbnail?size=1e999&subject=%%00 HTTP/1.1\r\n%b\r\n",
    b"GET http://evil.example/v1/avatars HTTP/1.1\r\n%b\r\n",
    b"OPTIONS * HTTP/1.1\r\n%b\r\n",
    b"BREW /view HTTP/1.1\r\n%b\r\n",
    b"GET /view HTTP/9.9\r\n%b\r\n",
    b"GET /view\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
    b"\0" * 100,
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bContent-Length: -1\r\n\r\n",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bContent-Length: 1e9\r\n\r\n",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n{}",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bContent-Type: a;b;;=\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bContent-Type: application/json; x=\xff\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/avatars/me/render HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n",
    b"POST /login HTTP/1.1\r\n%bContent-Length: 9\r\n\r\ntoken=\xff\xfe\x00",
    b"GET /view?token=\xc3\xa9 HTTP/1.1\r\n%b\r\n",
    b"GET /view HTTP/1.1\r\nHost: [\r\nCookie: perse_token=\xff; ==;;\"\r\n\r\n",
    b"GET /view HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    b"GET /view HTTP/1.1\r\nHost: x\r\nAuthorization: \r\n\r\n",
    b"GET /view HTTP/1.1\r\n%bX: " + b"x" * 200_000 + b"\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("raw", RAW, ids=[f"{n}-{r[:30].decode('latin-1')!r}" for n, r in enumerate(RAW)])
def test_raw_bytes_are_answered_or_hung_up_on(door: Door, raw: bytes) -> None:
    answer = door.say(raw.replace(b"%b", HEAD.encode()).replace(b"%%", b"%"))
    for line in answer.split(b"HTTP/1.1 ")[1:]:
        assert line[:1] in (b"1", b"2", b"3", b"4"), answer[:300]
    assert b"Traceback" not in answer and b"root:" not in answer
    assert httpx.get(door.address + "/healthz").status_code == 200


# Stop


def test_what_is_under_way_is_finished_when_the_server_is_asked_to_stop() -> None:
    (stopping,) = [serving(create_app(SlowService(), Protection(tokens=Tokens.of([TOKEN]))))]
    door = next(stopping)
    answers: list[int] = []
    asks: Callable[[], None] = lambda: answers.append(  # noqa: E731
        httpx.get(door.address + "/v1/avatars", headers=BEARER).status_code
    )
    asking = threading.Thread(target=asks)
    idle = door.socket()
    asking.start()
    time.sleep(0.2)
    door.server.handle_exit(15, None)  # what uvicorn does at SIGTERM
    asking.join(10)
    assert answers == [200]
    with pytest.raises(StopIteration):
        next(stopping)
    idle.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(door.address + "/healthz")

"""The stream: changes in, pictures out, newest first, and never more under way than agreed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flat_service import FlatService
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from perse.data.images import decode_image
from perse.errors import InputError
from perse_ray.serving.http import stream
from perse_ray.serving.http.app import create_app
from perse_ray.serving.schema.errors import Unavailable
from perse_ray.serving.schema.requests import RenderRequest

URL = "/v1/avatars/me/stream"


@pytest.fixture
def service() -> FlatService:
    return FlatService()


@pytest.fixture
def socket(service: FlatService) -> Iterator[WebSocketTestSession]:
    with TestClient(create_app(service)) as client, client.websocket_connect(URL) as connection:
        connection.receive_bytes()  # the person as photographed, unasked
        yield connection


def test_a_change_changes_what_it_names_and_leaves_the_rest(socket: WebSocketTestSession, service: FlatService) -> None:
    socket.send_json({"width": 32, "height": 16, "received": 1})
    assert decode_image(socket.receive_bytes()).shape == (16, 32, 3)
    socket.send_json({"pose": {"jaw": [1, 0, 0]}, "format": "png", "received": 2})
    picture = decode_image(socket.receive_bytes())
    assert picture.shape == (16, 32, 3) and (picture == 155).all()
    assert service.asked[-1].pose == {"jaw": (1, 0, 0)}


def test_a_tag_comes_back_before_its_picture(socket: WebSocketTestSession) -> None:
    socket.send_json({"width": 32, "tag": "a", "received": 1})
    assert socket.receive_json() == {"type": "frame", "tag": "a"}
    assert decode_image(socket.receive_bytes()).shape[1] == 32


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("nonsense", "a JSON object"),
        ("[1]", "a JSON object"),
        ("[" * 5000, "nested too deeply"),
        (json.dumps({"attributes": {f"a{i}": 1 for i in range(4000)}}), "256 are allowed"),
        ('{"width": 3}', "width: "),
        ('{"hat": 1}', "hat: "),
        ('{"received": -1}', "received: "),
        ('{"received": true}', "received: "),
        ('{"tag": [1]}', "tag: "),
        ('{"attributes": {"hat": {"zebra": 1}}}', "zebra"),
        (" " * 70_000, "65536 bytes"),
    ],
)
def test_a_bad_message_is_explained_and_harms_nothing(socket: WebSocketTestSession, message: str, says: str) -> None:
    socket.send_text(message)
    answer = socket.receive_json()
    assert answer["type"] == "error" and says in answer["detail"]
    socket.send_json({"width": 32, "height": 16, "attributes": {}, "received": 1})
    assert decode_image(socket.receive_bytes()).shape == (16, 32, 3)


def test_who_only_talks_nonsense_is_cut_off(socket: WebSocketTestSession) -> None:
    for _ in range(stream.MAX_BAD_MESSAGES - 1):
        socket.send_text("x")
        assert socket.receive_json()["type"] == "error"
    socket.send_bytes(b"x")
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    assert closed.value.code == stream.POLICY


def test_a_slow_client_never_builds_a_queue_and_gets_the_newest(
    socket: WebSocketTestSession, service: FlatService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "REMIND_AFTER_S", 0.05)
    for number in range(1, stream.WINDOW):
        socket.send_json({"width": 16 + number})
        socket.receive_bytes()
    for number in range(50):  # nothing of all this may be drawn while nothing is confirmed
        socket.send_json({"width": 100 + number, "tag": number})
    reminder = socket.receive_json()
    assert reminder["type"] == "waiting" and reminder["sent"] == stream.WINDOW
    assert len(service.asked) == stream.WINDOW
    socket.send_json({"received": stream.WINDOW})
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1]["type"] == "waiting":
        answers.append(socket.receive_json())
    assert answers[-1] == {"type": "frame", "tag": 49}
    assert decode_image(socket.receive_bytes()).shape[1] == 149
    assert len(service.asked) == stream.WINDOW + 1


def test_nobody_is_told_of_a_replica_that_died() -> None:
    class Flaky(FlatService):
        failures = 3

        async def frame(self, avatar: str, request: RenderRequest) -> bytes:
            if self.failures:
                self.failures -= 1
                raise Unavailable("the renderers keep dying")
            return await super().frame(avatar, request)

    with TestClient(create_app(Flaky())) as client, client.websocket_connect(URL) as connection:
        assert decode_image(connection.receive_bytes()).shape == (256, 256, 3)


def test_what_goes_wrong_with_the_avatar_is_told() -> None:
    class Broken(FlatService):
        async def frame(self, avatar: str, request: RenderRequest) -> bytes:
            raise InputError("train it again")

    with TestClient(create_app(Broken())) as client, client.websocket_connect(URL) as connection:
        assert connection.receive_json() == {"type": "error", "detail": "train it again", "tag": None}


def test_no_stream_of_nobody() -> None:
    with TestClient(create_app(FlatService())) as client:
        for name in ("you", "..", "a" * 70):
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"/v1/avatars/{name}/stream"):
                pass


def test_a_client_that_leaves_takes_its_work_along() -> None:
    class Endless(FlatService):
        cancelled = False

        async def frame(self, avatar: str, request: RenderRequest) -> bytes:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled = True
                raise
            raise AssertionError

    service = Endless()
    with TestClient(create_app(service)) as client:
        with client.websocket_connect(URL):
            pass
        client.get("/healthz")
    assert service.cancelled

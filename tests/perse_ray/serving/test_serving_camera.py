"""The camera's line: the newest picture wins, hostile ones are refused, one camera at a time, nothing stays."""

from __future__ import annotations

import io
import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from flat_service import FlatService
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from perse.data.motion_file import Motion
from perse.tracking.live import LiveFrame, Seen
from perse_ray.serving.http.app import create_app
from perse_ray.serving.viewer import camera

LINE = "/v1/camera"


@dataclass
class Scripted:
    """Follows a face that turns with time; waits for `go` before every picture."""

    go: threading.Event = field(default_factory=threading.Event)
    rests: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def see(self, image: NDArray[np.uint8], time_s: float) -> LiveFrame:
        assert self.go.wait(10) and image.shape[2] == 3
        if image.mean() < 10:
            return LiveFrame(Seen.NOBODY, 0.5)
        turn = np.array([[0, time_s, 0]], np.float32)
        return LiveFrame(Seen.FACE, 1.0, Motion(30.0, {"jawOpen": np.array([0.25], np.float32)}, {"neck": turn}))

    def rest_again(self) -> None:
        self.rests += 1

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def follower() -> Scripted:
    made = Scripted()
    made.go.set()
    return made


@pytest.fixture
def client(follower: Scripted) -> Iterator[TestClient]:
    with TestClient(create_app(FlatService(), None, lambda: follower)) as client:
        yield client


@pytest.fixture
def line(client: TestClient) -> Iterator[WebSocketTestSession]:
    with client.websocket_connect(LINE) as line:
        assert told(line) == {"kind": "ready"}
        yield line


def told(line: WebSocketTestSession) -> dict[str, Any]:
    return dict(json.loads(line.receive_text()))


def picture(at_ms: float, level: int = 128, size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).save(file, "JPEG")
    return struct.pack("<d", at_ms) + file.getvalue()


def test_pictures_become_head_parameters(line: WebSocketTestSession, follower: Scripted) -> None:
    line.send_bytes(picture(250.0))
    said = told(line)
    assert said.pop("took") >= 0
    assert said == {"kind": "face", "at": 250.0, "expressions": {"jawOpen": 0.25}, "joints": {"neck": [0, 0.25, 0]}}
    line.send_bytes(picture(300.0, level=0))
    assert {k: v for k, v in told(line).items() if k != "took"} == {"kind": "nobody", "at": 300.0, "rested": 0.5}
    line.send_text('{"rest": true}')
    line.send_bytes(picture(350.0))
    assert told(line)["at"] == 350.0 and follower.rests == 1


def test_of_many_pictures_the_newest_is_looked_at(line: WebSocketTestSession, follower: Scripted) -> None:
    follower.go.clear()
    for number in range(1, 31):
        line.send_bytes(picture(10.0 * number))
    line.send_text("{}")  # understood or not, it is answered only when all pictures were heard
    assert told(line)["kind"] == "refused"
    follower.go.set()
    answers = [told(line)["at"]]
    while answers[-1] < 300:
        answers.append(told(line)["at"])
    assert answers[-1] == 300 and len(answers) <= 3


def hostile() -> dict[str, tuple[bytes, str]]:
    jpeg = picture(5.0)
    return {
        "empty": (b"", "JPEG"),
        "no picture": (struct.pack("<d", 5.0) + b"\x89PNG\r\n\x1a\n", "JPEG"),
        "too long": (jpeg + bytes(camera.MAX_FRAME_BYTES), "KiB"),
        "no time": (struct.pack("<d", float("nan")) + jpeg[8:], "milliseconds"),
        "an endless time": (struct.pack("<d", float("inf")) + jpeg[8:], "milliseconds"),
        "the past": (struct.pack("<d", -4.0) + jpeg[8:], "milliseconds"),
        "cut off": (jpeg[:300], "cannot be decoded"),
        "a header alone": (struct.pack("<d", 5.0) + b"\xff\xd8\xff\xe0" + bytes(50), "camera's picture"),
        "too large": (picture(5.0, size=(513, 40)), "512 px a side"),
    }


@pytest.mark.parametrize("name", hostile())
def test_what_is_no_small_picture_is_refused_and_the_line_stays(line: WebSocketTestSession, name: str) -> None:
    message, says = hostile()[name]
    line.send_bytes(message)
    said = told(line)
    assert said["kind"] == "refused" and says in said["detail"]
    line.send_bytes(picture(50.0))
    assert told(line)["kind"] == "face"


@pytest.mark.parametrize("text", ["", "[]", "null", '{"rest": 1e999}', "[" * 100_000, '{"rest": true, "x": 1}'])
def test_texts_that_say_nothing_are_refused(line: WebSocketTestSession, follower: Scripted, text: str) -> None:
    line.send_text(text)
    assert told(line)["kind"] == "refused"
    line.send_bytes(picture(50.0))
    assert told(line)["kind"] == "face" and follower.rests == 0


def test_who_cannot_be_understood_for_long_is_left(line: WebSocketTestSession) -> None:
    with pytest.raises(WebSocketDisconnect) as left:
        for _ in range(camera.MAX_BAD):
            line.send_bytes(b"noise")
        while True:
            told(line)
    assert left.value.code == camera.POLICY


def test_one_camera_at_a_time_and_the_next_when_it_has_gone(client: TestClient, follower: Scripted) -> None:
    with client.websocket_connect(LINE) as first:
        assert told(first)["kind"] == "ready"
        with client.websocket_connect(LINE) as second, pytest.raises(WebSocketDisconnect) as refused:
            told(second)
        assert refused.value.code == camera.BUSY
        first.send_bytes(picture(1.0))
        assert told(first)["kind"] == "face"
    assert follower.closed.wait(5)
    with client.websocket_connect(LINE) as third:
        assert told(third)["kind"] == "ready"


def test_a_camera_that_sends_nothing_makes_room(
    client: TestClient, follower: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "IDLE_S", 0.2)
    with client.websocket_connect(LINE) as line, pytest.raises(WebSocketDisconnect) as left:
        while True:
            told(line)
    assert left.value.code == camera.IDLE and follower.closed.wait(5)


def test_where_no_camera_is_followed_that_is_said() -> None:
    with TestClient(create_app(FlatService())) as client:
        assert client.get(LINE).json()["offered"] is False
        with client.websocket_connect(LINE) as line, pytest.raises(WebSocketDisconnect) as closed:
            line.receive_text()
    assert closed.value.code == camera.NOT_HERE

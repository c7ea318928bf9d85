"""The HTTP application with a library that paints flat colours: what is accepted, and how refusals read."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data.images import decode_image
from perse.errors import InputError
from perse_ray.serving import app as serve_app
from perse_ray.serving.app import create_app
from perse_ray.serving.deployment import find_avatars
from perse_ray.serving.loaded_avatar import FolderLibrary
from perse_ray.serving.requests import MAX_BODY_BYTES, MAX_SIDE_PX, AvatarInfo, RenderRequest, SubjectInfo, check_names

URL = "/v1/avatars/me/render"


class FlatLibrary:
    """One avatar with one hat; its pictures are the background's colour."""

    def __init__(self) -> None:
        self.asked: list[RenderRequest] = []

    def ids(self) -> list[str]:
        return ["me"]

    def info(self, avatar: str) -> AvatarInfo:
        hat = SubjectInfo(id="hat-a", category=Category.HAT, text="a red beanie")
        return AvatarInfo(id=avatar, identity="x", subjects=[hat], expressions=["smile"], joints=["neck"], gaussians=5)

    def render(self, avatar: str, request: RenderRequest) -> NDArray[np.uint8]:
        check_names("hat subject", set(request.attributes.get(Category.HAT, {})), ["hat-a"])
        self.asked.append(request)
        return np.full((request.height, request.width, 3), request.background, np.uint8)


def call(method: str, url: str, library: Any = None, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(library or FlatLibrary()), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, url, **options)

    return asyncio.run(go())


def test_health_and_the_list() -> None:
    assert call("GET", "/healthz").json() == {"status": "ok"}
    (one,) = call("GET", "/v1/avatars").json()
    assert one["id"] == "me"
    assert one["subjects"] == [{"id": "hat-a", "category": "hat", "text": "a red beanie"}]


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_a_picture_has_the_size_and_format_that_were_asked_for(form: str) -> None:
    body = {"width": 40, "height": 24, "format": form, "background": [10, 200, 30]}
    answer = call("POST", URL, json=body)
    assert answer.status_code == 200 and answer.headers["content-type"] == f"image/{form}"
    picture = decode_image(answer.content)
    assert picture.shape == (24, 40, 3)
    assert np.abs(picture.astype(int) - [10, 200, 30]).max() <= 3


def test_every_field_arrives() -> None:
    library = FlatLibrary()
    body = {
        "attributes": {"hat": {"hat-a": 0.5}},
        "expression": {"smile": 0.75},
        "pose": {"neck": [0, 0.5, 0]},
        "camera": {"yaw_deg": 30, "zoom": 2},
    }
    assert call("POST", URL, library, json=body).status_code == 200
    (request,) = library.asked
    assert request.attributes == {Category.HAT: {"hat-a": 0.5}}
    assert request.expression == {"smile": 0.75} and request.pose == {"neck": (0, 0.5, 0)}
    assert request.camera.yaw_deg == 30  # type: ignore[union-attr]


def test_an_empty_request_is_the_person_from_the_front() -> None:
    assert call("POST", URL, json={}).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"width": 0}, "width"),
        ({"height": MAX_SIDE_PX + 1}, "height"),
        ({"wdith": 64}, "wdith"),
        ({"attributes": {"wings": {}}}, "attributes.wings"),
        ({"attributes": {"hat": {"hat-a": 7}}}, "attributes.hat.hat-a"),
        ({"attributes": {"hat": {"hat-z": 1}}}, "unknown hat subject hat-z; known are hat-a"),
        ({"pose": {"neck": [0, 0]}}, "pose.neck"),
        ({"pose": {"neck": [0, 0, 99]}}, "pose.neck"),
        ({"expression": {str(i): 0 for i in range(300)}}, "256 are allowed"),
        ({"camera": {"yaw_deg": 1000}}, "yaw_deg"),
        ({"camera": {"world_to_camera": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
                     "intrinsics": [[9, 0, 1], [0, 9, 1], [0, 0, 1]]}}, "rigid transform"),
        ({"background": [0, 0, 256]}, "background"),
        ({"format": "gif"}, "format"),
        ([1, 2], "body"),
    ],
)  # fmt: skip
def test_bad_requests_are_told_what_is_wrong(body: Any, says: str) -> None:
    answer = call("POST", URL, json=body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_numbers_that_are_none_and_broken_json_are_refused() -> None:
    for content in (b'{"expression": {"smile": NaN}}', b'{"camera": {"zoom": Infinity}}', b"{", b"", b"\xff\xfe"):
        answer = call("POST", URL, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), content
        assert "detail" in answer.json()


@pytest.mark.parametrize("name", ["you", "..", "%2e%2e%2fetc", "a" * 65, "a b", ".hidden"])
def test_unknown_avatars_are_not_found_and_never_a_path(name: str) -> None:
    assert call("POST", f"/v1/avatars/{name}/render", json={}).status_code == 404


def test_a_large_body_is_refused_by_the_bytes_that_arrive() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 4096

    answer = call("POST", URL, content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413 and str(MAX_BODY_BYTES) in answer.json()["detail"]


def test_wrong_methods_and_places() -> None:
    assert call("GET", URL).status_code == 405
    assert call("GET", "/v2").status_code == 404


def test_an_error_of_ours_is_no_answer_to_strangers() -> None:
    class Broken(FlatLibrary):
        def render(self, avatar: str, request: RenderRequest) -> NDArray[np.uint8]:
            raise RuntimeError("secret path")

    answer = call("POST", URL, Broken(), json={})
    assert answer.status_code == 500 and "secret" not in answer.text


def test_a_damaged_avatar_is_unavailable_and_says_so() -> None:
    class Damaged(FlatLibrary):
        def render(self, avatar: str, request: RenderRequest) -> NDArray[np.uint8]:
            raise InputError("the avatar cannot be read; train it again")

    answer = call("POST", URL, Damaged(), json={})
    assert answer.status_code == 503 and "train it again" in answer.json()["detail"]


def test_a_crowd_is_asked_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_app, "MAX_WAITING", 2)
    gate = threading.Event()

    class Slow(FlatLibrary):
        def render(self, avatar: str, request: RenderRequest) -> NDArray[np.uint8]:
            gate.wait(10)
            return super().render(avatar, request)

    async def go() -> list[int]:
        transport = httpx.ASGITransport(create_app(Slow()))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            waiting = [asyncio.create_task(client.post(URL, json={})) for _ in range(3)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result().headers.get("retry-after") for task in done} == {"1"}
            gate.set()
            return sorted([answer.status_code for answer in await asyncio.gather(*waiting)])

    assert asyncio.run(go()) == [200, 200, 503]


def test_the_schema_is_served() -> None:
    schema = call("GET", "/openapi.json").json()
    assert {"/healthz", "/v1/avatars", "/v1/avatars/{avatar}/render"} <= set(schema["paths"])
    assert json.dumps(schema).count("allow_inf_nan") == 0


def test_ids_come_from_workspaces_and_must_be_plain(tmp_path: Path) -> None:
    (tmp_path / "me" / "avatar").mkdir(parents=True)
    with pytest.raises(InputError, match="no finished avatar"):
        find_avatars([str(tmp_path / "me")])
    (tmp_path / "me" / "avatar" / "avatar.json").write_text("{}")
    assert find_avatars([str(tmp_path / "me")]) == {"me": tmp_path / "me" / "avatar"}
    with pytest.raises(InputError, match="twice"):
        find_avatars([str(tmp_path / "me")] * 2)
    with pytest.raises(InputError, match="cannot be an avatar's id"):
        FolderLibrary({"a/b": tmp_path})

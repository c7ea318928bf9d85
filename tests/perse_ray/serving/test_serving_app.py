"""The HTTP application over a service that paints flat colours: what is accepted, and how refusals read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from flat_service import FlatService

from perse.attributes import Category
from perse.data.images import decode_image
from perse.errors import InputError
from perse.export import verify_file
from perse.export.xmp import read_xmp
from perse_ray.serving.drawing.tasks import Work
from perse_ray.serving.http.app import Status, create_app
from perse_ray.serving.http.media_routes import Refusal
from perse_ray.serving.schema.errors import DeadlineExceeded, NoSuchAvatar, Unavailable, UnknownName
from perse_ray.serving.schema.media_requests import (
    AnimateRequest,
    DescribeRequest,
    EditSpace,
    FramesAnswer,
    FramesRequest,
    UnderstoodAttribute,
)
from perse_ray.serving.schema.requests import MAX_BODY_BYTES, MAX_SIDE_PX, AvatarInfo, RenderRequest

URL = "/v1/avatars/me/render"


def call(method: str, url: str, library: Any = None, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(library or FlatService()), raise_app_exceptions=False)
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
    library = FlatService()
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
    assert call("POST", f"/v1/avatars/{name}/render", json={}).status_code in (404, 422)


def test_a_large_body_is_refused_by_the_bytes_that_arrive() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 65536

    answer = call("POST", URL, content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413 and str(MAX_BODY_BYTES) in answer.json()["detail"]


def test_wrong_methods_and_places() -> None:
    assert call("GET", URL).status_code == 405
    assert call("GET", "/v2").status_code == 404


class Failing(FlatService):
    """Nothing can be drawn."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def run(self, avatar: str, work: Work[Any]) -> Any:
        raise self.error


def test_an_error_of_ours_is_no_answer_to_strangers() -> None:
    answer = call("POST", URL, Failing(RuntimeError("secret path")), json={})
    assert answer.status_code == 500 and "secret" not in answer.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("the avatar cannot be read; train it again"), 503),
        (Unavailable("too many"), 503),
        (DeadlineExceeded("too late"), 504),
        (UnknownName("no such hat"), 422),
        (NoSuchAvatar("no such avatar"), 404),
    ],
)
def test_what_goes_wrong_has_its_own_status_and_says_why(error: Exception, status: int) -> None:
    answer = call("POST", URL, Failing(error), json={})
    assert answer.status_code == status and answer.json() == {"detail": str(error)}
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


def test_ready_is_who_has_drawn_something() -> None:
    assert call("GET", "/readyz").json() == {"status": "ready"}
    answer = call("GET", "/readyz", Failing(InputError("it is broken")))
    assert answer.status_code == 503 and "it is broken" in answer.json()["detail"]
    assert call("GET", "/healthz", Failing(InputError("it is broken"))).status_code == 200


def test_pictures_say_that_they_are_synthetic_and_are_the_same_each_time() -> None:
    for form in ("png", "jpeg", "webp"):
        body = {"attributes": {"hat": {"hat-a": 0.5}}, "format": form, "width": 32, "height": 32}
        first, second = (call("POST", URL, json=body).content for _ in range(2))
        found = read_xmp(first)
        assert first == second and found is not None
        assert [(edit.text, edit.weight) for edit in found.edits] == [("a red beanie", 0.5)]


def test_a_signed_picture_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_SIGNING", str(tmp_path / "key"))
    answer = call("POST", URL, json={"width": 32, "height": 32, "provenance": "c2pa"})
    (tmp_path / "a.png").write_bytes(answer.content)
    assert verify_file(tmp_path / "a.png").signed and verify_file(tmp_path / "a.png").intact


@pytest.mark.parametrize(
    ("attribute", "says"),
    [
        ({"image": "&&&"}, "not base64"),
        ({"text": ""}, "attributes.hat.text"),
        ({"image": "aaaa", "weight": 9}, "weight"),
        ([{"text": "x"}] * 9, "8"),
        ([{"hat-a": 9}], "attributes.hat.0.hat-a"),
        ("hat-a", "attributes.hat"),
    ],
)
def test_attributes_that_cannot_be_are_explained(attribute: Any, says: str) -> None:
    answer = call("POST", URL, json={"attributes": {"hat": attribute}})
    assert answer.status_code == 422 and says in answer.json()["detail"]


def test_every_route_is_described_with_examples_that_hold() -> None:
    schema = call("GET", "/openapi.json").json()
    shapes = schema["components"]["schemas"]
    routes = [(path, route) for path, methods in schema["paths"].items() for route in methods.values()]
    assert len(routes) >= 9
    for path, route in routes:
        assert route["description"], path
        bodies = [part["content"] for part in (route.get("requestBody"), *route["responses"].values()) if part]
        for body in (content["application/json"]["schema"] for content in bodies if "application/json" in content):
            shape = body.get("items", body)["$ref"].rpartition("/")[2]
            assert shapes[shape].get("examples") or shape == "HTTPValidationError", (path, shape)
        for parameter in route.get("parameters", []):
            assert parameter["description"], (path, parameter["name"])
    models = (
        AnimateRequest,
        AvatarInfo,
        DescribeRequest,
        EditSpace,
        FramesAnswer,
        FramesRequest,
        RenderRequest,
        Refusal,
        Status,
        UnderstoodAttribute,
    )
    for model in models:
        for example in shapes[model.__name__]["examples"]:
            model.model_validate(example)

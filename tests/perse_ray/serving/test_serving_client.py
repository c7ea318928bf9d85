"""The client against the real application, in process; and against services that die or refuse."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import perse_client
import pytest
from flat_service import FlatService
from perse_client import AvatarClient, ServiceError, described

from perse.attributes import Category
from perse.data.images import decode_image
from perse_ray.serving.http.app import create_app
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.service import AvatarService, LocalAvatars
from perse_ray.serving.library.sources import find_places
from perse_ray.serving.schema.requests import Appearance, Description


class InProcess(httpx.BaseTransport):
    """Carries requests to an ASGI application without a network."""

    def __init__(self, service: AvatarService | None = None) -> None:
        self.inner = httpx.ASGITransport(create_app(service or FlatService()))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def go() -> httpx.Response:
            content = request.read()
            again = httpx.Request(request.method, request.url, headers=request.headers, content=content)
            answer = await self.inner.handle_async_request(again)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(go())


class Script(httpx.BaseTransport):
    """Answers as told, one after another."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self.steps = list(steps)
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def client(transport: httpx.BaseTransport, **options: str) -> AvatarClient:
    return AvatarClient("http://service", transport=transport, **options)  # type: ignore[arg-type]


def test_the_example_of_the_docstring() -> None:
    with client(InProcess()) as service:
        assert service.healthy()
        avatar = service.avatars()[0]
        (hat,) = avatar.of("hat")
        assert (avatar.id, hat.text, avatar.expressions) == ("me", "a red beanie", ("jawLeft", "smile"))
        picture = service.render(avatar.id, attributes={"hat": {hat.id: 1.0}}, camera={"yaw_deg": 20}, width=32)
        assert decode_image(picture).shape == (256, 32, 3)
        strip = [service.render("me", attributes={"hat": {hat.id: step / 4}}, format="jpeg") for step in range(5)]
        assert [round(decode_image(p).mean()) for p in strip] == [255, 230, 205, 180, 155]


@pytest.mark.parametrize("page", ["README.md", "docs/service.md"])
def test_the_examples_of_the_documentation(
    page: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[3] / page).read_text()
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "AvatarClient" in code]
    transport = InProcess(LocalAvatars(AvatarCache(find_places([str(workspace)]), memory_mib=100)))
    monkeypatch.setattr(perse_client, "AvatarClient", partial(AvatarClient, transport=transport))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSE_TOKENS", "secret")
    names: dict[str, Any] = {}
    exec(example, names)
    assert decode_image((tmp_path / "hat.png").read_bytes()).shape == (256, 256, 3)
    assert len({bytes(picture) for picture in names["strip"]}) == 9


def test_the_edit_space_and_lists_of_frames() -> None:
    with client(InProcess()) as service:
        space = service.attributes("me")
        (hat,) = space.categories["hat"]
        assert hat.text == "a red beanie" and space.categories["nose"] == ()
        assert space.thumbnails[hat.id].endswith(hat.id)
        frames = service.frames("me", [{"width": width} for width in (16, 32)])
        assert [decode_image(frame).shape[1] for frame in frames] == [16, 32]
        assert service.ready() and decode_image(service.thumbnail("me", hat.id)).mean() == 155


def test_a_description_is_what_the_service_expects() -> None:
    asked = {"hat": described("a red cap", image=b"\x89PNG", weight=0.5)}
    term = Appearance.model_validate({"attributes": asked}).attributes[Category.HAT]
    assert isinstance(term, Description)
    assert (term.text, term.picture(), term.weight) == ("a red cap", b"\x89PNG", 0.5)


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"avatar": "you"}, 404, "avatar"),
        ({"avatar": "../me"}, 404, "Not Found"),
        ({"avatar": "me", "attributes": {"hat": {"crown": 1}}}, 422, "crown"),
        ({"avatar": "me", "attributes": {"wig": {"x": 1}}}, 422, "wig"),
        ({"avatar": "me", "width": 9}, 422, "width"),
        ({"avatar": "me", "colour": "red"}, 422, "colour"),
    ],
)
def test_refusals_keep_what_the_service_said(asked: dict[str, object], status: int, says: str) -> None:
    with client(InProcess()) as service, pytest.raises(ServiceError, match=says) as caught:
        service.render(**asked)  # type: ignore[arg-type]
    assert caught.value.status == status


@pytest.mark.parametrize("failure", [httpx.ConnectError("gone"), httpx.RemoteProtocolError("cut"), httpx.ReadError("")])
def test_a_dropped_request_is_sent_once_more(failure: Exception) -> None:
    transport = Script(failure, httpx.Response(200, content=b"png"))
    assert client(transport).render("me", pose={"neck": (0, 0.3, 0)}) == b"png"
    first, second = transport.asked
    assert first.content == second.content and first.url == second.url


def test_but_only_once() -> None:
    transport = Script(httpx.ConnectError("gone"), httpx.ConnectError("gone"), httpx.Response(200))
    with pytest.raises(ServiceError, match="cannot reach") as caught:
        client(transport).render("me")
    assert caught.value.status == 0 and len(transport.asked) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_after_its_own_time(status: int) -> None:
    busy = httpx.Response(status, headers={"Retry-After": "0"}, json={"detail": "busy"})
    assert client(Script(busy, httpx.Response(200, content=b"png"))).render("me") == b"png"
    with pytest.raises(ServiceError, match="busy"):
        client(Script(busy, busy)).render("me")


def test_a_long_wait_and_a_refusal_are_the_callers_business() -> None:
    for answer in (
        httpx.Response(503, headers={"Retry-After": "60"}, json={"detail": "later"}),
        httpx.Response(503, headers={"Retry-After": "Fri, 20 Nov 2026 10:00:00 GMT"}),
        httpx.Response(422, json={"detail": "no"}),
        httpx.Response(500, content=b"<html>"),
        httpx.Response(302, headers={"Location": "http://elsewhere"}),
    ):
        transport = Script(answer)
        with pytest.raises(ServiceError) as caught:
            client(transport).render("me")
        assert caught.value.status == answer.status_code and len(transport.asked) == 1


def test_a_timeout_is_not_repeated() -> None:
    transport = Script(httpx.ReadTimeout("slow"), httpx.Response(200))
    with pytest.raises(ServiceError, match="in time"):
        client(transport).render("me")
    assert len(transport.asked) == 1


def test_the_token_is_sent() -> None:
    transport = Script(httpx.Response(200, json=[]))
    client(transport, token="secret").avatars()
    assert transport.asked[0].headers["Authorization"] == "Bearer secret"
    assert not client(Script(httpx.ConnectError("gone"))).healthy()


def test_importing_the_client_is_light() -> None:
    """No Ray, no torch, no FastAPI."""
    heavy = "[m for m in ('perse', 'ray', 'torch', 'fastapi', 'numpy') if m in sys.modules]"
    code = f"import sys, perse_client; print({heavy})"
    folder = Path(perse_client.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout == "[]\n"

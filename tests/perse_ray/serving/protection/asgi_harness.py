"""ASGI by hand: scopes, and what an application sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from perse_ray.serving.protection.asgi import Application, Message, Receive, Scope, Send


def http_scope(
    path: str = "/v1/avatars", method: str = "GET", *, query: str = "", client: str = "127.0.0.1", **headers: str
) -> Scope:
    pairs = {"host": "localhost:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in pairs.items()], "client": (client, 1),
        "server": ("localhost", 8000), "root_path": "",
    }  # fmt: skip


def socket_scope(path: str = "/v1/avatars/me/stream", *, denial: bool = True, **headers: str) -> Scope:
    scope = {**http_scope(path, **headers), "type": "websocket", "scheme": "ws"}
    del scope["method"]
    return {**scope, "extensions": {"websocket.http.response": {}} if denial else {}}


class Answer:
    """What came back."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        start = next((m for m in messages if m["type"].endswith(".start")), {"status": None, "headers": []})
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(m.get("body", b"") for m in messages)


async def answered(app: Application, scope: Scope, body: Iterable[bytes] = (b"",), *, endless: bool = False) -> Answer:
    """The application's answer to one request; an `endless` body never ends."""
    messages: list[Message] = []

    async def chunks() -> AsyncIterator[Message]:
        if scope["type"] == "websocket":
            yield {"type": "websocket.connect"}
        for chunk in body:
            yield {"type": "http.request", "body": chunk, "more_body": True}
        while endless:
            await asyncio.sleep(3600)
        yield {"type": "http.request", "body": b"", "more_body": False}
        while True:
            await asyncio.sleep(3600)

    source = chunks()

    async def receive() -> Message:
        return await anext(source)

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return Answer(messages)


def ask(app: Application, scope: Scope, *args: Any, **kwargs: Any) -> Answer:
    return asyncio.run(answered(app, scope, *args, **kwargs))


async def greeting(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says hello, and over a WebSocket sends a picture."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": b"picture"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/png")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that returns its request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

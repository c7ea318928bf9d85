"""Types of ASGI, and how a middleware says no."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "perse.key"
"""Where the scope says who is asking, once that is known."""

ALWAYS_OPEN = ("/healthz", "/readyz")
"""Probes ask without a token, and are never made to wait."""

POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
"""Close codes of RFC 6455 and its registry."""


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, detail: str, *headers: tuple[bytes, bytes]
) -> None:
    """Answer with an error instead of the application: ``{"detail": …}``, and the connection ends.

    A WebSocket is refused with the same answer where the server can (ASGI's denial response), else closed.
    """
    body = json.dumps({"detail": detail}).encode()
    if scope["type"] == "websocket":
        await receive()  # its "connect"
        if "websocket.http.response" not in scope.get("extensions", {}):
            code = POLICY_VIOLATION if status in (401, 403) else TRY_AGAIN_LATER
            await send({"type": "websocket.close", "code": code, "reason": detail[:120]})
            return
    await respond(
        scope, send, status, body, (b"content-type", b"application/json"), (b"connection", b"close"), *headers
    )


async def respond(scope: Scope, send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """A whole HTTP response, also as the denial of a WebSocket."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    length = (b"content-length", str(len(body)).encode())
    await send({"type": f"{kind}.start", "status": status, "headers": [*headers, length]})
    await send({"type": f"{kind}.body", "body": body})


def retry_after(seconds: float) -> tuple[bytes, bytes]:
    """Header Retry-After; whole seconds, at least one."""
    return b"retry-after", str(max(1, round(seconds + 0.5))).encode()

"""Deadline of receiving: connections that never finish asking are closed.

uvicorn waits without end for the rest of a header or of a body: 600 half-open connections stayed for as long as their
owner liked. The deadlines of `request_deadline` begin only when a request has reached the application.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_WITHIN_S = 10.0
"""From the connection, or from the end of the last answer, to the end of a request's header."""
BODY_WITHIN_S = 30.0
"""From the end of the header to the end of the body; ten megabytes over a telephone."""
IMPORT_PATH = f"{__name__}:ReceiveDeadlineProtocol"


class ReceiveDeadlineProtocol(HttpToolsProtocol):
    """Protocol of uvicorn, with a deadline for everything that it waits for."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_within(HEADER_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_within(None)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_within(HEADER_WITHIN_S)

    def on_headers_complete(self) -> None:
        self._expect_within(BODY_WITHIN_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._expect_within(None)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._expect_within(None)
        super().handle_websocket_upgrade()

    def _expect_within(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


def use_everywhere() -> None:
    """Make every uvicorn of this process use it, unless it was told otherwise. For Ray Serve's proxies, which start
    theirs without asking: the table is uvicorn's own, of names and what they stand for."""
    protocols: dict[Any, str] = uvicorn.config.HTTP_PROTOCOLS  # type: ignore[assignment]
    protocols["auto"] = IMPORT_PATH

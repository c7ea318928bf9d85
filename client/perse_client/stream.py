"""Stream of pictures, for interactive use. Needs the package websockets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from perse_client.errors import ServiceError

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection


@contextmanager
def opened_stream(http: httpx.Client, path: str) -> Iterator[AvatarStream]:
    """Stream at a path of the service, open within the context.

    Raises:
        ServiceError: the service refused or is not there.
    """
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    address = http.base_url.join(path)
    scheme = "wss" if address.scheme == "https" else "ws"
    headers = {name: value for name, value in http.headers.items() if name == "authorization"}
    try:
        connection = connect(str(address.copy_with(scheme=scheme)), additional_headers=headers)
    except (OSError, WebSocketException) as error:
        raise ServiceError(0, f"no stream from {address}: {error}") from error
    with connection:
        yield AvatarStream(connection)


class AvatarStream:
    """Stream of changes in and pictures out; of several changes that wait, one picture shows all."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._arrived = 0

    def change(self, **fields: Any) -> None:
        """Change what is seen: fields of a render request. The others stay as they are.

        Raises:
            ServiceError: the connection is lost.
        """
        self._say(fields)

    def picture(self, timeout_s: float = 30.0) -> bytes:
        """The next picture.

        Raises:
            ServiceError: the service did not understand a change, did not answer in time, or is gone.
        """
        from websockets.exceptions import WebSocketException

        while True:
            try:
                message = self._connection.recv(timeout_s)
            except TimeoutError:
                raise ServiceError(0, f"no picture in {timeout_s:g} s") from None
            except WebSocketException as error:
                raise ServiceError(0, f"the stream has ended: {error}") from error
            if isinstance(message, bytes):
                self._arrived += 1
                self._say({"received": self._arrived})
                return message
            told = json.loads(message)
            if told.get("type") == "error":
                raise ServiceError(422, str(told.get("detail"))[:2000])

    def _say(self, message: Mapping[str, Any]) -> None:
        from websockets.exceptions import WebSocketException

        try:
            self._connection.send(json.dumps(message))
        except WebSocketException as error:
            raise ServiceError(0, f"the stream has ended: {error}") from error

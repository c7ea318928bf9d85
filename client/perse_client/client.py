"""Connection to a render service."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

import httpx

from perse_client.avatars import AvatarDescription, EditSpace, read_avatar, read_space
from perse_client.connection import ask
from perse_client.look import Attributes, Orbit, Pinhole
from perse_client.stream import AvatarStream, opened_stream


class AvatarClient:
    """Connection to a render service. Use it as a context manager, or call `close`. One thread at a time."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """
        Args:
            base_url: of the service, such as ``http://127.0.0.1:8000``.
            token: sent as a bearer token, if the service asks for one.
            timeout_s: for each attempt.
            transport: another way to reach the service; for tests.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=timeout_s, transport=transport, follow_redirects=False
        )  # fmt: skip

    def healthy(self) -> bool:
        """Whether the service answers."""
        try:
            return self._http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def ready(self) -> bool:
        """Whether the service can draw."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def avatars(self) -> list[AvatarDescription]:
        """Avatars that are served.

        Raises:
            ServiceError: the service refused or is not there.
        """
        return [read_avatar(value) for value in self._ask("GET", "/v1/avatars").json()]

    def render(
        self,
        avatar: str,
        *,
        attributes: Attributes | None = None,
        expression: Mapping[str, float] | None = None,
        pose: Mapping[str, Sequence[float]] | None = None,
        camera: Orbit | Pinhole | None = None,
        width: int = 256,
        height: int = 256,
        format: Literal["png", "jpeg", "webp"] = "png",
        **others: Any,
    ) -> bytes:
        """A picture, encoded.

        Args:
            avatar: its id.
            attributes: by category, what is worn; the person as photographed if left out.
            expression: strengths by name.
            pose: joint rotations by name, axis-angle in radians.
            camera: where to look from; the portrait's camera if left out.
            others: further fields of a render request, such as ``background`` or ``quality``.

        Raises:
            ServiceError: there is no such avatar or name, or the service refused or is not there.
        """
        look = {"attributes": attributes, "expression": expression, "pose": pose, "camera": camera}
        body = _given(look) | {"width": width, "height": height, "format": format, **others}
        return self._ask("POST", f"{_path(avatar)}/render", json=body).content

    def frames(self, avatar: str, requests: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Pictures in one request, each asked for by the fields of a render request; all of one format.

        Raises:
            ServiceError: as `render`.
        """
        answer = self._ask("POST", f"{_path(avatar)}/frames", json={"frames": list(requests)}).json()
        return [base64.b64decode(frame) for frame in answer["frames"]]

    def attributes(self, avatar: str) -> EditSpace:
        """Space of edits: what the avatar can be made to look like.

        Raises:
            ServiceError: there is no such avatar, or the service refused or is not there.
        """
        return read_space(self._ask("GET", f"{_path(avatar)}/attributes").json())

    def stream(self, avatar: str) -> AbstractContextManager[AvatarStream]:
        """A connection for interactive use. Needs the package websockets.

        ::

            with client.stream("me") as stream:
                for step in range(100):
                    stream.change(pose={"neck": (0, step / 100, 0)})
                    show(stream.picture())

        Raises:
            ServiceError: the service refused or is not there.
        """
        return opened_stream(self._http, f"{_path(avatar)}/stream")

    def animate(self, avatar: str, motion: Mapping[str, Any], **others: Any) -> bytes:
        """A video, MP4 unless ``format="webp"``, with a C2PA manifest.

        Args:
            motion: ``{"kind": "named"}``, ``{"kind": "uploaded", …}`` or ``{"kind": "between", …}``; see the service's
                /docs.
            others: further fields of an animate request, such as ``attributes``, ``width`` or ``camera``.

        Raises:
            ServiceError: as `render`.
        """
        return self._ask("POST", f"{_path(avatar)}/animate", json={"motion": motion, **others}).content

    def export(self, avatar: str, format: str = "ply", *, attributes: Attributes | None = None, **look: Any) -> bytes:
        """A file for other programs: ply, compressed-ply, splat, spz, sog, glb, usd or html.

        Args:
            look: ``expression`` and ``pose`` as in `render`.

        Raises:
            ServiceError: as `render`.
        """
        asked = json.dumps({"attributes": attributes or {}, **look})
        return self._ask("GET", f"{_path(avatar)}/export", params={"format": format, "look": asked}).content

    def thumbnail(self, avatar: str, subject: str = "") -> bytes:
        """A small WebP picture of the person, or of one edit.

        Raises:
            ServiceError: as `render`.
        """
        return self._ask("GET", f"{_path(avatar)}/thumbnail", params={"subject": subject}).content

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> AvatarClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        return ask(self._http, method, path, **content)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _path(avatar: str) -> str:
    return f"/v1/avatars/{quote(avatar, safe='')}"

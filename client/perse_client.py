"""Client of the render service. Needs httpx, and websockets for streams; nothing else of this project.

::

    from perse_client import AvatarClient

    with AvatarClient("http://127.0.0.1:8000") as client:
        avatar = client.avatars()[0]
        hats = avatar.of("hat")
        picture = client.render(avatar.id, attributes={"hat": {hats[0].id: 1.0}}, camera={"yaw_deg": 20})
        with open("hat.png", "wb") as file:
            file.write(picture)
        strip = [client.render(avatar.id, attributes={"hat": {hats[0].id: step / 8}}) for step in range(9)]

Subjects may be named by words of their prompts (``{"hat": {"teal beanie": 1.0}}``), and attributes described:
``{"hair": described("long red curls")}``. `AvatarClient.stream` is for interactive use.

A render changes nothing on the service, so a request that a dying server dropped is sent once more; so is one that was
refused with 429 or 503 and a short Retry-After. Then the error is raised. A timeout is not repeated: the work may still
be under way, and asking again would double it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from urllib.parse import quote

import httpx

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

MAX_WAIT_S = 5.0
"""A longer Retry-After is left to the caller."""

_COME_BACK = frozenset({429, 502, 503, 504})


class Description(TypedDict, total=False):
    """Description of an attribute in words, as a picture (base64), or both; see `described`."""

    text: str
    image: str
    weight: float


Term = Mapping[str, float] | Description
Attributes = Mapping[str, Term | Sequence[Term]]
"""By category: subjects, named by id or by words of their prompts, and their weights; or a description; or a list of
these, added up."""


def described(text: str | None = None, *, image: bytes | None = None, weight: float = 1.0) -> Description:
    """Description of an attribute that no subject has, in words, as a PNG, JPEG or WebP, or both. What comes of it is a
    guess."""
    description = Description(weight=weight)
    if text is not None:
        description["text"] = text
    if image is not None:
        description["image"] = base64.b64encode(image).decode("ascii")
    return description


class Orbit(TypedDict, total=False):
    """Camera of the portrait, moved around the head."""

    yaw_deg: float
    pitch_deg: float
    zoom: float


class Pinhole(TypedDict):
    """Camera of one's own, OpenCV convention, metres and pixels."""

    world_to_camera: Sequence[Sequence[float]]
    intrinsics: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Subject:
    """Edit that an avatar has learned."""

    id: str
    category: str
    text: str


@dataclass(frozen=True)
class EditSpace:
    """Space of looks of an avatar.

    Attributes:
        categories: the subjects of each.
        thumbnails: addresses of small pictures by subject, on the service.
        neutral: address of a picture of the person as photographed.
    """

    categories: Mapping[str, tuple[Subject, ...]]
    thumbnails: Mapping[str, str]
    neutral: str


@dataclass(frozen=True)
class AvatarDescription:
    """Description of an avatar: what can be asked of it."""

    id: str
    identity: str
    subjects: tuple[Subject, ...]
    expressions: tuple[str, ...]
    joints: tuple[str, ...]
    gaussians: int
    version: str = ""

    def of(self, category: str) -> list[Subject]:
        """Subjects of one category."""
        return [subject for subject in self.subjects if subject.category == category]


class ServiceError(Exception):
    """Error: the service answered with a refusal or not at all.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        detail: what the service said.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status = status
        self.detail = detail


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
        return [_description(value) for value in self._ask("GET", "/v1/avatars").json()]

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
        space = self._ask("GET", f"{_path(avatar)}/attributes").json()
        rows = [row for members in space["categories"].values() for row in members]
        subjects = {row["id"]: Subject(row["id"], row["category"], row["text"]) for row in rows}
        categories = {
            name: tuple(subjects[row["id"]] for row in members) for name, members in space["categories"].items()
        }
        return EditSpace(categories, {row["id"]: row["thumbnail"] for row in rows}, space["neutral"])

    @contextmanager
    def stream(self, avatar: str) -> Iterator[AvatarStream]:
        """A connection for interactive use. Needs the package websockets.

        ::

            with client.stream("me") as stream:
                for step in range(100):
                    stream.change(pose={"neck": (0, step / 100, 0)})
                    show(stream.picture())

        Raises:
            ServiceError: the service refused or is not there.
        """
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        address = self._http.base_url.join(f"{_path(avatar)}/stream")
        scheme = "wss" if address.scheme == "https" else "ws"
        headers = {name: value for name, value in self._http.headers.items() if name == "authorization"}
        try:
            connection = connect(str(address.copy_with(scheme=scheme)), additional_headers=headers)
        except (OSError, WebSocketException) as error:
            raise ServiceError(0, f"no stream from {address}: {error}") from error
        with connection:
            yield AvatarStream(connection)

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
        """Ask, and once more if the first time was bad luck."""
        try:
            answer = self._http.request(method, path, **content)
            wait_s = _patience(answer)
            if wait_s is None:
                return _checked(answer)
            time.sleep(wait_s)
        except httpx.TimeoutException as error:
            raise ServiceError(0, f"no answer in time from {self._http.base_url}") from error
        except httpx.TransportError:
            pass  # dropped: the service, or one of its machines, has just died
        try:
            return _checked(self._http.request(method, path, **content))
        except httpx.TransportError as error:
            raise ServiceError(0, f"cannot reach {self._http.base_url}: {error}") from error


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


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _path(avatar: str) -> str:
    return f"/v1/avatars/{quote(avatar, safe='')}"


def _patience(answer: httpx.Response) -> float | None:
    """How long to wait before asking again; None if that is not wanted."""
    if answer.status_code not in _COME_BACK:
        return None
    try:
        wait_s = float(answer.headers.get("Retry-After", "0.1"))
    except ValueError:
        return None  # a date; nobody of ours sends one
    return wait_s if 0 <= wait_s <= MAX_WAIT_S else None


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = answer.reason_phrase
    raise ServiceError(answer.status_code, detail[:2000])


def _description(value: Mapping[str, Any]) -> AvatarDescription:
    subjects = tuple(Subject(str(s["id"]), str(s["category"]), str(s["text"])) for s in value["subjects"])
    return AvatarDescription(
        id=str(value["id"]),
        identity=str(value["identity"]),
        subjects=subjects,
        expressions=tuple(value["expressions"]),
        joints=tuple(value["joints"]),
        gaussians=int(value["gaussians"]),
        version=str(value.get("version", "")),
    )

"""The viewer's line without a browser: the newest look wins, and mistakes end in a sentence."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect
from synthetic_avatar import synthetic_avatar

from perse.avatar import save_avatar
from perse.data.motion_file import Motion, write_motion
from perse.data.workspace import Workspace
from perse_ray.serving.http.app import create_app
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.service import LocalAvatars
from perse_ray.serving.library.sources import WorkspacePlace
from perse_ray.serving.local_viewer import viewer_app
from perse_ray.serving.protection import Tokens
from perse_ray.serving.protection.sign_in import cookie_name
from perse_ray.serving.viewer.routes import CLOSED_UNKNOWN
from perse_ray.serving.viewer.socket import MAX_MOTION_BYTES

LINE = "/v1/avatars/me/splats"
HERE = ("127.0.0.1", 50000)


@pytest.fixture(scope="module")
def avatars(head_model, tiny_clips, tmp_path_factory: pytest.TempPathFactory) -> AvatarCache:  # type: ignore[no-untyped-def]
    workspace = Workspace.open(tmp_path_factory.mktemp("view") / "me")
    save_avatar(synthetic_avatar(head_model, tiny_clips), workspace.path / "avatar")
    return AvatarCache({"me": WorkspacePlace(workspace)}, memory_mib=1000)


@pytest.fixture(scope="module")
def client(avatars: AvatarCache) -> Iterator[TestClient]:
    with TestClient(create_app(LocalAvatars(avatars))) as client:
        yield client


@pytest.fixture
def line(client: TestClient) -> Iterator[WebSocketTestSession]:
    """A connection that has been introduced to the avatar."""
    with client.websocket_connect(LINE) as line:
        assert json.loads(line.receive_text())["kind"] == "avatar"
        yield line


def described(message: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<I", message[:4])
    return dict(json.loads(message[4 : 4 + length]))


def wish(number: int, channel: str = "avatar", **look: Any) -> str:
    return json.dumps({"channel": channel, "id": number, "look": look})


def test_it_introduces_the_avatar(client: TestClient) -> None:
    with client.websocket_connect(LINE) as line:
        hello = json.loads(line.receive_text())
    assert hello["kind"] == "avatar" and hello["info"]["id"] == "me"
    assert {"expressions", "joints", "subjects", "version"} <= set(hello["info"])


def test_of_many_looks_the_newest_is_always_answered(line: WebSocketTestSession) -> None:
    for number in range(1, 41):
        line.send_text(wish(number, pose={"jaw": [number / 100, 0, 0]}))
    answers = []
    while not answers or answers[-1] < 40:
        answers.append(described(line.receive_bytes())["id"])
    assert answers == sorted(set(answers))


def test_channels_do_not_displace_each_other(line: WebSocketTestSession) -> None:
    line.send_text(wish(1))
    line.send_text(wish(1, "reference"))
    assert {described(line.receive_bytes())["channel"] for _ in range(2)} == {"avatar", "reference"}


def test_a_look_changes_the_splats(line: WebSocketTestSession) -> None:
    answers = []
    for number, look in enumerate([{}, {"pose": {"neck": [0, 0.5, 0]}}, {}], 1):
        line.send_text(wish(number, **look))
        answers.append(line.receive_bytes())
    plain, turned, again = ([described(answer)[key] for key in ("low", "step", "count")] for answer in answers)
    assert plain == again != turned


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("{", "a JSON object"),
        (wish(1, pose={"tail": [0, 0, 0]}), "unknown joint tail"),
        (wish(1, attributes={"hat": {"crown of thorns": 1}}), "crown of thorns"),
        (wish(1, surprise=1), "surprise"),
        (json.dumps({"motion": "../../etc/passwd"}), "builtin"),
        ("x" * 70_000, "characters"),
    ],
)
def test_mistakes_are_explained_and_forgiven(line: WebSocketTestSession, message: str, reason: str) -> None:
    line.send_text(message)
    refused = json.loads(line.receive_text())
    assert refused["kind"] == "refused" and reason in refused["detail"]
    if message.startswith('{"channel"'):
        assert (refused["channel"], refused["id"]) == ("avatar", 1)  # who waits for it waits no longer
    line.send_text(wish(2))
    assert described(line.receive_bytes())["id"] == 2


def test_the_built_in_motion_comes_with_what_this_head_can_do(line: WebSocketTestSession) -> None:
    line.send_text('{"motion": "builtin"}')
    motion = json.loads(line.receive_text())
    assert motion["kind"] == "motion" and motion["fps"] == 25 and len(motion["joints"]["jaw"]) == 113


def test_a_motion_file_is_read_and_fitted_to_the_head(line: WebSocketTestSession, tmp_path: Path) -> None:
    turns = np.linspace(0, [[0.0, 0.5, 0.0]], 20)[:, 0].astype(np.float32)
    motion = Motion(30.0, {"wagTail": np.ones(20, np.float32)}, {"neck": turns})
    for name in ("me.json", "me.npz"):
        write_motion(tmp_path / name, motion)
        line.send_text(json.dumps({"motion": "file", "name": name}))
        line.send_bytes((tmp_path / name).read_bytes())
        read = json.loads(line.receive_text())
        assert read["kind"] == "motion" and read["name"] == name and read["left_out"] == ["wagTail"]
        assert np.allclose(read["joints"]["neck"], turns, atol=1e-4)  # radians: JSON on the line holds four digits


@pytest.mark.parametrize("data", [b"\x00" * 100, b"PK\x03\x04" + b"0" * 64, b"{}", b"[" * (MAX_MOTION_BYTES + 1)])
def test_other_files_are_refused(line: WebSocketTestSession, data: bytes) -> None:
    line.send_bytes(data)
    assert json.loads(line.receive_text())["kind"] == "refused"


@pytest.mark.parametrize("tokens", [None, Tokens.of(["a-token-of-these-tests"])])
def test_pages_from_elsewhere_see_nothing(avatars: AvatarCache, tokens: Tokens | None) -> None:
    """Even with the cookie: the browser sends it along, whichever page opens the socket."""
    app = viewer_app(avatars, tokens)
    client = TestClient(
        app,
        base_url="http://127.0.0.1:8400",
        client=HERE,
        cookies={cookie_name("127.0.0.1:8400"): "a-token-of-these-tests"},
    )
    for origin in ("https://elsewhere.example", "http://127.0.0.1:81", "null"):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(LINE, headers=_from(origin)):
            pass
    with client.websocket_connect(LINE, headers=_from("http://127.0.0.1:8400")) as line:
        assert "kind" in line.receive_text()


def _from(origin: str) -> dict[str, str]:
    return {"origin": origin, "host": "127.0.0.1:8400"}


def test_unknown_avatars_are_turned_away(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect("/v1/avatars/nobody/splats") as line,
    ):
        line.receive_text()
    assert closed.value.code == CLOSED_UNKNOWN


def test_the_page_brings_all_it_needs_and_nothing_else_is_handed_out(client: TestClient) -> None:
    page = client.get("/view")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "")
    for name in ("main.js", "splats.js", "style.css"):
        assert client.get(f"/view/{name}").status_code == 200
    for name in ("index.html", "..%2fapp.py", "%2e%2e/app.py", "viewer.js"):
        assert client.get(f"/view/{name}").status_code == 404


def test_without_tokens_only_this_machine_is_let_in_and_only_under_its_own_name(avatars: AvatarCache) -> None:
    app = viewer_app(avatars, None)
    assert TestClient(app, base_url="http://127.0.0.1:8400", client=HERE).get("/view").status_code == 200
    assert TestClient(app, base_url="http://rebound.example:8400", client=HERE).get("/view").status_code == 403
    assert TestClient(app, base_url="http://127.0.0.1:8400", client=("10.1.2.3", 50000)).get("/view").status_code == 403

"""Everything the page does is a route: with the token, the limits and the refusals of the service."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image
from studio_harness import HeldBuilder, ready, until

from perse.attributes import Part
from perse.data.images import encode_image
from perse.tracking.part_picture import PALETTE
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.protection import Tokens
from perse_ray.serving.schema.requests import MAX_BODY_BYTES
from perse_ray.studio.server import studio_app
from perse_ray.studio.studio import Studio

TOKEN = "a-token-of-these-tests"
HOME = "/v1/studio"
JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Studio, HeldBuilder]]:
    builder = HeldBuilder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perse_ray.studio.builds.LOOK_EVERY_S", 0.02)
        studio = Studio(tmp_path_factory.mktemp("studio") / "runs", builder)
        app = studio_app(studio, AvatarCache(studio.places, memory_mib=500), Tokens.of([TOKEN]))
        yield TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}), studio, builder
        studio.close()


@pytest.fixture(scope="module")
def client(asked: tuple[TestClient, Studio, HeldBuilder]) -> TestClient:
    return asked[0]


@pytest.fixture(scope="module")
def project(asked: tuple[TestClient, Studio, HeldBuilder], photograph: bytes) -> str:
    """One that the real tracker has looked at."""
    return ready(asked[1], "Eileen", photograph)


def at(project: str, rest: str = "") -> str:
    return f"{HOME}/projects/{project}{rest}"


def paint(part: Part | None, size: int = 512) -> bytes:
    picture: NDArray[np.uint8] = np.zeros((size, size, 4), np.uint8)
    if part is not None:
        picture[:40, :40] = (*PALETTE[part], 255)
    return encode_image(picture)


def detail(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["detail"])


def test_every_route_asks_for_a_token_and_is_described(client: TestClient) -> None:
    stranger = TestClient(client.app)
    described = client.get("/openapi.json").json()["paths"]
    routes = {path: methods for path, methods in described.items() if path.startswith(HOME)}
    assert len(routes) == 12 and sum(map(len, routes.values())) == 15
    for path, methods in routes.items():
        for method in methods:
            assert stranger.request(method, path.replace("{project}", "me")).status_code == 401, (method, path)
    assert stranger.get("/studio").status_code == stranger.get("/studio/main.js").status_code == 401
    assert client.get("/studio").headers["content-security-policy"].startswith("default-src 'none'")
    for name in ("main.js", "studio.css"):
        assert client.get(f"/studio/{name}").status_code == 200
    assert client.get("/studio/..%2froutes.py").status_code == 404


def test_another_site_cannot_use_the_cookie(client: TestClient, photograph: bytes) -> None:
    with TestClient(client.app, base_url="http://localhost:8000") as browser:
        assert browser.get(f"/studio?token={TOKEN}").url.path == "/studio"
        origin = {"origin": "http://evil.example", **JPEG}
        assert browser.post(f"{HOME}/projects?name=x", content=photograph, headers=origin).status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status", "says"),
    [
        (b"no picture", "image/png", 422, "is not a PNG, JPEG, WebP or AVIF"),
        (b"", "image/png", 422, "empty"),
        (b"a=b", "application/x-www-form-urlencoded", 422, "Content-Type"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "image/png", 422, "the photograph"),
        (b"x" * (MAX_BODY_BYTES + 1), "image/png", 413, "bytes"),
    ],
)
def test_a_broken_photograph_is_refused_with_a_sentence(
    client: TestClient, content: bytes, kind: str, status: int, says: str
) -> None:
    before = client.get(f"{HOME}/projects").json()["projects"]
    answer = client.post(f"{HOME}/projects?name=x", content=content, headers={"content-type": kind})
    assert says in detail(answer, status)
    assert client.get(f"{HOME}/projects").json()["projects"] == before


def test_a_photograph_without_a_face_says_so_and_can_be_deleted(client: TestClient, astronaut: Any) -> None:
    wall = encode_image(astronaut[:60, :60], "jpeg")
    made = client.post(f"{HOME}/projects?name=wall", content=wall, headers=JPEG).json()
    until(lambda: client.get(at(made["id"])).json()["phase"] != "looking")
    found = client.get(at(made["id"])).json()
    assert "no face was found" in found["found"]["error"] and found["pictures"].keys() == {"photograph"}
    assert detail(client.post(at(made["id"], "/build")), 409) == found["found"]["error"] == found["missing"]


def test_several_faces_are_a_choice(client: TestClient, astronaut: Any) -> None:
    head = astronaut[:300, 80:380]
    both = encode_image(np.concatenate([head, head], 1), "jpeg")
    name = client.post(f"{HOME}/projects?name=twins", content=both, headers=JPEG).json()["id"]
    until(lambda: client.get(at(name)).json()["phase"] != "looking")
    found = client.get(at(name)).json()["found"]
    assert len(found["faces"]) == 2 and "choose one" in found["error"]
    assert "no face 3" in detail(client.put(at(name, "/face"), json={"face": 3}), 422)
    assert client.put(at(name, "/face"), json={"face": 2}).json()["phase"] == "looking"
    until(lambda: client.get(at(name)).json()["phase"] != "looking")
    chosen = client.get(at(name)).json()
    assert chosen["found"]["error"] == "" and chosen["face"] == 2 and "crop" in chosen["pictures"]


def test_what_was_found_is_shown_and_corrected(client: TestClient, project: str) -> None:
    shown = client.get(at(project)).json()
    assert shown["found"]["size_px"] == 512 and shown["found"]["parts"]["hair"] > 0.1
    for which in ("photograph", "crop", "found"):
        assert Image.open(io.BytesIO(client.get(at(project, f"/pictures/{which}")).content)).size[0] >= 512
    assert detail(client.get(at(project, "/pictures/parts")), 409)
    png = {"content-type": "image/png"}
    kept = client.put(at(project, "/parts"), content=paint(Part.HAIR), headers=png)
    assert "parts" in kept.json()["pictures"]
    assert "512 x 512" in detail(client.put(at(project, "/parts"), content=paint(Part.HAIR, 100), headers=png), 422)
    odd = encode_image(np.full((512, 512, 3), 77, np.uint8))
    assert "no colour of the palette" in detail(client.put(at(project, "/parts"), content=odd, headers=png), 422)
    assert "not a PNG" in detail(client.put(at(project, "/parts"), content=b"nothing", headers=png), 422)
    taken_back = client.put(at(project, "/parts"), content=paint(None), headers=png).json()
    assert "parts" not in taken_back["pictures"]


def test_consent_is_kept_with_its_day(client: TestClient, project: str) -> None:
    said = {"who": " Eileen Collins ", "purpose": "a film", "expires": "2099-01-01"}
    kept = client.put(at(project, "/consent"), json=said).json()["consent"]
    assert kept["who"] == "Eileen Collins" and len(kept["date"]) == 10
    for wrong in ({**said, "expires": "soon"}, {**said, "expires": "2000-01-01"}, {**said, "who": " "}, {"who": "x"}):
        assert detail(client.put(at(project, "/consent"), json=wrong), 422)
    assert client.get(at(project)).json()["consent"] == kept


def test_wishes_are_completed_understood_and_refused(client: TestClient, project: str) -> None:
    found = client.post(f"{HOME}/understand", json={"category": "hat", "text": "a red sombrero"}).json()
    assert found["unknown"] == ["sombrero"] and found["completions"] and "red" in found["phrase"]
    wishes = [{"category": "hat", "text": "red beanie"}, {"category": "hat", "text": "a red beanie"}]
    kept = client.put(at(project, "/wishes"), json={"recipe": "tiny", "wishes": wishes}).json()
    assert [wish["phrase"] for wish in kept["wishes"]] == ["a red beanie"] and kept["estimate_s"] > 10
    impossible = {"recipe": "tiny", "wishes": [{"category": "hat", "text": "zebra"}]}
    assert "'zebra' cannot be expressed" in detail(client.put(at(project, "/wishes"), json=impossible), 422)
    assert client.get(at(project)).json()["wishes"] == kept["wishes"]
    about = client.get(HOME).json()
    assert len(about["categories"]) == 9 and all(len(set(one["suggestions"])) == 4 for one in about["categories"])
    assert detail(client.put(at(project, "/wishes"), json={"recipe": "paper", "wishes": []}), 422)


def test_a_build_is_watched_cancelled_and_repeated(
    asked: tuple[TestClient, Studio, HeldBuilder], project: str, tmp_path: Path
) -> None:
    client, _, builder = asked
    client.put(at(project, "/wishes"), json={"recipe": "tiny", "wishes": [{"category": "hat", "text": "red beanie"}]})
    assert client.post(at(project, "/build")).status_code == 202
    until(lambda: client.get(at(project)).json()["phase"] == "building")
    builder.say(1001, "track: done in 5 s", "edits: 1/2, 3 s to go")
    progress = client.get(at(project)).json()["progress"]
    assert progress["counting"] == "1 of 2" and progress["to_go_s"] > 0
    assert [stage["state"] for stage in progress["stages"][:3]] == ["done", "now", "next"]
    for method, rest, body in (
        ("PUT", "/wishes", {"recipe": "tiny", "wishes": []}), ("PUT", "/consent", {"who": "x", "purpose": "y"}),
        ("PUT", "/face", {"face": 1}), ("POST", "/build", None), ("DELETE", "", None),
    ):  # fmt: skip
        assert "building" in detail(client.request(method, at(project, rest), json=body), 409)
    assert client.delete(at(project, "/build")).status_code == 202
    until(lambda: client.get(at(project)).json()["phase"] == "stopped")
    assert "no build to cancel" in detail(client.delete(at(project, "/build")), 409)
    assert client.post(at(project, "/build")).status_code == 202
    until(lambda: client.get(at(project)).json()["phase"] == "building")
    builder.finish(1002)
    until(lambda: client.get(at(project)).json()["phase"] == "finished")
    assert client.get(at(project)).json()["progress"]["share"] == 1


def test_edits_are_shown_with_their_verdicts(
    asked: tuple[TestClient, Studio, HeldBuilder], project: str, tracked_astronaut: Any
) -> None:
    from perse.attributes import Category
    from perse.data import AttributePrompt, EditedPortrait, archive
    from perse.data.verdict import Verdict
    from perse.synthesis.prompts import understand

    client, studio, _ = asked
    home, found = studio.projects.workspace(project), understand(Category.HAT, "red beanie")
    for number, text in enumerate(["A person wearing a red beanie", "A person wearing a zebra"]):
        prompt = AttributePrompt(f"hat-{number}", Category.HAT, found.attributes, text, number)
        portrait, key = tracked_astronaut, f"{number}" * 12
        archive.save_edit(
            home, EditedPortrait(key, prompt, portrait.image, portrait.masks, portrait.inside, (), None, ())
        )
    client.put(at(project, "/wishes"), json={"recipe": "tiny", "wishes": [{"category": "hat", "text": "red beanie"}]})
    assert [(one["key"], one["verdict"]) for one in client.get(at(project)).json()["edits"]] == [("0" * 12, "waiting")]
    archive.save_verdict(home, "a" * 12, "0" * 12, Verdict(False, ("another person",), ()))
    (edit,) = client.get(at(project)).json()["edits"]
    assert edit["verdict"] == "rejected" and edit["reasons"] == ["another person"]
    picture = client.get(at(project, f"/edits/{edit['key']}"))
    assert Image.open(io.BytesIO(picture.content)).size == (192, 192)
    assert client.get(at(project, "/edits/" + "f" * 12)).status_code == 409
    assert client.get(at(project, "/edits/..%2f..")).status_code in (404, 422)


def test_deleting_leaves_nothing_behind(
    asked: tuple[TestClient, Studio, HeldBuilder], astronaut: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client, studio, _ = asked
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # other tests leave much where traces are looked for
    monkeypatch.setenv("PERSE_CACHE", str(tmp_path / "cache"))
    png, content = {"content-type": "image/png"}, encode_image(astronaut[:80])
    name = client.post(f"{HOME}/projects?name=gone", content=content, headers=png).json()["id"]
    until(lambda: client.get(at(name)).json()["phase"] != "looking")
    assert client.delete(at(name)).status_code == 202
    until(lambda: client.get(at(name)).status_code == 404)
    until(lambda: bool(client.get(f"{HOME}/projects").json()["removed"]))
    assert not (studio.projects.runs / name).exists()
    (told,) = client.get(f"{HOME}/projects").json()["removed"]
    assert told["id"] == name and told["files"] >= 3 and told["left"] == told["problems"] == []
    assert client.get(f"/v1/avatars/{name}/attributes").status_code == 404


def test_a_report_is_a_page_that_can_do_nothing(asked: tuple[TestClient, Studio, HeldBuilder], project: str) -> None:
    client, studio, _ = asked
    assert "no report yet" in detail(client.get(at(project, "/report")), 409)
    studio.projects.workspace(project).write("report/report.html", b"<!doctype html><p>good</p>")
    page = client.get(at(project, "/report"))
    assert "sandbox" in page.headers["content-security-policy"] and "good" in page.text

"""Animations, lists, the edit space, thumbnails and exports, over a service that paints flat colours."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from flat_service import FlatService
from PIL import Image

from perse.attributes import Category
from perse.data.images import decode_image
from perse.export import FORMATS, verify_file
from perse_ray.serving.http.app import create_app
from perse_ray.serving.schema.media_requests import between
from perse_ray.serving.schema.requests import MAX_BODY_BYTES, Appearance, Description

URL = "/v1/avatars/me"


@pytest.fixture(autouse=True)
def _own_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_SIGNING", str(tmp_path_factory.getbasetemp() / "service-signing"))


def call(method: str, url: str, library: FlatService | None = None, **options: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(library or FlatService()), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, url, **options)

    return asyncio.run(go())


def levels(video: bytes) -> list[int]:
    with av.open(io.BytesIO(video)) as container:
        return [round(float(f.to_ndarray(format="rgb24").mean())) for f in container.decode(video=0)]


def test_from_one_look_to_another(tmp_path: Path) -> None:
    end = {"attributes": {"hat": {"hat-a": 1}}, "pose": {"jaw": [1, 0, 0]}}
    motion = {"kind": "between", "end": end, "seconds": 0.5, "fps": 10, "easing": "linear"}
    answer = call("POST", f"{URL}/animate", json={"motion": motion, "width": 32, "height": 32})
    assert answer.status_code == 200 and answer.headers["content-type"] == "video/mp4"
    assert np.abs(np.subtract(levels(answer.content), [255, 205, 155, 105, 55])).max() <= 3
    (tmp_path / "a.mp4").write_bytes(answer.content)
    found = verify_file(tmp_path / "a.mp4")
    assert found.intact and found.ours and found.provenance is not None
    assert [(e.subject, e.text, e.weight) for e in found.provenance.edits] == [("hat-a", "a red beanie", 1.0)]


def test_there_and_back_again_is_smooth_and_closes() -> None:
    motion = {"kind": "between", "end": {"attributes": {"hat": {"hat-a": 1}}}, "seconds": 1, "fps": 8,
              "there_and_back": True}  # fmt: skip
    library = FlatService()
    assert call("POST", f"{URL}/animate", library, json={"motion": motion}).status_code == 200
    worn = [request.attributes[Category.HAT]["hat-a"] for request in library.asked]
    assert worn[0] == 0 and worn[4] == 1 and worn[1] == worn[7] < 0.25


def test_an_uploaded_motion_as_transparent_webp() -> None:
    motion = {"kind": "uploaded", "fps": 5, "joints": {"jaw": [[0.1, 0, 0], [0.9, 0, 0], [0.4, 0, 0]]}}
    body = {"motion": motion, "format": "webp", "background": None, "width": 24, "height": 16}
    answer = call("POST", f"{URL}/animate", json=body)
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as animated:
        assert (animated.n_frames, animated.size, animated.mode) == (3, (24, 16), "RGBA")


def test_the_built_in_motion_leaves_out_what_the_avatar_lacks() -> None:
    library = FlatService()
    body = {"motion": {"kind": "named", "stride": 30}, "width": 16, "height": 16}
    assert call("POST", f"{URL}/animate", library, json=body).status_code == 200
    assert len(library.asked) == 4 and set(library.asked[1].pose) <= {"neck", "jaw"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"motion": {"kind": "dance"}}, "kind"),
        ({"motion": {"kind": "named", "name": "../../etc/passwd"}}, "knows no motion"),
        ({"motion": {"kind": "uploaded"}}, "names 1 to"),
        ({"motion": {"kind": "uploaded", "joints": {"jaw": [[9, 0, 0]]}}}, "3.2"),
        ({"motion": {"kind": "uploaded", "joints": {"jaw": [[0, 0, 0]] * 400}}}, "300"),
        ({"motion": {"kind": "uploaded", "joints": {"tail": [[0, 0, 0]]}}}, "unknown joint tail"),
        ({"motion": {"kind": "between", "end": {}, "seconds": 12, "fps": 60}}, "300 at most"),
        ({"motion": {"kind": "uploaded", "expressions": {"smile": [99]}}}, "less than or equal to 10"),
        ({"attributes": {"hat": {str(i): 0 for i in range(200)}},
          "motion": {"kind": "between", "end": {"attributes": {"hair": {str(i): 0 for i in range(200)}}}}}, "256"),
        ({"background": None}, "transparent"),
        ({"width": 4000}, "width"),
    ],
)  # fmt: skip
def test_impossible_animations_are_explained(body: dict[str, Any], says: str) -> None:
    answer = call("POST", f"{URL}/animate", json=body)
    assert answer.status_code == 422 and says in answer.json()["detail"]


def test_a_motion_may_be_large_but_not_endless() -> None:
    motion = {"kind": "uploaded", "joints": {"jaw": [[0.123456789012345, 0.0, 0.0]] * 300},
              "expressions": {f"e{i}": [0.123456789012345] * 300 for i in range(20)}}  # fmt: skip
    assert len(json.dumps(motion)) > 64 * 1024
    assert call("POST", f"{URL}/animate", json={"motion": motion, "width": 16, "height": 16}).status_code in (200, 422)
    assert call("POST", f"{URL}/animate", content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413


def test_a_list_of_frames() -> None:
    frames = [{"width": 16, "height": 16, "attributes": {"hat": {"hat-a": w}}, "format": "webp"} for w in (0, 0.5, 1)]
    answer = call("POST", f"{URL}/frames", json={"frames": frames}).json()
    assert answer["media_type"] == "image/webp"
    means = [decode_image(base64.b64decode(frame)).mean() for frame in answer["frames"]]
    assert np.abs(np.subtract(means, [255, 205, 155])).max() < 3
    for wrong in ([], [{}] * 33, [{"format": "png"}, {"format": "jpeg"}]):
        assert call("POST", f"{URL}/frames", json={"frames": wrong}).status_code == 422


def test_transparent_pictures() -> None:
    body = {"background": None, "format": "png", "width": 16, "height": 16}
    assert decode_image(call("POST", f"{URL}/render", json=body).content).shape == (16, 16, 4)
    assert call("POST", f"{URL}/render", json=body | {"format": "jpeg"}).status_code == 422


def test_the_edit_space_leads_to_thumbnails() -> None:
    space = call("GET", f"{URL}/attributes").json()
    assert set(space["categories"]) == {c.value for c in Category}
    (hat,) = space["categories"]["hat"]
    assert hat["text"] == "a red beanie"
    worn, plain = (call("GET", address) for address in (hat["thumbnail"], space["neutral"]))
    assert worn.headers["content-type"] == "image/webp"
    assert decode_image(worn.content).mean() < decode_image(plain.content).mean() - 80
    assert call("GET", f"{URL}/thumbnail?subject=crown").status_code == 422


@pytest.mark.parametrize("format", FORMATS)
def test_exports_arrive_as_files(format: str) -> None:
    look = {"attributes": {"hat": {"hat-a": 0.5}}}
    answer = call("GET", f"{URL}/export", params={"format": format, "look": json.dumps(look)})
    assert answer.status_code == 200
    asked, got = json.loads(answer.content)
    assert asked == format and got["attributes"] == {"hat": {"hat-a": 0.5}}
    assert answer.headers["content-disposition"].startswith('attachment; filename="me.')


def test_bad_exports_are_explained() -> None:
    assert call("GET", f"{URL}/export", params={"format": "obj"}).status_code == 422
    for look in ("{", '{"wear": 1}', '{"attributes": {"wig": {}}}', "[" * 3000):
        assert call("GET", f"{URL}/export", params={"look": look}).status_code == 422
    assert call("GET", "/v1/avatars/you/export").status_code == 404


def test_mixtures_of_looks_end_at_their_ends() -> None:
    a = Appearance(attributes={Category.HAT: {"x": 1.0}}, expression={"smile": 0.5})
    b = Appearance(attributes={Category.HAT: {"y": 1.0}}, pose={"jaw": (0.4, 0, 0)})
    assert between(a, b, 0).attributes[Category.HAT] == {"x": 1.0, "y": 0.0}
    halfway = between(a, b, 0.5)
    assert halfway.attributes[Category.HAT] == {"x": 0.5, "y": 0.5}
    assert halfway.expression == {"smile": 0.25} and halfway.pose["jaw"][0] == pytest.approx(0.2)


def test_mixtures_of_descriptions_keep_both() -> None:
    a = Appearance(attributes={Category.HAT: Description(text="a red cap")})
    b = Appearance(attributes={Category.HAT: {"y": 1.0}})
    assert between(a, b, 0.25).attributes[Category.HAT] == [Description(text="a red cap", weight=0.75), {"y": 0.25}]


def test_the_documentation_needs_no_network_and_no_script() -> None:
    page = call("GET", "/docs")
    assert page.status_code == 200 and "/v1/avatars/{avatar}/animate" in page.text and "yaw_deg" in page.text
    assert "<script" not in page.text and "http://" not in page.text and "https://" not in page.text
    assert "white afro" in page.text  # examples


def test_a_real_avatar_behind_it(head_model, tiny_clips, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from synthetic_avatar import synthetic_avatar

    from perse.avatar import save_avatar
    from perse.export import read_splats
    from perse_ray.serving.library.avatar_cache import AvatarCache
    from perse_ray.serving.library.service import LocalAvatars
    from perse_ray.serving.library.sources import find_places

    avatar = synthetic_avatar(head_model, tiny_clips)
    save_avatar(avatar, tmp_path / "me" / "avatar")
    library: Any = LocalAvatars(AvatarCache(find_places([str(tmp_path / "me")]), memory_mib=100))
    hat = next(s.key for s in avatar.subjects if s.category is Category.HAT)
    clear = call("POST", f"{URL}/render", library, json={"background": None, "width": 48, "height": 48})
    alpha = decode_image(clear.content)[..., 3]
    assert alpha.min() == 0 and alpha.max() > 250
    end = {"attributes": {"hat": {hat: 1}}}
    body = {"motion": {"kind": "between", "end": end, "seconds": 0.3, "fps": 10}, "width": 48, "height": 48}
    assert len(levels(call("POST", f"{URL}/animate", library, json=body).content)) == 3
    answer = call("GET", f"{URL}/export", library, params={"look": json.dumps(end)})
    (tmp_path / "me.ply").write_bytes(answer.content)
    assert len(read_splats(tmp_path / "me.ply")) > 500
    assert verify_file(tmp_path / "me.ply").provenance.edits[0].subject == hat
    wrong = call("GET", f"{URL}/export", library, params={"look": '{"attributes": {"hat": {"crown": 1}}}'})
    assert wrong.status_code == 422 and "crown" in wrong.json()["detail"]

"""The live viewer in a real browser with the network cut: what a person does, and what they then see."""

from __future__ import annotations

import base64
import io
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from headless_chromium import axe_findings
from PIL import Image
from synthetic_avatar import synthetic_avatar

from perse.avatar import save_avatar
from perse.avatar.storage import DESCRIPTION_FILE, TENSORS_FILE
from perse.data.motion_file import Motion, write_motion
from perse.data.workspace import Workspace
from perse.export import read_splats, verify_file
from perse.training import Checkpoint, save_checkpoint
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.training_source import FollowedWorkspace
from perse_ray.serving.local_viewer import viewer_app
from perse_ray.serving.protection import Tokens

WIDE, PHONE = {"width": 900, "height": 560}, {"width": 390, "height": 700}
TOKEN = "a-token-of-these-tests"
HAT = '[data-category="hat"] '


@dataclass(frozen=True)
class Served:
    """A viewer that runs in this process."""

    address: str
    cache: AvatarCache
    workspace: Workspace
    server: uvicorn.Server

    def break_lines(self) -> None:
        """What a network does."""
        for connection in list(self.server.server_state.connections):
            connection.loop.call_soon_threadsafe(connection.transport.abort)


@pytest.fixture(scope="module")
def served(head_model, tiny_clips, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:  # type: ignore[no-untyped-def]
    workspace = Workspace.open(tmp_path_factory.mktemp("page") / "me")
    _checkpoint(workspace, synthetic_avatar(head_model, tiny_clips), 200)
    cache = AvatarCache({"me": FollowedWorkspace(workspace)}, memory_mib=1000)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(viewer_app(cache, Tokens.of([TOKEN])), log_level="error", ws_per_message_deflate=False)
    )
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}/view", cache, workspace, server)
    server.should_exit = True
    thread.join(10)


def _checkpoint(workspace: Workspace, avatar: Any, step: int) -> None:
    folder = workspace.path / "avatar-of-a-checkpoint"
    save_avatar(avatar, folder)
    files = {name: (folder / name).read_bytes() for name in (TENSORS_FILE, DESCRIPTION_FILE)}
    save_checkpoint(workspace.path / "checkpoints" / "train", Checkpoint(step, files))
    shutil.rmtree(folder)


class Viewer:
    """A page that is open."""

    def __init__(self, browser: Any, served: Served, hash: str = "", size: Any = None, dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.context = browser.new_context(
            viewport=size or WIDE, reduced_motion="reduce", accept_downloads=True, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._local_only)
        self.page.goto(f"{served.address}?token={TOKEN}{hash}")
        self.until("Number(document.body.dataset.drawn) > 0")

    def _local_only(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.problems.append(request.url)

    def until(self, condition: str) -> None:
        """Wait for a condition; Playwright's own waiting evaluates strings, which the page's policy forbids."""
        for _ in range(400):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {condition}; problems: {self.problems}")

    def settled(self) -> np.ndarray:
        """The canvas, on white, once all that was asked for is drawn in full sharpness."""
        self.page.wait_for_timeout(50)
        self.until("document.querySelector('#view').ariaBusy === 'false'")
        data = self.page.evaluate("document.querySelector('#view').toDataURL()")
        drawn = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
        return np.array(Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")).astype(
            float
        )

    def set(self, selector: str, value: float) -> None:
        """Move a slider as a hand does: it says that it moves."""
        self.page.eval_on_selector(
            selector, "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})) }", value
        )

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def viewer(browser: Any, served: Served) -> Iterator[Viewer]:
    viewer = Viewer(browser, served)
    yield viewer
    viewer.close()
    assert viewer.problems == []


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def test_a_head_s_shoulders_fade_from_the_side_and_a_body_s_legs_do_not(viewer: Viewer) -> None:
    reaches = viewer.page.evaluate(
        """async () => {
          const { Picture } = await import("/view/picture.js");
          const view = { yaw: 1, pitch: 0, zoom: 1, panX: 0, panY: 0 };
          const picture = new Picture(document.createElement("canvas"), { view, compare: "off", changed() {} });
          picture.stage.draw = () => {};
          const reach = (joints) => { picture.meet({ joints }); picture.paint(); return picture.stage.reach; };
          return [reach(["neck", "jaw"]), reach(["pelvis", "neck", "jaw"])];
        }"""
    )
    assert reaches[0] < 0.2 and reaches[1] > 10


def test_an_edit_slider_changes_the_picture_and_comes_back(viewer: Viewer) -> None:
    before = viewer.settled()
    viewer.set(HAT + "input[type=range]", 1)
    worn = viewer.settled()
    assert difference(worn, before) > 1
    assert "100 %" in viewer.page.inner_text("#active")
    viewer.page.dblclick(HAT + "input[type=range]")
    assert difference(viewer.settled(), before) < 0.05
    assert "As photographed" in viewer.page.inner_text("#active")


def test_a_picture_is_walked_to_and_a_link_shows_the_same(viewer: Viewer, browser: Any, served: Served) -> None:
    viewer.page.click(HAT + ".thumb:nth-child(2)")
    viewer.page.click("#tab-face")
    viewer.set("#head .slider:first-child input", 20)
    here = viewer.settled()
    viewer.until("location.hash.includes('hat=') && location.hash.includes('p.jaw=')")
    other = Viewer(browser, served, viewer.page.evaluate("location.hash"))
    assert difference(other.settled(), here) < 0.05
    assert other.page.get_attribute(HAT + ".thumb:nth-child(2)", "aria-pressed") == "true"
    other.close()


def test_it_turns_with_the_mouse_and_a_double_click_turns_it_back(viewer: Viewer) -> None:
    before = viewer.settled()
    viewer.page.mouse.move(250, 200)
    viewer.page.mouse.down()
    viewer.page.mouse.move(330, 190, steps=5)
    viewer.page.mouse.up()
    turned = viewer.settled()
    assert difference(turned, before) > 2
    viewer.page.mouse.wheel(0, -300)
    assert difference(viewer.settled(), turned) > 2
    viewer.page.mouse.dblclick(250, 200)
    assert difference(viewer.settled(), before) < 0.05


def test_everything_can_be_reached_with_the_keyboard(viewer: Viewer) -> None:
    before = viewer.settled()
    viewer.page.focus("#tab-edits")
    viewer.page.keyboard.press("ArrowRight")
    assert viewer.page.evaluate("document.activeElement.id") == "tab-face" and viewer.page.is_visible("#face")
    viewer.page.focus("#view")
    for _ in range(4):
        viewer.page.keyboard.press("ArrowLeft")
    assert difference(viewer.settled(), before) > 2
    viewer.page.keyboard.press("0")
    assert difference(viewer.settled(), before) < 0.05
    unnamed = """[...document.querySelectorAll('button, input, select, [role=tab]')].filter(e => !(
        e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim())).map(e => e.outerHTML)"""
    assert viewer.page.evaluate(unnamed) == []


def test_the_motion_plays_pauses_and_rests(viewer: Viewer) -> None:
    viewer.until("document.querySelectorAll('#motions input').length === 1")
    before = viewer.settled()
    viewer.page.click("#tab-motion")
    viewer.page.click("#play")
    viewer.until("Number(document.getElementById('time').value) > 0.1")
    viewer.page.click("#play")
    held = viewer.settled()
    assert difference(held, before) > 0.5
    viewer.page.click("#rest")
    assert difference(viewer.settled(), before) < 0.05


def test_a_recorded_motion_drives_it(viewer: Viewer, tmp_path: Path) -> None:
    turns = np.tile(np.array([0, 0.6, 0], np.float32), (40, 1))
    write_motion(tmp_path / "turned.json", Motion(20.0, {}, {"neck": turns}))
    before = viewer.settled()
    viewer.page.set_input_files("#file", tmp_path / "turned.json")
    viewer.until("document.querySelector('#motions').textContent.includes('turned.json')")
    viewer.page.keyboard.press(" ")
    assert difference(viewer.settled(), before) > 2
    (tmp_path / "broken.json").write_text("{}")
    viewer.page.set_input_files("#file", tmp_path / "broken.json")
    viewer.until("document.querySelector('#notice').textContent.includes('perse-motion')")


def test_side_by_side_shows_the_photographed_person_unedited(viewer: Viewer) -> None:
    viewer.page.click("#quick-compare")
    before = viewer.settled()
    viewer.page.click(HAT + ".thumb:nth-child(2)")
    after = viewer.settled()
    half = before.shape[1] // 2
    assert difference(after[40:, :half], before[40:, :half]) < 0.05
    assert difference(after[40:, half:], before[40:, half:]) > 1
    assert viewer.page.is_visible("text=as photographed >> nth=0")


def test_several_are_mixed_and_make_room_for_each_other(viewer: Viewer) -> None:
    viewer.page.click(HAT + ".quiet")
    viewer.set(HAT + ".mixer .slider:nth-child(1) input", 0.8)
    viewer.until("location.hash.includes('*0.8')")
    assert "80 %" in viewer.page.inner_text("#active")
    viewer.page.click(HAT + ".quiet")
    assert viewer.page.input_value(HAT + "input[type=range]") == "0.8"


def test_a_walk_leaves_the_end_where_one_was_as_the_other_end(browser: Any, served: Served) -> None:
    viewer = Viewer(browser, served)
    ends = HAT + ".ends"
    viewer.page.click(HAT + ".thumb:nth-child(2)")
    assert viewer.page.inner_text(ends).split("\n") == ["as photographed", "a prompt"]
    viewer.page.click(HAT + ".thumb:nth-child(1)")
    assert viewer.page.inner_text(ends).split("\n") == ["a prompt", "as photographed"]
    assert viewer.page.input_value(HAT + "input[type=range]") == "1" and "photographed" in viewer.page.inner_text(
        "#active"
    )
    viewer.set(HAT + "input[type=range]", 0.25)
    assert "75 %" in viewer.page.inner_text("#active")
    viewer.close()


def test_words_make_a_look_or_say_why_not(viewer: Viewer) -> None:
    viewer.page.fill("#words-text", "something nice")
    viewer.page.click("#words-button")
    viewer.until("document.querySelector('#words-says').textContent.includes('names none of beard')")
    crown = {"id": "x", "text": "A person wearing a crown", "share": 0.9}
    answer = [
        {"category": "hat", "text": "a hat", "nearest": [crown], "not_learned": ["red"], "none": False},
        {"category": "nose", "text": "a long nose", "nearest": [], "not_learned": ["long"], "none": False},
        {"category": "hair", "text": "no hair", "nearest": [], "not_learned": [], "none": True},
    ]
    viewer.page.route("**/describe", lambda route: route.fulfill(json=answer))
    viewer.page.click(HAT + ".thumb:nth-child(2)")
    viewer.page.fill("#words-text", "a hat")
    viewer.page.press("#words-text", "Enter")
    viewer.until("document.querySelector('#words-says').textContent.includes('90 % crown')")
    said = viewer.page.inner_text("#words-says")
    assert "“red”: no hat that it has learned is so" in said and "has learned no nose" in said
    assert "“no hair”: as photographed" in said
    assert "“a hat”" in viewer.page.inner_text("#active") and "%" not in viewer.page.inner_text("#active")
    viewer.until("location.hash.includes('d.hat=a%20hat')")
    assert "d.nose" not in viewer.page.url, "what was never learned cannot be worn"
    viewer.page.click("#active [aria-label='Take off a hat, in words']")
    assert "As photographed" in viewer.page.inner_text("#active")
    viewer.problems.clear()  # the browser notes that a request was refused


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(browser: Any, served: Served, dark: bool) -> None:
    for size in (WIDE, PHONE):
        viewer = Viewer(browser, served, size=size, dark=dark)
        # The name of a finished state is grey on grey, that of a training one is not.
        viewer.page.evaluate("document.querySelector('#version').dataset.live = 'false'")
        viewer.page.fill("#words-text", "something nice")
        viewer.page.press("#words-text", "Enter")
        viewer.until("document.querySelector('#words-says').textContent.includes('names none of beard')")
        for tab in ("edits", "face", "motion", "look", "export"):
            viewer.page.click(f"#tab-{tab}")
            assert axe_findings(viewer.page) == [], f"{tab} on {size['width']} px"
            assert viewer.page.evaluate("document.documentElement.scrollWidth") <= size["width"], tab
        viewer.close()


def test_snapshots_and_exports_say_what_they_are(viewer: Viewer, tmp_path: Path) -> None:
    viewer.page.click(HAT + ".thumb:nth-child(2)")
    viewer.settled()
    viewer.page.click("#tab-export")
    for button, name in (("#snapshot", "me.png"), ("#download", "me.ply")):
        with viewer.page.expect_download() as download:
            viewer.page.click(button)
        download.value.save_as(tmp_path / name)
        found = verify_file(tmp_path / name)
        assert found.provenance is not None and [edit.category for edit in found.provenance.edits] == ["hat"]
    assert Image.open(tmp_path / "me.png").size == (1024, 1024)
    assert len(read_splats(tmp_path / "me.ply")) > 500


def test_it_follows_the_training(browser: Any, served: Served) -> None:
    viewer = Viewer(browser, served)
    assert viewer.page.inner_text("#version") == "training, step 200"
    before = viewer.settled()
    avatar = served.cache.avatar("me").avatar
    with torch.no_grad():
        painted = {**avatar.state_dict(), "decoder.base": avatar.state_dict()["decoder.base"].clone()}
        painted["decoder.base"][:, 11:] += torch.tensor([3.0, -3.0, -3.0])
    original = avatar.state_dict()
    avatar.load_state_dict(painted)
    _checkpoint(served.workspace, avatar, 400)
    avatar.load_state_dict(original)
    assert served.cache.refresh() == ["me"]
    viewer.until("document.querySelector('#version').textContent === 'training, step 400'")
    now = viewer.settled()
    assert difference(now, before) > 2 and now[..., 0].mean() > now[..., 1].mean()
    viewer.close()
    assert viewer.problems == []


def test_strangers_see_a_door(browser: Any, served: Served) -> None:
    page = browser.new_page()
    assert page.goto(served.address).status == 401 and page.query_selector("#view") is None
    page.close()


def test_it_fits_a_phone(browser: Any, served: Served) -> None:
    viewer = Viewer(browser, served, size=PHONE)
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for tab in ("face", "motion", "look", "export", "edits"):
        viewer.page.click(f"#tab-{tab}")
        wide = "e => e.scrollWidth <= e.clientWidth + 1"
        assert viewer.page.eval_on_selector(f"#{tab}", wide)
    viewer.close()
    assert viewer.problems == []


def test_targets_are_large_enough_for_fingers(browser: Any, served: Served) -> None:
    """WCAG 2.2, 2.5.8: 24 px at least. A box in a label is as large as the label."""
    for size in (WIDE, PHONE):
        viewer = Viewer(browser, served, size=size)
        viewer.page.click(HAT + ".thumb:nth-child(2)")
        small = """[...document.querySelectorAll('button, select, summary, input, [role=tab]')]
            .map((e) => (['checkbox', 'radio', 'file'].includes(e.type) && e.closest('label')) || e)
            .filter((e) => e.checkVisibility()).map((e) => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
            .filter(([, box]) => box.width < 24 || box.height < 24)"""
        for tab in ("face", "motion", "look", "export", "edits"):
            viewer.page.click(f"#tab-{tab}")
            assert viewer.page.evaluate(small) == [], tab
        viewer.close()


def test_it_comes_back_when_the_line_breaks(browser: Any, served: Served) -> None:
    viewer = Viewer(browser, served)
    before = viewer.settled()
    served.break_lines()
    viewer.until("document.querySelector('#notice').textContent.includes('does not answer')")
    viewer.page.click(HAT + ".thumb:nth-child(2)")
    viewer.until("document.body.dataset.line === 'up'")
    assert difference(viewer.settled(), before) > 1
    viewer.close()

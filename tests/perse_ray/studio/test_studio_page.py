"""The studio in a real browser with the network cut: what a person does from the photograph to the avatar."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from headless_chromium import axe_findings
from studio_harness import HeldBuilder, copy_of, ready, until
from synthetic_avatar import synthetic_avatar

from perse.avatar import save_avatar
from perse.avatar.storage import DESCRIPTION_FILE, TENSORS_FILE
from perse.training import Checkpoint, save_checkpoint
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.protection import Tokens
from perse_ray.studio.server import studio_app
from perse_ray.studio.studio import Studio

TOKEN = "a-token-of-these-tests"
WIDE, PHONE = {"width": 1000, "height": 760}, {"width": 390, "height": 760}


@dataclass
class Served:
    """A studio that runs in this process."""

    address: str
    studio: Studio
    builder: HeldBuilder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    builder = HeldBuilder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perse_ray.studio.builds.LOOK_EVERY_S", 0.05)
        studio = Studio(tmp_path_factory.mktemp("studio") / "runs", builder)
        cache = AvatarCache(studio.places, memory_mib=500)
        listening = socket.create_server(("127.0.0.1", 0))
        app = studio_app(studio, cache, Tokens.of([TOKEN]))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws_per_message_deflate=False))
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}/studio", studio, builder)
        server.should_exit = True
        thread.join(10)
        studio.close()


@pytest.fixture(scope="module")
def looked(served: Served, photograph: bytes) -> str:
    """A project that is ready to be built."""
    return ready(served.studio, "Looked at", photograph, "red beanie", "black top hat")


@pytest.fixture(scope="module")
def portrait_file(photograph: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photograph") / "me.jpg"
    path.write_bytes(photograph)
    return path


class Page:
    """The studio in a window."""

    def __init__(self, browser: Any, served: Served, hash: str = "", size: Any = None, dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.context = browser.new_context(viewport=size or WIDE, reduced_motion="reduce", color_scheme=scheme)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._local_only)
        self.page.goto(f"{served.address}?token={TOKEN}{hash}")

    def _local_only(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.problems.append(request.url)

    def until(self, condition: str, times: int = 1600) -> None:
        """Wait for a condition; Playwright's own waiting evaluates strings, which the page's policy forbids."""
        for _ in range(times):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {condition}; problems: {self.problems}")

    def seen(self, selector: str) -> None:
        """Wait until something is there to be seen."""
        self.until(f"Boolean(document.querySelector({json.dumps(selector)})?.checkVisibility())")

    def says(self, selector: str, words: str) -> None:
        self.until(f"document.querySelector({json.dumps(selector)})?.textContent.includes({json.dumps(words)})")

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def window(browser: Any, served: Served) -> Iterator[Page]:
    page = Page(browser, served)
    yield page
    page.close()
    assert page.problems == []


def give_avatar(served: Served, project: str, head_model: Any, tiny_clips: Any) -> None:
    """A first checkpoint, as a training leaves one."""
    folder = served.studio.projects.runs / project
    save_avatar(synthetic_avatar(head_model, tiny_clips), folder / "made")
    files = {name: (folder / "made" / name).read_bytes() for name in (TENSORS_FILE, DESCRIPTION_FILE)}
    save_checkpoint(folder / "checkpoints" / "train", Checkpoint(200, files))


def test_from_a_photograph_to_an_avatar(
    window: Page, served: Served, portrait_file: Path, head_model: Any, tiny_clips: Any
) -> None:
    page, builder = window.page, served.builder
    page.fill("#start-name", "Eileen Collins")
    page.set_input_files("#start-file", portrait_file)
    window.seen("#brush")
    assert page.url.endswith("#eileen-collins/check")
    assert page.input_value("#start-name") == "", "the next photograph is of somebody else"
    window.says("#fit", "fits well")
    window.says("#fit", "hair")
    window.says("#brush-help", "Glasses have no colour")
    paint(window)
    page.click("#check-next")
    window.seen("#consent-form")
    assert page.input_value("#consent-who") == "Eileen Collins"
    page.fill("#consent-purpose", "a test")
    page.check("#consent-agree")
    page.click("#consent-form [type=submit]")
    window.seen("#categories")
    wish(window, "hat", "a red sombrero", "Cannot be expressed: sombrero", "a red beanie")
    wish(window, "hat", "black top", "Understood as", "a black top hat with a red band")
    page.check("#recipes input[value=tiny]")
    window.until("document.querySelector('#looks-sum').textContent.startsWith('2 looks')")
    page.click("#build")
    window.says("#whole-says", "to go")
    build = max(builder.alive)
    builder.say(build, "track: done in 5 s", "edits: 1/3, 3 s to go")
    window.says("#stages", "Making and filming the edits (1 of 3)")
    give_avatar(served, "eileen-collins", head_model, tiny_clips)
    window.until("Number(document.querySelector('#turning-view').dataset.drawn) > 0")
    window.says("#turning-says", "training, step 200")
    page.reload()
    window.says("#stages", "Making and filming the edits (1 of 3)")
    builder.finish(build)
    window.seen("#open-viewer")
    window.until("Number(document.querySelector('#avatar-view').dataset.drawn) > 0")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "eileen-collins.ply"


def paint(window: Page) -> None:
    """A stroke with the mouse and a dab with the keyboard; both are kept, and both can be taken back."""
    page = window.page
    window.until("document.querySelector('#brush').width === 512")
    box = page.locator("#brush").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 30, steps=3)
    page.mouse.up()
    window.says("#brush-status", "are kept")
    page.click("#brush-undo")
    window.says("#brush-status", "as they were found")
    page.focus("#brush")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    window.says("#brush-status", "are kept")


def wish(window: Page, category: str, text: str, says: str, expected: str) -> None:
    """Type a wish, read what is said of it, and choose with the keyboard alone."""
    field = window.page.locator(f".category:has(h3:text-is('{category}')) [role=combobox]")
    field.fill(text)
    window.until(f"[...document.querySelectorAll('.says')].some((e) => e.textContent.includes({json.dumps(says)}))")
    window.until("[...document.querySelectorAll('[role=option]')].some((e) => e.checkVisibility())")
    field.press("ArrowDown")
    assert field.get_attribute("aria-activedescendant")
    field.press("Enter")
    window.until(
        f"[...document.querySelectorAll('.chips li')].some((e) => e.textContent.startsWith({json.dumps(expected)}))"
    )


def test_a_broken_picture_is_explained(window: Page, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam")
    window.seen("#start")
    window.page.set_input_files("#start-file", tmp_path / "letter.jpg")
    window.says("#notice", "is not a PNG, JPEG, WebP or AVIF picture")
    window.problems.clear()  # the browser notes that a request was refused
    assert window.page.is_visible("#start")


def test_a_photograph_that_nobody_took_is_told_until_it_is_sent(window: Page, portrait_file: Path) -> None:
    window.seen("#start")
    window.page.route("**/v1/studio/**", lambda route: route.abort())
    window.page.set_input_files("#start-file", portrait_file)
    window.says("#notice", "this was not done")
    window.page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
    window.says("#notice", "Trying again")
    window.page.unroute("**/v1/studio/**")
    window.until("document.querySelector('#notice').hidden")
    window.problems.clear()  # the browser notes that nobody answered


def test_a_machine_that_is_too_busy_to_answer_is_asked_again(window: Page, served: Served, looked: str) -> None:
    page = window.page
    late = {"status": 504, "json": {"detail": "no answer within 60 seconds; try again"}}
    page.route("**/v1/studio", lambda route: route.fulfill(**late))
    page.reload()
    window.says("#notice", "Trying again")
    assert page.is_visible("#loading")
    page.unroute("**/v1/studio")
    window.seen("#start")
    window.until("document.querySelector('#notice').hidden")
    assert not page.is_visible("#loading")
    page.route("**/v1/studio/projects", lambda route: route.fulfill(**late))
    page.evaluate(f"location.hash = '#{looked}/check'")
    window.says("#notice", "Trying again")
    assert page.is_visible("#loading")
    page.unroute("**/v1/studio/projects")
    window.seen("#brush")
    window.until("document.querySelector('#notice').hidden")
    window.problems.clear()  # the browser notes that it was answered too late


def test_two_tabs_show_one_truth_and_a_stranger_sees_a_door(
    window: Page, browser: Any, served: Served, looked: str
) -> None:
    key = copy_of(served.studio, looked, "both")
    window.page.evaluate(f"location.hash = '#{key}/looks'")
    window.until("document.querySelectorAll('.chips li').length === 2")
    other = Page(browser, served, f"#{key}/looks")
    other.until("document.querySelectorAll('.chips li').length === 2")
    other.page.click(".chips li:first-child button")
    window.until("document.querySelectorAll('.chips li').length === 1")
    window.page.click("#build")
    other.says("#phase", "building")
    assert other.page.is_disabled("#build")
    other.page.evaluate(f"location.hash = '#{key}/build'")
    other.page.click("#cancel")
    window.says("#phase", "stopped")
    window.seen("#resume")
    other.close()
    stranger = browser.new_page()
    assert stranger.goto(served.address).status == 401 and stranger.query_selector("#content") is None
    stranger.close()
    assert other.problems == []


def test_everything_can_be_deleted_after_a_question(
    window: Page, served: Served, astronaut: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perse.data.images import encode_image

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    key = served.studio.create("Wall", encode_image(astronaut[:60, :60])).id
    until(lambda: served.studio.show(key).phase != "looking")
    window.page.evaluate(f"location.hash = '#{key}'")
    window.says("#found-error", "no face was found")
    window.says("#check-title", "cannot be used")
    window.page.click("#check-other")
    window.seen("#start")
    window.page.go_back()
    window.seen("#found-error")
    window.page.click("#forget")
    window.page.click("#forget-dialog [value=no]")
    assert served.studio.show(key).phase == "draft"
    window.page.click("#forget")
    window.page.click("#forget-dialog [value=yes]")
    window.says("#status", "Deleted")
    window.says("#gone", "Deleted")
    assert window.page.is_visible("#gone")
    assert key not in served.studio.projects.ids() and window.page.is_visible("#start")


def test_the_only_face_that_was_found_may_be_somebody_else(window: Page, served: Served, looked: str) -> None:
    window.page.evaluate(f"location.hash = '#{looked}/check'")
    window.seen("#not-me")
    assert not window.page.is_visible("#check-other")
    window.page.click("#not-me")
    window.seen("#check-other")
    window.says("#faces-question", "If it is not yours")
    window.page.click("#check-other")
    window.seen("#start")


def test_the_brush_leaves_no_ring_behind(window: Page, served: Served, looked: str) -> None:
    window.page.evaluate(f"location.hash = '#{looked}/check'")
    window.until("document.querySelector('#brush').width === 512")
    picture = "document.querySelector('#brush').toDataURL()"
    before, box = window.page.evaluate(picture), window.page.locator("#brush").bounding_box()
    window.page.mouse.move(box["x"] + 50, box["y"] + 50)
    assert window.page.evaluate(picture) != before
    window.page.mouse.move(5, 5)
    assert window.page.evaluate(picture) == before


def test_a_deletion_that_takes_its_time_is_told_meanwhile(
    window: Page, served: Served, astronaut: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perse.data.images import encode_image

    free = threading.Event()

    def slow(workspaces: Any) -> Any:
        shutil.rmtree(served.studio.projects.runs / key)
        free.wait(60)
        return SimpleNamespace(files=3, size=2**20, models=(), left=(), problems=())

    monkeypatch.setattr("perse_ray.build.forget.forget", slow)
    key = served.studio.create("Slow", encode_image(astronaut[:60, :60])).id
    until(lambda: served.studio.show(key).phase != "looking")
    window.page.evaluate(f"location.hash = '#{key}'")
    window.says("#project-name", "Slow")
    window.page.click("#forget")
    window.page.click("#forget-dialog [value=yes]")
    window.says("#gone", "Slow is being deleted")
    assert window.page.is_visible("#gone")
    free.set()
    window.says("#gone", "Deleted: 3 files")


def test_every_deletion_is_told_however_many_there_were(
    window: Page, served: Served, astronaut: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perse.data.images import encode_image

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("perse_ray.studio.removal.KEPT", 1)
    for name in ("first", "second"):
        key = served.studio.create(name, encode_image(astronaut[:60, :60])).id
        until(lambda key=key: served.studio.show(key).phase != "looking")
        window.page.evaluate(f"location.hash = '#{key}'")
        window.says("#project-name", name)
        window.page.click("#forget")
        window.page.click("#forget-dialog [value=yes]")
        # What was told of the last one is hidden while this one's page is open.
        told = "(gone => !gone.hidden && gone.textContent.startsWith('Deleted:'))"
        window.until(f"{told}(document.querySelector('#gone'))")
        assert key not in served.studio.projects.ids()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(
    browser: Any, served: Served, looked: str, dark: bool, head_model: Any, tiny_clips: Any
) -> None:
    if not served.studio.show(looked).avatar:
        give_avatar(served, looked, head_model, tiny_clips)
    for size in (WIDE, PHONE):
        window = Page(browser, served, size=size, dark=dark)
        for step in ("new", *(f"{looked}/{step}" for step in ("check", "consent", "looks", "build", "avatar"))):
            window.page.evaluate(f"location.hash = '#{step}'")
            window.seen("#start" if step == "new" else f"#step-{step.partition('/')[2]}")
            assert axe_findings(window.page) == [], f"{step} on {size['width']} px"
            assert window.page.evaluate("document.documentElement.scrollWidth") <= size["width"], step
        window.close()
        assert window.problems == []

"""The viewer's camera in a real browser, with Chromium's made-up camera: what a person does, and what they are told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from headless_chromium import axe_findings, headless_chromium
from numpy.typing import NDArray

from perse.data.motion_file import Motion, parse_motion
from perse.data.workspace import Workspace
from perse.tracking.live import LiveFrame, Seen
from perse_ray.serving.http.app import create_app
from perse_ray.serving.library.avatar_cache import AvatarCache
from perse_ray.serving.library.service import LocalAvatars
from perse_ray.serving.library.sources import WorkspacePlace
from perse_ray.serving.schema.requests import Appearance
from perse_ray.serving.viewer.socket import Splats

CAMERA = "document.body.dataset.camera"


class Nodding:
    """Sees a face in everything: at rest until it is let go, then a head that nods with time."""

    let_go = threading.Event()

    def see(self, image: NDArray[np.uint8], time_s: float) -> LiveFrame:
        assert min(image.shape[:2]) == 192
        if not self.let_go.is_set():
            return LiveFrame(Seen.RESTING, 0.5)
        nod = np.array([[0.2 * np.sin(4 * time_s), 0, 0]], np.float32)
        return LiveFrame(Seen.FACE, 1.0, Motion(30.0, {"jawOpen": np.array([0.3], np.float32)}, {"neck": nod}))

    def rest_again(self) -> None:
        self.let_go.clear()

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def address(workspace: Path) -> Iterator[str]:
    cache = AvatarCache({"me": WorkspacePlace(Workspace(str(workspace)))}, memory_mib=1000)
    Splats(Appearance(), "avatar", 0)(cache.avatar("me"))  # kernels may have to be compiled: pages wait ten seconds
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(LocalAvatars(cache), None, Nodding)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws_per_message_deflate=False))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/view"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser_with_a_camera() -> Iterator[Any]:
    with headless_chromium("--use-fake-device-for-media-stream") as running:
        yield running


def opened(context: Any, address: str) -> Any:
    page = context.new_page()
    page.set_default_timeout(120_000)  # beside the rest of the suite a browser without a GPU draws seconds a picture
    page.goto(address)
    until(page, "Number(document.body.dataset.drawn) > 0 && !document.querySelector('#camera').hidden")
    page.click("#tab-motion")
    return page


def until(page: Any, condition: str) -> None:
    for _ in range(4000):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    said = page.evaluate("[{ ...document.body.dataset }, document.querySelector('#notice').textContent]")
    raise AssertionError(f"never came true: {condition}; the page says {said}")


def test_a_face_drives_the_avatar_and_is_recorded(browser_with_a_camera: Any, address: str) -> None:
    context = browser_with_a_camera.new_context(permissions=["camera"], accept_downloads=True)
    page = opened(context, address)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    updates = int(page.evaluate("document.body.dataset.updates"))
    Nodding.let_go.clear()
    page.click("#camera-use")
    until(page, f"{CAMERA}?.startsWith('Look straight')")
    Nodding.let_go.set()
    until(page, f"{CAMERA} === 'The avatar follows you.' && Number(document.body.dataset.updates) > {updates + 3}")
    assert float(page.evaluate("document.body.dataset.faceDelay")) > 0
    page.click("#camera-record")
    faces = int(page.evaluate("document.body.dataset.faces"))
    until(page, f"Number(document.body.dataset.faces) > {faces + 15}")
    with page.expect_download() as download:
        page.click("#camera-record")
    motion = parse_motion(Path(download.value.path()).read_bytes())
    assert motion.fps == 25 and len(motion) > 5
    assert set(motion.expressions) == {"jawOpen"} and np.ptp(motion.joints["neck"][:, 0]) > 0.01
    assert download.value.suggested_filename.endswith(".motion.json")
    page.click("#camera-rest")
    until(page, f"{CAMERA}?.startsWith('Look straight')")
    Nodding.let_go.set()

    other = opened(context, address)
    other.click("#camera-use")
    until(other, f'{CAMERA}?.startsWith("Another page\'s camera")')
    until(page, f"{CAMERA} === 'The avatar follows you.'")  # and this one is not disturbed

    page.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    until(page, f"{CAMERA}?.startsWith('Paused')")
    assert page.evaluate("document.querySelector('#camera-video').srcObject === null")
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    until(page, f"{CAMERA} === 'The avatar follows you.'")
    page.click("#camera-use")
    until(page, f"{CAMERA} === ''")
    assert page.inner_text("#camera-use") == "Use the camera" and not problems
    context.close()


def test_who_may_not_use_the_camera_is_told_what_to_do(browser_with_a_camera: Any, address: str) -> None:
    context = browser_with_a_camera.new_context()
    page = opened(context, address)
    page.click("#camera-use")
    until(page, f"{CAMERA}?.startsWith('The camera may not be used. Allow it')")
    assert page.get_attribute("#camera-use", "aria-pressed") == "false"
    page.evaluate(
        "{ navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError')); 0 }"
    )
    page.click("#camera-use")
    until(page, f"{CAMERA}?.startsWith('No camera was found')")
    context.close()


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(900, 700, "light"), (390, 760, "dark")], ids=["wide, light", "phone, dark"]
)
def test_the_camera_s_panel_is_for_everybody(
    browser_with_a_camera: Any, address: str, width: int, height: int, scheme: Any
) -> None:
    """axe-core finds nothing before, while and after the avatar follows; the keyboard is enough; nothing is cut."""
    context = browser_with_a_camera.new_context(
        permissions=["camera"], viewport={"width": width, "height": height}, color_scheme=scheme
    )
    page = opened(context, address)
    assert axe_findings(page) == []
    Nodding.let_go.set()
    press(page, "camera-use", "Enter")
    until(page, f"{CAMERA} === 'The avatar follows you.'")
    assert axe_findings(page) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "camera-rest"
    press(page, "camera-record", "Space")
    until(page, f"{CAMERA} === 'Recording…'")
    assert axe_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("camera-use", "camera-rest", "camera-record"):
        box = page.locator(f"#{name}").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] >= 24
    press(page, "camera-use", "Space")
    until(page, f"{CAMERA} === ''")
    context.close()


def press(page: Any, button: str, key: str) -> None:
    page.focus(f"#{button}")
    page.keyboard.press(key)

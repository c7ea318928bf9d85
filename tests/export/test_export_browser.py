"""The exported page in a real browser, network cut: it draws what our rasterizer draws, and follows the mouse."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perse.export import export_file, orbit
from perse.render import CpuRasterizer, rasterize

SIZE = 320


@pytest.fixture
def page(browser, scene, provenance, tmp_path: Path) -> Iterator[Any]:  # type: ignore[no-untyped-def]
    """The page, not yet opened; what goes wrong in it ends up in `page.problems`."""
    export_file(scene, tmp_path / "me.html", "html", provenance)
    context = browser.new_context(viewport={"width": SIZE, "height": SIZE}, offline=True)
    page = context.new_page()
    page.problems, page.address = [], (tmp_path / "me.html").as_uri()
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.problems.append(request.url) if request.url[:4] == "http" else None)
    yield page
    context.close()


def seen(page: Any, **view: float) -> np.ndarray:
    """Open the page with a view and take its canvas, without buttons and note."""
    page.goto("about:blank")
    page.goto(page.address + "#" + "&".join(f"{name}={value}" for name, value in {"frame": 0, **view}.items()))
    until(page, "Boolean(document.body.dataset.drawn)")
    page.add_style_tag(content="#bar, #note { visibility: hidden }")
    return picture(page)


def until(page: Any, condition: str) -> None:
    """Wait for a condition; Playwright's own waiting evaluates strings, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}; problems: {page.problems}")


def picture(page: Any) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(float)


def test_the_page_draws_what_we_draw(page, scene) -> None:  # type: ignore[no-untyped-def]
    camera = scene.camera.resized(SIZE, SIZE)
    for frame, yaw, pitch in ((0, 0.0, 0.0), (0, 0.7, -0.3), (3, -0.4, 0.2)):
        view = orbit(camera, scene.centre, yaw, pitch)
        drawn = rasterize(
            scene.still(frame), view, background=torch.ones(3), rasterizer=CpuRasterizer()
        ).colors.clamp(0, 1)  # fmt: skip
        error = seen(page, frame=frame, yaw=yaw, pitch=pitch) / 255 - drawn.numpy()
        foreground = (drawn.numpy() < 0.98).any(-1)
        assert -10 * np.log10((error[foreground] ** 2).mean()) > 40
    assert page.problems == []


def test_it_follows_the_mouse_and_comes_back(page) -> None:  # type: ignore[no-untyped-def]
    before = seen(page)
    drawn = page.evaluate("document.body.dataset.drawn")
    page.mouse.move(160, 160)
    page.mouse.down()
    page.mouse.move(220, 150, steps=4)
    page.mouse.up()
    until(page, f"Number(document.body.dataset.drawn) > {drawn}")
    turned = picture(page)
    assert np.abs(turned - before).mean() > 2
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(200)
    assert np.abs(picture(page) - turned).mean() > 2
    page.mouse.dblclick(160, 160)
    page.wait_for_timeout(200)
    assert np.abs(picture(page) - before).mean() < 0.1
    assert page.problems == []


def test_the_motion_plays_and_pauses(page) -> None:  # type: ignore[no-untyped-def]
    page.goto(page.address)
    until(page, "Number(document.getElementById('time').value) > 0")
    page.click("#play")
    page.wait_for_timeout(300)
    stopped = page.evaluate("document.getElementById('time').value")
    page.wait_for_timeout(500)
    assert page.evaluate("document.getElementById('time').value") == stopped
    assert page.inner_text("#note").startswith("Synthetic media")
    assert page.problems == []

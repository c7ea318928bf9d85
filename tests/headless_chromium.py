"""A headless Chromium that draws in software and knows no host but this machine, and what axe-core finds on a page."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def headless_chromium(*more: str) -> Iterator[Any]:
    """The running browser, with more arguments of its command line; the test is skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", *more,
            ],
        )  # fmt: skip
        yield running
        running.close()


def axe_findings(page: Any) -> list[tuple[str, list[str]]]:
    """Rules of axe-core that an open page breaks, each with where; the test is skipped where axe-core is not."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core is not here: pip install axe-playwright-python")
    page.evaluate((Path(found.origin).parent / "axe.min.js").read_text())
    result = page.evaluate("axe.run({ rules: { 'target-size': { enabled: true } } })")
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in result["violations"]]

"""Fixtures shared by all tests. Expensive ones are made once a session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from numpy.typing import NDArray


def checked_modules() -> list[str]:
    """Every module whose signatures give shapes, but those with kernels: numba compiles functions, not what is wrapped
    around them. In tests every call is held to the shapes; `test_shapes` shows it."""
    root = Path(__file__).parents[1]
    files = [file for package in ("perse", "perse_ray") for file in sorted((root / package).rglob("*.py"))]
    texts = {file: file.read_text() for file in files if file.name != "__init__.py"}
    plain = [
        file
        for file, text in texts.items()
        if re.search(r"^from (jaxtyping|perse\.shapes) import", text, re.MULTILINE)
        and not re.search(r"^@\w*kernel", text, re.MULTILINE)
    ]
    return [".".join(file.relative_to(root).with_suffix("").parts) for file in plain]


install_import_hook(checked_modules(), "shape_checker.checked")

# numba refuses a process whose environment changes this after its pool has started, as workers built in-process do.
os.environ.setdefault("NUMBA_NUM_THREADS", str(os.cpu_count() or 1))

# Said once, MKL keeps to the number; left alone it takes fewer on a busy machine, and sums round differently.
# Test processes side by side (`tests/side_by_side.sh`) share the CPUs.
TEST_PROCESSES = int(os.environ.get("PERSE_TEST_PROCESSES", "1"))
torch.set_num_threads(max(1, torch.get_num_threads() // TEST_PROCESSES))

ON_RAY = [Path(__file__).parent / name for name in ("jobs", "cluster", "packages", "perse_ray")]
"""Folders whose tests start Ray, or programs that do."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the files that need Ray: `make test` runs them in one process, so that one Ray runs at a time."""
    asking = {item.path for item in items if "ray_session" in getattr(item, "fixturenames", ())}
    for item in items:
        if item.path in asking or any(folder in item.path.parents for folder in ON_RAY):
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def head_model():  # type: ignore[no-untyped-def]
    """The embedded head, from its cache after the first call."""
    from perse.head.embedded import embedded_head

    return embedded_head()


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """The sample portrait, [512, 512, 3] uint8 (NASA, public domain)."""
    import skimage.data

    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def tracked_astronaut(head_model, astronaut):  # type: ignore[no-untyped-def]
    """The sample portrait after tracking: crop, landmarks, masks, head fit."""
    from perse.tracking import MediapipeTracker, MediapipeTrackerConfig

    return MediapipeTracker(MediapipeTrackerConfig(), head_model).track(astronaut)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """The one local Ray that all tests share: more logical CPUs than the machine has, no dashboard, little memory."""
    from perse_ray.runtime.session import LocalRay, ray_session

    fakes = str(Path(__file__).parent / "perse_ray")  # workers import the fakes by name
    os.environ["PYTHONPATH"] = os.pathsep.join([fakes, *filter(None, [os.environ.get("PYTHONPATH")])])
    with ray_session(LocalRay(num_cpus=8, object_store_mib=200)):
        yield


@pytest.fixture(scope="module")  # and no longer: Playwright's loop runs in this thread until it is closed
def browser() -> Iterator[Any]:
    """See `headless_chromium`."""
    from headless_chromium import headless_chromium

    with headless_chromium() as running:
        yield running


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    """No test depends on the ones before it through a random state."""
    torch.manual_seed(0)
    yield


@pytest.fixture(scope="session")
def tiny_clips(head_model):  # type: ignore[no-untyped-def]
    """Six synthetic subjects, 12 frames of 64², frame by frame with their categories (None: the reference)."""
    from synthetic_subjects import film, looks

    from perse.synthesis.motion import load_motion

    motion, frames = load_motion(head_model), np.arange(0, 480, 40)
    return [(film(head_model, look, motion, frames, 64), look.category) for look in looks(1)]


@pytest.fixture
def fake_paper(head_model, tiny_clips, monkeypatch) -> Iterator[Any]:  # type: ignore[no-untyped-def]
    """An avatar with the paper's networks and number of points, on a GPU that is not there. See `fake_cuda`."""
    from fake_cuda import POINTS, fake_cuda, is_there_already, on_fake_cuda
    from synthetic_avatar import synthetic_avatar

    from perse.avatar import Avatar, NetworksConfig

    avatar = synthetic_avatar(head_model, [*tiny_clips, tiny_clips[1]], decoder=NetworksConfig())
    monkeypatch.setattr(Avatar, "to", is_there_already)
    with fake_cuda():
        yield on_fake_cuda(avatar, POINTS)

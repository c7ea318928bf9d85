"""The studio on Ray Serve: the same page and routes behind a token, and builds that the cluster runs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from ray import serve
from studio_harness import until

from perse.data.photograph import read_photograph
from perse_ray.serving.protection import Tokens
from perse_ray.studio.project import Phase, Projects
from perse_ray.studio.ray_builder import RayBuilder
from perse_ray.studio.ray_serve import StudioArguments, application

TOKEN = "a-token-of-these-tests"
PATIENT = (
    "-c",
    "import signal, sys, time\n"
    "def stop(*_): print('cancelled', flush=True); sys.exit(1)\n"
    "signal.signal(signal.SIGINT, stop)\n"
    "print('begun', *sys.argv[1:], flush=True)\n"
    "time.sleep(600)",
)
"""A build that takes its time, and ends in good order when it is asked to."""
DEAF = (
    "-c",
    "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(600)",
)


def said(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def test_a_build_says_its_words_into_the_log_and_can_be_asked_to_end(ray_session: None, tmp_path: Path) -> None:
    builder, log = RayBuilder(0.1, PATIENT), tmp_path / "build.log"
    build = builder.start(["--recipe", "tiny"], log)
    assert builder.lives(build) and build < 2**53
    until(lambda: said(log) == "begun --recipe tiny\n")
    assert RayBuilder().lives(build)  # a studio that takes this one's place knows it too
    builder.interrupt(build)
    until(lambda: not builder.lives(build))
    assert said(log).endswith("cancelled\n")
    builder.interrupt(build)
    builder.kill(build)  # of one that has ended, neither does anything


def test_a_build_that_does_not_listen_is_killed(ray_session: None, tmp_path: Path) -> None:
    builder, log = RayBuilder(0.1, DEAF), tmp_path / "build.log"
    build = builder.start([], log)
    until(lambda: said(log) == "begun\n")
    builder.interrupt(build)
    builder.kill(build)
    until(lambda: not builder.lives(build))


def test_a_build_that_waits_for_room_can_be_cancelled(ray_session: None, tmp_path: Path) -> None:
    builder, log = RayBuilder(10_000.0, PATIENT), tmp_path / "build.log"
    build = builder.start([], log)
    assert builder.lives(build)
    builder.interrupt(build)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("perse_ray.studio.ray_builder.ANSWER_S", 0.2)
        builder.kill(build)
    until(lambda: not builder.lives(build))
    assert not log.exists()


def test_a_folder_that_other_nodes_would_not_see_is_refused() -> None:
    with pytest.raises(ValidationError, match="absolute path that all nodes share"):
        StudioArguments(runs="runs")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster") / "runs"


@pytest.fixture(scope="module")
def client(ray_session: None, runs: Path) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve.shutdown()  # one without HTTP, that a build left in the shared Ray
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    tokens = sorted(Tokens.of([TOKEN]).digests)
    arguments = StudioArguments(runs=str(runs), num_cpus=0.5, build_cpus=0.5, token_digests=tokens)
    serve.run(application(arguments), name="studio")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
        yield http
    serve.shutdown()


def test_the_page_is_there_for_who_has_a_token(client: httpx.Client) -> None:
    assert client.get("/studio").status_code == 401 and client.get("/v1/studio/projects").status_code == 401
    client.headers["authorization"] = f"Bearer {TOKEN}"
    page = client.get("/studio")
    assert page.status_code == 200 and "From a photograph" in page.text
    assert client.get("/studio/main.js").status_code == 200
    assert client.get("/v1/studio/projects").json() == {"projects": [], "removed": []}
    assert client.get("/v1/camera").json()["offered"] is False  # a face does not travel
    assert client.get("/v1/avatars").json() == []


def test_a_build_of_the_page_runs_on_the_cluster(client: httpx.Client, runs: Path) -> None:
    """Up to the middle of a real build, which is then cancelled."""
    client.headers["authorization"] = f"Bearer {TOKEN}"
    projects = Projects(runs)
    key = looked_at(projects)
    home = f"/v1/studio/projects/{key}"
    consent = {"who": "Eileen Collins", "purpose": "a test"}
    assert client.put(f"{home}/consent", json=consent).status_code == 200
    wishes = {"recipe": "tiny", "wishes": [{"category": "hat", "text": "red beanie"}]}
    assert client.put(f"{home}/wishes", json=wishes).status_code == 200
    assert client.post(f"{home}/build").status_code == 202
    until(lambda: "track" in said(projects.file(key, "build.log")), 300)
    assert client.get(home).json()["phase"] == "building"
    assert client.delete(f"{home}/build").status_code == 202
    until(lambda: client.get(home).json()["phase"] == "stopped", 300)
    assert client.get(home).json()["message"].startswith("cancelled")


def looked_at(projects: Projects) -> str:
    """A project as the studio leaves it after a look, which takes seconds."""
    from dataclasses import replace

    from perse_ray.studio.project import Found

    key = projects.create("Eileen", read_photograph(None)).id
    projects.change(key, lambda one: replace(one, phase=Phase.DRAFT, found=Found(size_px=512)))
    return key

"""The service on Ray Serve, over HTTP: what the ingress promises when renderers die."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from perse_client import AvatarClient, ServiceError, described
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle
from serving_fakes import Endless, ProcessId

from perse.avatar import load_avatar, save_avatar
from perse.data.images import decode_image
from perse_ray.serving.ray_serve.arguments import ServeArguments
from perse_ray.serving.ray_serve.deployment import application
from perse_ray.serving.ray_serve.remote_service import RemoteAvatars
from perse_ray.serving.ray_serve.renderer import RENDERER
from perse_ray.serving.schema.deadline import due_in
from perse_ray.serving.schema.errors import DeadlineExceeded, NoSuchAvatar, UnknownName
from perse_ray.serving.schema.requests import RenderRequest

SMALL = {"width": 48, "height": 48}


@pytest.fixture(scope="module")
def own(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that may be changed."""
    return Path(shutil.copytree(workspace, tmp_path_factory.mktemp("own") / "me"))


@pytest.fixture(scope="module")
def address(ray_session: None, own: Path, workspace: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve.shutdown()  # one without HTTP, that a build left in the shared Ray
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    arguments = ServeArguments(
        workspaces=f"{own},you={workspace}",
        replicas=2,
        num_cpus=0.5,
        refresh_s=0.5,
        authentication="off",
        per_second=1e6,
        burst=10**6,
    )
    serve.run(application(arguments), name="perse")
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


@pytest.fixture
def renderers(address: str) -> DeploymentHandle[Any]:
    return serve.get_deployment_handle(RENDERER, "perse")


def test_a_picture_over_http(address: str) -> None:
    with AvatarClient(address) as client:
        assert client.ready()
        avatar, other = client.avatars()
        assert (avatar.id, other.id) == ("me", "you") and avatar.identity == other.identity
        hat = avatar.of("hat")[0]
        plain, worn = (
            decode_image(client.render("me", attributes=look, **SMALL)) for look in ({}, {"hat": {hat.text: 1.0}})
        )
        assert plain.shape == (48, 48, 3) and np.abs(plain.astype(int) - worn).max() > 20
    answer = httpx.post(f"{address}/v1/avatars/me/render", json={"attributes": {"hat": {"zebra": 1}}})
    assert answer.status_code == 422 and "zebra" in answer.json()["detail"] and "Traceback" not in answer.text


def test_several_avatars_at_once(address: str) -> None:
    with AvatarClient(address) as client:
        look = {"hat": described("a red hat")}
        pictures = [client.render(name, attributes=look, **SMALL) for name in ("me", "you", "me", "you")]
    assert pictures[0] == pictures[2] and pictures[1] == pictures[3]
    assert (decode_image(pictures[0]) == decode_image(pictures[1])).all()


def test_errors_arrive_as_what_they_are(renderers: DeploymentHandle[Any]) -> None:
    avatars = RemoteAvatars(["me"], renderers)

    async def go() -> None:
        with pytest.raises(NoSuchAvatar):
            await avatars.info("you")
        with pytest.raises(UnknownName, match="zebra"):
            await avatars.frame("me", RenderRequest(attributes={"hat": {"zebra": 1.0}}))  # type: ignore[dict-item]
        with pytest.raises(DeadlineExceeded), due_in(0.3):
            await avatars.run("me", Endless(2))
        good, bad = RenderRequest(**SMALL), RenderRequest(expression={"sneeze": 1.0}, **SMALL)  # type: ignore[arg-type]
        asked = [avatars.frame("me", request) for request in (good, bad, good, bad, good)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [bytes, UnknownName, bytes, UnknownName, bytes]

    asyncio.run(go())


def test_a_stream(address: str) -> None:
    with AvatarClient(address) as client:
        with client.stream("me") as stream:
            assert decode_image(stream.picture()).shape == (256, 256, 3)
            stream.change(**SMALL)
            assert decode_image(stream.picture()).shape == (48, 48, 3)
            sizes = []
            for width in range(16, 36):
                stream.change(width=width)
                sizes.append(decode_image(stream.picture()).shape[1])
            assert sizes == sorted(sizes) and sizes[-1] == 35
            stream.change(width=3)
            with pytest.raises(ServiceError, match="width"):
                stream.picture()
        with pytest.raises(ServiceError, match="no stream"), client.stream("nobody"):
            pass


def test_renderers_that_are_killed_cost_nobody_an_answer(address: str, renderers: DeploymentHandle[Any]) -> None:
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def keep_asking() -> None:
        # Plain HTTP and no second try: the promise is the ingress's.
        with httpx.Client(timeout=60) as http:
            turn = 0
            while not stop.is_set():
                body = {"pose": {"neck": [0, 0.01 * (turn % 60), 0]}, **SMALL}
                statuses[http.post(f"{address}/v1/avatars/me/render", json=body).status_code] += 1
                turn += 1

    threads = [threading.Thread(target=keep_asking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            until(lambda: len(processes(renderers)) == 2)
            process = processes(renderers).pop()
            before = sum(statuses.values())
            os.kill(process, 9)
            until(lambda seen=before: sum(statuses.values()) > seen + 20)  # type: ignore[misc]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200} and statuses[200] > 40


def test_a_rebuilt_avatar_is_served_without_a_pause(address: str, own: Path) -> None:
    def brightness() -> float:
        answer = httpx.post(f"{address}/v1/avatars/me/render", json=SMALL, timeout=60)
        assert answer.status_code == 200
        return float(decode_image(answer.content).mean())

    before = brightness()
    changed = load_avatar(own / "avatar")
    with torch.no_grad():
        changed.decoder.base[:, 11:14] -= 3
    save_avatar(changed, own / "avatar")
    until(lambda: all(brightness() < before - 5 for _ in range(6)))


def processes(renderers: DeploymentHandle[Any]) -> set[int]:
    """Who answers. Not whom Serve's controller believes to be alive: that may be news from before the last kill."""
    ask = renderers.options(method_name="run", multiplexed_model_id="me")
    found = set()
    for _ in range(10):
        with suppress(RayActorError, ReplicaUnavailableError):
            found.add(ask.remote(ProcessId(), None).result())
    return found


def until(true: Any) -> None:
    """Wait for something that comes sooner or later."""
    for _ in range(900):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")

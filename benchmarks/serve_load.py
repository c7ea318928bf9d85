"""What the render service holds up to: latency, streams, ten times its capacity, renderers that die.

    python -m benchmarks.serve_load [--workspace runs/demo] [--only single stream crowd kills] [--quick] [--json FILE]

Starts a service of its own on the loopback interface, with tokens, and stops it. Clients run in this process, on the
same cores as the service: their processor time is reported, since it is taken from the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from perse_client import AvatarClient, ServiceError
from ray import serve

from benchmarks.load_client import (
    Asked,
    LoadClient,
    at_rate,
    one_by_one,
    percentile_ms,
    poses,
    rate,
    so_many_at_once,
    statuses,
)
from perse_ray.runtime.session import ray_session
from perse_ray.serving.library.sources import absolute
from perse_ray.serving.protection import Tokens, new_token
from perse_ray.serving.ray_serve.arguments import ServeArguments
from perse_ray.serving.ray_serve.deployment import application
from perse_ray.serving.ray_serve.proxy import guard_proxies
from perse_ray.serving.ray_serve.renderer import RENDERER

SCENES = ("single", "stream", "crowd", "kills")
CAPACITY_CLIENTS = 4
"""Fewer than a renderer's lane: nobody is refused."""
KILL_CLIENTS = 6
"""Threads that render while renderers are killed."""
KILL_SIZE_PX = 64
"""Small pictures: it is about answers."""
KILL_EARLY = 0.7
"""Every kill waits for the last one's replacement: a little ahead of time, so that all find renders under way."""


@dataclass(frozen=True)
class Service:
    """A running service."""

    address: str
    token: str
    avatar: str
    joint: str


class ProcessId:
    """Work for a renderer: which process is it?"""

    def __call__(self, avatar: object) -> int:
        return os.getpid()


@contextmanager
def running(workspace: str, replicas: int, cpus: float) -> Iterator[Service]:
    """A service of our own, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = new_token()
    arguments = ServeArguments(
        workspaces=",".join(absolute([workspace])), replicas=replicas, num_cpus=cpus, per_second=1e6, burst=10**6,
        token_digests=sorted(Tokens.of([token]).digests),
    )  # fmt: skip
    guard_proxies(replicas)
    with ray_session():
        serve.start(http_options={"host": "127.0.0.1", "port": port, "request_timeout_s": 60})
        try:
            serve.run(application(arguments), name="perse")
            address = f"http://127.0.0.1:{port}"
            with AvatarClient(address, token=token) as client:
                avatar = client.avatars()[0]
            yield Service(address, token, avatar.id, avatar.joints[1])
        finally:
            serve.shutdown()


class LoadStopwatch:
    """Wall time and processor time: of this process, and of the whole machine."""

    def __enter__(self) -> LoadStopwatch:
        self._wall, self._own, self._all = time.perf_counter(), time.process_time(), _busy_s()
        return self

    def __exit__(self, *about: object) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.own_cores = (time.process_time() - self._own) / self.wall_s
        self.all_cores = (_busy_s() - self._all) / self.wall_s

    def __str__(self) -> str:
        return (
            f"clients took {self.own_cores:.2f} of {os.cpu_count()} cores, the machine was busy with "
            f"{self.all_cores:.2f}"
        )


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


# Scenes


def single(service: Service, size_px: int, count: int) -> dict[str, Any]:
    """One client, one picture after another."""
    found: dict[str, Any] = {}
    for image in ("png", "jpeg"):
        bodies = poses(service.joint, size_px, image)

        async def scene(bodies: Iterator[dict[str, Any]] = bodies) -> list[Asked]:
            async with LoadClient(service.address, service.token) as client:
                await one_by_one(lambda: client.ask(service.avatar, next(bodies)), 10)
                return await one_by_one(lambda: client.ask(service.avatar, next(bodies)), count)

        with LoadStopwatch() as watch:
            asked = asyncio.run(scene())
        p50, p99 = percentile_ms(asked, 50), percentile_ms(asked, 99)
        print(f"single frame  {image:4} {size_px}²  p50 {p50:.1f} ms  p99 {p99:.1f} ms  ({statuses(asked)}; {watch})")
        found[image] = {"p50_ms": p50, "p99_ms": p99, "client_cores": watch.own_cores}
    return found


def stream(service: Service, size_px: int, seconds: float) -> dict[str, Any]:
    """One person who moves a slider without pause."""
    with AvatarClient(service.address, token=service.token) as client, client.stream(service.avatar) as line:
        bodies = poses(service.joint, size_px, "jpeg")
        for _ in range(20):
            line.change(**next(bodies))
            line.picture()
        pictures = 0
        with LoadStopwatch() as watch:
            end = time.perf_counter() + seconds
            line.change(**next(bodies))
            while time.perf_counter() < end:
                line.change(**next(bodies))
                line.picture()
                pictures += 1
    per_second = pictures / watch.wall_s
    print(f"stream        jpeg {size_px}²  {per_second:.1f} frames/s  ({watch})")
    return {"per_second": per_second, "client_cores": watch.own_cores}


def crowd(service: Service, size_px: int, seconds: float) -> dict[str, Any]:
    """As much as the service can do, as one can ask for that; then ten times as much."""
    bodies = poses(service.joint, size_px, "jpeg")

    async def scene(play: Callable[[Callable[[], Any]], Any]) -> list[Asked]:
        async with LoadClient(service.address, service.token) as client:
            found: list[Asked] = await play(lambda: client.ask(service.avatar, next(bodies)))
            return found

    asyncio.run(scene(lambda ask: so_many_at_once(ask, CAPACITY_CLIENTS, min(seconds, 3))))
    capacity = rate(asyncio.run(scene(lambda ask: so_many_at_once(ask, CAPACITY_CLIENTS, seconds))))
    print(f"capacity      jpeg {size_px}²  {capacity:.1f} frames/s with {CAPACITY_CLIENTS} clients")
    found: dict[str, Any] = {"capacity": capacity}
    for factor in (1, 10):
        with LoadStopwatch() as watch:
            asked = asyncio.run(scene(lambda ask, factor=factor: at_rate(ask, factor * capacity, seconds)))
        accepted = [one for one in asked if one.status == 200]
        refused = [one for one in asked if one.status in (429, 503)]
        row = {
            "accepted": len(accepted), "refused": len(refused), "other": len(asked) - len(accepted) - len(refused),
            "per_second": rate(accepted), "p50_ms": percentile_ms(accepted, 50), "p99_ms": percentile_ms(accepted, 99),
            "refused_p50_ms": percentile_ms(refused, 50), "refused_p99_ms": percentile_ms(refused, 99),
            "client_cores": watch.own_cores,
        }  # fmt: skip
        print(
            f"{factor:2} × capacity  {row['per_second']:.1f} frames/s  "
            f"accepted {len(accepted)} (p50 {row['p50_ms']:.0f}, p99 {row['p99_ms']:.0f} ms)  "
            f"refused {len(refused)} (p50 {row['refused_p50_ms']:.0f}, p99 {row['refused_p99_ms']:.0f} ms)  "
            f"({statuses(asked)}; {watch})"
        )
        found[f"x{factor}"] = row
    ratio = found["x10"]["p99_ms"] / found["x1"]["p99_ms"]
    print(f"              p99 at 10 × is {ratio:.2f} times that at 1 ×")
    return found


def kills(service: Service, count: int, renders: int) -> dict[str, Any]:
    """Renderers are killed one after the other, each when its predecessor has been replaced; our own client asks."""
    done, errors = Counter[str](), []
    lock = threading.Lock()
    left = iter(range(renders))

    def ask() -> None:
        bodies = poses(service.joint, KILL_SIZE_PX, "jpeg")
        with AvatarClient(service.address, token=service.token, timeout_s=60) as client:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                try:
                    client.render(service.avatar, **next(bodies))
                    done["answered"] += 1
                except ServiceError as error:
                    errors.append(str(error))

    def answered() -> int:
        return done["answered"] + len(errors)

    threads = [threading.Thread(target=ask) for _ in range(KILL_CLIENTS)]
    killed = 0
    with LoadStopwatch() as watch:
        for thread in threads:
            thread.start()
        handle = serve.get_deployment_handle(RENDERER, "perse")
        wanted = _renderers()
        while killed < count and any(thread.is_alive() for thread in threads):
            if answered() >= KILL_EARLY * killed * renders / count and _renderers() == wanted:
                call = handle.options(method_name="run", multiplexed_model_id=service.avatar).remote(ProcessId(), None)
                os.kill(call.result(), 9)
                killed += 1
                _wait(lambda: _renderers() < wanted, 30)
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    print(
        f"kills         {killed} renderers killed during {answered()} renders: {len(errors)} errors seen by clients  "
        f"({answered() / watch.wall_s:.0f} renders/s; {watch})"
    )
    for error, times in Counter(errors).most_common(5):
        print(f"              {times} × {error[:160]}")
    return {"killed": killed, "renders": answered(), "errors": len(errors)}


def _renderers() -> int:
    """How many renderers take part."""
    states = serve.status().applications["perse"].deployments[RENDERER].replica_states
    return sum(number for state, number in states.items() if str(getattr(state, "value", state)) == "RUNNING")


def _wait(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default="runs/demo", help="with a finished avatar")
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load")
    parser.add_argument("--replicas", type=int, default=1, help="renderers; at least two while they are killed")
    parser.add_argument("--cpus", type=float, default=2.0, help="of each renderer: so many threads draw")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--renders", type=int, default=10_000, help="while renderers are killed")
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--quick", action="store_true", help="a few seconds each, three kills")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.kills, chosen.renders = 4.0, 3, 600
    found: dict[str, Any] = {"load_average": os.getloadavg()[0], "cores": os.cpu_count()}
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before we start")
    quiet = [scene for scene in chosen.only if scene != "kills"]
    if quiet:
        with running(chosen.workspace, chosen.replicas, chosen.cpus) as service:
            if "single" in quiet:
                found["single"] = single(service, chosen.size, 40 if chosen.quick else 300)
            if "stream" in quiet:
                found["stream"] = stream(service, chosen.size, chosen.seconds)
            if "crowd" in quiet:
                found["crowd"] = crowd(service, chosen.size, chosen.seconds)
    if "kills" in chosen.only:
        with running(chosen.workspace, max(2, chosen.replicas), 1.0) as service:
            found["kills"] = kills(service, chosen.kills, chosen.renders)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

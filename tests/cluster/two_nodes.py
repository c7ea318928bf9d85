"""A cluster of two nodes on one machine, as different as two machines where it matters: what they may share.

Each node is a `ray start` of its own. Where the machine allows it (root, Linux), each has a mount namespace with an
empty ``/tmp`` of its own, so that whatever is written to a temporary folder on one is not there on the other; elsewhere
they have Ray folders of their own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))
START_LIMIT_S = 240.0


@dataclass(frozen=True)
class TwoNodes:
    """A running cluster.

    Attributes:
        environment: what a process needs to submit jobs to it.
        apart: whether the nodes have temporary folders of their own.
    """

    environment: dict[str, str]
    apart: bool

    def submit(self, *command: str, working_dir: Path, limit_s: float) -> subprocess.CompletedProcess[str]:
        """`ray job submit`, waited for; its output is the job's."""
        told = ["--working-dir", str(working_dir), "--", *command]
        return subprocess.run(
            [RAY, "job", "submit", *told], env=self.environment, capture_output=True, text=True, timeout=limit_s
        )


@contextmanager
def two_nodes(variables: dict[str, str], *, cpus: int, gpus: int) -> Iterator[TwoNodes]:
    """A head and a worker node with logical CPUs and GPUs each; both end with the block.

    Args:
        variables: of the environment, for all processes of the cluster.
    """
    gcs, dashboard, *agents = _free_ports(4)
    environment = {
        **os.environ,
        **variables,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",  # what others of this machine take is no reason to end a worker
        "RAY_ADDRESS": f"http://127.0.0.1:{dashboard}",
    }
    node_environment = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    common = [f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--object-store-memory=120000000", "--block"]
    head = ["--head", f"--port={gcs}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1"]
    apart = _namespaces_allowed()
    nodes = []
    try:
        for number, (role, agent) in enumerate(zip((head, [f"--address=127.0.0.1:{gcs}"]), agents, strict=True)):
            command = [RAY, "start", *role, *common, "--node-ip-address=127.0.0.1"]
            command += [f"--dashboard-agent-listen-port={agent}"]
            nodes.append(_started(command, node_environment, apart, number))
            if number == 0:
                _await_dashboard(dashboard, nodes[0])
        _await_jobs(environment)
        yield TwoNodes(environment, apart)
    finally:
        for node in reversed(nodes):
            node.terminate()
        for node in nodes:
            try:
                node.wait(timeout=40)
            except subprocess.TimeoutExpired:
                node.kill()


def _started(command: list[str], environment: dict[str, str], apart: bool, number: int) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if apart:
        script = 'mount -t tmpfs tmpfs /tmp && exec "$@"'
        return subprocess.Popen(["unshare", "-m", "sh", "-c", script, "node", *command], env=environment, **quiet)
    folder = f"/tmp/perse-node-{os.getpid()}-{number}"
    extra = [f"--temp-dir={folder}"] if "--head" in command else []
    return subprocess.Popen([*command, *extra], env=environment, **quiet)


def _namespaces_allowed() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /tmp"], capture_output=True)
    return tried.returncode == 0


def _free_ports(count: int) -> list[int]:
    """Ports below the range that Ray gives to workers."""
    found: list[int] = []
    port = 7000 + secrets.randbelow(2000)
    while len(found) < count:
        port += 1
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def _await_jobs(environment: dict[str, str]) -> None:
    """Until the job server answers, which is some seconds after the dashboard."""
    deadline = time.monotonic() + START_LIMIT_S
    while subprocess.run([RAY, "job", "list"], env=environment, capture_output=True).returncode:
        assert time.monotonic() < deadline, "the cluster takes no jobs"
        time.sleep(1)


def _await_dashboard(port: int, head: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        assert head.poll() is None, "the head node ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/gcs_healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the head node does not answer")

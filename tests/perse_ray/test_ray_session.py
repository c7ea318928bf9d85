"""A local Ray that only this machine reaches, in a folder that only this user reads; a cluster, or a word about it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from perse.errors import InputError, StageError
from perse_ray.commands import build_avatar
from perse_ray.commands.command_line import EXIT_EXPECTED
from perse_ray.runtime import cluster_address, session
from perse_ray.runtime.cluster_address import joined_address, probe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:9", "unset RAY_ADDRESS"),
        ("ray://127.0.0.1:9", "unset RAY_ADDRESS"),
        ("no-such-host.invalid:6379", "unset RAY_ADDRESS"),
        ("http://127.0.0.1:8265", "dashboard"),
        ("nonsense", "host:port"),
        ("host:port", "host:port"),
        ("127.0.0.1:999999", "host:port"),
        ("a..b:6379", "unset RAY_ADDRESS"),
    ],
)
def test_a_stale_address_is_told_in_one_line(address: str, says: str) -> None:
    """Ray would try for 590 seconds."""
    with pytest.raises(InputError, match=says) as caught:
        probe(address)
    assert address in str(caught.value) and "\n" not in str(caught.value)


def test_who_takes_connections_but_is_no_ray_is_found_out(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_address, "PROBE_S", 0.5)
    with pytest.raises(InputError, match="something else"):
        probe(f"127.0.0.1:{silent_port}")


SETTINGS, HEADERS, LAST = 4, 1, 0x5
NOT_FOUND = b"\x8d"  # ":status 404" (RFC 7541, appendix A)


def http2_frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def answer_not_found(connection: socket.socket) -> None:
    """What a web server says to whoever speaks HTTP/2 to it (RFC 9113), as far as gRPC gets."""
    with connection, connection.makefile("rb") as asked:
        asked.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        connection.sendall(http2_frame(SETTINGS))
        while head := asked.read(9):
            asked.read(int.from_bytes(head[:3]))
            if head[3] == HEADERS:
                connection.sendall(http2_frame(HEADERS, LAST, int.from_bytes(head[5:]), NOT_FOUND))


def test_a_proxy_that_takes_connections_for_every_address_is_found_out() -> None:
    """With one in the network a stale address took a minute."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:  # the probe's first connection says nothing
                    threading.Thread(target=answer_not_found, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        begin = time.monotonic()
        with pytest.raises(InputError, match="something else"):
            probe(f"127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - begin < 2 * cluster_address.PROBE_S


def test_the_command_ends_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr(session.ray, "is_initialized", lambda: False)
    begun = time.monotonic()
    assert build_avatar.run(["--recipe", "tiny", "--workspace", str(tmp_path / "w")]) == EXIT_EXPECTED
    assert "RAY_ADDRESS=127.0.0.1:9" in capsys.readouterr().err
    assert time.monotonic() - begun < 60  # a minute, on a crowded machine


@pytest.mark.parametrize(("value", "joined"), [("", ""), ("local", ""), (" 10.0.0.1:6379 ", "10.0.0.1:6379")])
def test_which_cluster_is_joined(value: str, joined: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", value)
    assert joined_address() == joined


# Folders


def test_a_long_temporary_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a Unix socket may have 107 characters."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(session.tempfile, "gettempdir", lambda: str(long))
    folder = session.session_folder()
    assert len(str(folder)) <= session.MAX_FOLDER_LENGTH and folder.parent.stat().st_mode & 0o077 == 0
    assert len(f"{folder}/session_2026-11-29_10-47-40_552167_4194304/sockets/plasma_store") <= 107


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    place = Path("/tmp") / f"p{os.getpid()}"
    place.mkdir()
    try:
        monkeypatch.setenv("RAY_TMPDIR", str(place))
        (place / f"perse-ray-{os.getuid()}").symlink_to(tmp_path)
        assert session.session_folder().parents[1] != place
        (place / f"perse-ray-{os.getuid()}").unlink()
        assert session.session_folder().parents[1] == place
    finally:
        shutil.rmtree(place)


def test_without_a_folder_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_FOLDER_LENGTH", 3)
    with pytest.raises(InputError, match="RAY_TMPDIR"):
        session.session_folder()


@pytest.mark.parametrize(("free_mib", "elsewhere"), [(64, True), (300, True), (400, False)])
def test_small_shared_memory_is_not_filled(
    free_mib: int, elsewhere: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Docker gives 64 MiB unless it is told otherwise."""
    monkeypatch.setattr(session.shutil, "disk_usage", lambda place: SimpleNamespace(free=free_mib << 20))
    assert session.object_store_folder(300 << 20, tmp_path) == (str(tmp_path) if elsewhere else None)
    assert ("--shm-size" in caplog.text) is elsewhere


# Ports

LISTENERS = """
import os, psutil, ray, stat, sys
from perse_ray.runtime.session import LocalRay, ray_session
with ray_session(LocalRay(object_store_mib=80)):
    @ray.remote
    def work():
        return ray.util.get_node_ip_address()
    assert ray.get(work.remote()) == "127.0.0.1"
    us = [psutil.Process(), *psutil.Process().children(recursive=True)]
    for process in us:
        for one in process.net_connections(kind="inet"):
            if one.status == psutil.CONN_LISTEN:
                print("listens", process.name(), one.laddr.ip)
    folder = os.path.dirname(os.path.dirname(ray._private.worker._global_node.get_session_dir_path()))
    print("folder", oct(stat.S_IMODE(os.stat(folder).st_mode)), folder)
"""


@pytest.fixture(scope="module")
def listeners() -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": str(ROOT), "http_proxy": "http://127.0.0.1:9", "TMPDIR": "/var/tmp"}
    done = subprocess.run(
        [sys.executable, "-c", LISTENERS], capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_local_ray_listens_on_the_loopback_interface_alone(listeners: list[str]) -> None:
    """gcs, raylets, agents and workers: all of them listened on all interfaces of a laptop."""
    found = [line.split() for line in listeners if line.startswith("listens")]
    assert len(found) >= 5
    assert {address.removeprefix("::ffff:") for _, _, address in found} == {"127.0.0.1"}, found


def test_a_session_is_readable_by_nobody_else(listeners: list[str]) -> None:
    (folder,) = [line.split() for line in listeners if line.startswith("folder")]
    assert folder[1] == "0o700" and folder[2].startswith("/var/tmp/perse-ray-")


def _without_surroundings(monkeypatch: pytest.MonkeyPatch, init: Callable[..., None]) -> None:
    """A start of Ray that changes nothing of this process."""
    for name in ("_own_token", "_stay_on_this_machine"):
        monkeypatch.setattr(session, name, lambda: None)
    monkeypatch.setattr(session.ray, "init", init)


def test_a_machine_too_busy_for_ray_is_told_in_one_line_after_three_attempts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ray raises a bare Exception when its node does not answer within 30 seconds."""
    asked: list[int] = []

    def init(**_: object) -> None:
        asked.append(1)
        raise Exception("The current node timed out during startup. This could happen because")

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    _without_surroundings(monkeypatch, init)
    monkeypatch.setattr(session.ray, "shutdown", lambda: None)
    with pytest.raises(StageError, match="too busy") as caught:
        session._start(session.LocalRay())
    assert len(asked) == 3 and "\n" not in str(caught.value)


def test_what_else_ray_raises_at_its_start_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise ValueError("num_cpus must be positive")

    _without_surroundings(monkeypatch, init)
    with pytest.raises(ValueError, match="num_cpus"):
        session._start(session.LocalRay())

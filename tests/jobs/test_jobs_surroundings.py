"""Commands where everything around them is odd at once, and where they are asked to stop."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from synthetic_avatar import synthetic_avatar

from perse.avatar import save_avatar
from perse_ray.serving.protection.receive_deadline import BODY_WITHIN_S, HEADER_WITHIN_S

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-tests"


@pytest.mark.heavy
def test_tiny_is_built_in_odd_surroundings(tmp_path: Path) -> None:
    """A path with spaces, signs and letters of other languages; a read-only install; a home that cannot be written; a
    long temporary folder; a Turkish locale; a proxy that nobody answers for."""
    base = tmp_path / "İç klasör 100% #q?x=1 çılgın"
    long, home, work = (base / name for name in ("long" * 30, "home", "work"))
    for folder in (long, home, work):
        folder.mkdir(parents=True)
    for package in ("perse", "perse_ray", "jobs"):
        shutil.copytree(ROOT / package, base / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [
        home,
        *(path for name in ("perse", "perse_ray", "jobs") for path in [base / name, *(base / name).rglob("*")]),
    ]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    proxies = {f"{name}_proxy": "http://127.0.0.1:9" for name in ("http", "https", "all", "HTTP", "HTTPS", "ALL")}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "tr_TR.UTF-8",
        "TMPDIR": str(long),
    } | proxies
    command = [sys.executable, "jobs/build_avatar.py", "--recipe", "tiny", "--workspace", str(work / "rüns/mé")]
    if os.getuid() == 0 and shutil.which("setpriv"):  # root writes where nobody may, unless it is told not to
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command]
    command[command.index("jobs/build_avatar.py")] = str(base / "jobs" / "build_avatar.py")
    done = subprocess.run(
        command, env=environment | {"PYTHONPATH": str(base)}, cwd=work, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "done in" in done.stdout and "cannot be used" not in done.stderr
    assert (work / "rüns" / "mlflow.db").stat().st_size and (work / "rüns/mé/report/report.html").exists()
    assert not list((base / "perse").rglob("__pycache__")), "nothing is written into the install"


POST = b"POST /v1/avatars/me/render HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
HALF_ASKED = (
    b"", b"GET", POST, POST + b"Content-Length: 100\r\n\r\n{", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he",
)  # fmt: skip


def half_asked(port: int, beginning: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(beginning)
    return made


def wait_until_closed(connections: list[socket.socket]) -> None:
    """Within the deadlines for a header and a body, and some more on a busy machine."""
    until = time.monotonic() + HEADER_WITHIN_S + BODY_WITHIN_S + 20
    for one in connections:
        one.settimeout(max(until - time.monotonic(), 0.1))
        with suppress(ConnectionError):
            while one.recv(65536):
                pass
        one.close()


@pytest.mark.heavy
def test_the_service_finishes_what_it_has_begun(head_model, tiny_clips, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """SIGTERM, as systemd and containers send it, in the middle of a film; its proxy's own addresses are closed, and so
    are connections that never finish asking."""
    save_avatar(synthetic_avatar(head_model, tiny_clips), tmp_path / "me" / "avatar")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"PERSE_TOKENS": TOKEN, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "jobs/serve.py", "--workspace", str(tmp_path / "me"), "--port", str(port)]
    service = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    address, bearer = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {TOKEN}"}
    answers: list[tuple[int, int]] = []

    def film() -> None:
        body = {"motion": {"kind": "between", "end": {}, "seconds": 12, "fps": 25}, "width": 512, "height": 512}
        answer = httpx.post(f"{address}/v1/avatars/me/animate", json=body, headers=bearer, timeout=120)
        answers.append((answer.status_code, len(answer.content)))

    try:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            try:
                if httpx.get(f"{address}/readyz", timeout=10).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        assert httpx.get(f"{address}/-/routes").status_code == 404
        assert httpx.get(f"{address}/v1/avatars").status_code == 401
        wait_until_closed([half_asked(port, asked) for asked in HALF_ASKED for _ in range(20)])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        filming = threading.Thread(target=film)
        filming.start()
        time.sleep(1)
        assert not answers, "it is under way"
        service.send_signal(signal.SIGTERM)
        filming.join(120)
        assert answers and answers[0][0] == 200 and answers[0][1] > 1000
        assert service.wait(120) == 0
        for one in idle:
            one.close()
    finally:
        service.kill()
        service.wait()

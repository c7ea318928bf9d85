"""A build and a service meet in a cluster's one Serve; neither takes it from the other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from ray import serve

from perse.errors import InputError
from perse_ray.runtime.serve_session import serve_runs, serve_session


@pytest.fixture(autouse=True)
def nothing_serves(ray_session: None) -> Iterator[None]:
    serve.shutdown()
    yield
    serve.shutdown()


def loopback() -> dict[str, object]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {"host": "127.0.0.1", "port": probe.getsockname()[1]}


def test_a_service_does_not_start_deaf_beside_a_build() -> None:
    """Serve keeps the options that it was begun with: nobody would answer at the port, without a word."""
    with (
        serve_session(http=None),
        pytest.raises(InputError, match="begun without HTTP"),
        serve_session(http=loopback()),
    ):
        raise AssertionError("nothing listens")


def test_somebody_elses_application_keeps_serve_alive() -> None:
    http = loopback()
    with serve_session(http=http):
        with serve_session(http=None):
            assert serve_runs()
        assert serve_runs()
        with socket.create_connection(("127.0.0.1", http["port"]), timeout=10):  # type: ignore[arg-type]
            pass
        serve.run(serve.deployment(ray_actor_options={"num_cpus": 0})(Other).bind(), name="other", route_prefix=None)
    assert serve_runs()
    serve.delete("other")
    with serve_session(http=http):
        assert serve_runs()
    assert serve_runs()  # it was there before


def test_serve_ends_with_the_block_that_began_it() -> None:
    with serve_session(http=loopback()):
        assert serve_runs()
    assert not serve_runs()


class Other:
    def __call__(self) -> str:
        return "here"


class Listening:
    """Says on which ports its process listens beyond the loopback interface."""

    def __call__(self) -> list[int]:
        listening = [one for one in psutil.Process().net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        return [one.laddr.port for one in listening if one.laddr.ip in ("::", "0.0.0.0")]


def test_what_a_replica_listens_on_everywhere_wants_the_clusters_token() -> None:
    """Serve binds each replica's door for other replicas to all interfaces and asks nobody where. It unpickles what it
    is sent, so it must refuse who has no token."""
    with serve_session(http=None):
        app = serve.deployment(ray_actor_options={"num_cpus": 0})(Listening).bind()
        ports = serve.run(app, name="listening", route_prefix=None).remote().result(timeout_s=60)
        assert ports  # otherwise Serve has learned better, and docs/service.md says too much
        for port in ports:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
                call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
                with pytest.raises(grpc.RpcError) as refused:
                    call(b"", timeout=20)
            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        serve.delete("listening")


PROGRAM = """
from pathlib import Path
import sys
from perse.data.workspace import Workspace
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.training.morph_pool import PoolSize, morph_pool
from ray_fakes import Doubling
import time

folder = Path(sys.argv[1])
with ray_session(LocalRay(object_store_mib=100)):
    with morph_pool(Doubling(Workspace.open(folder / "w"), str(folder / "j")), PoolSize()) as pool:
        assert pool.handle().make.remote("key", 4).result(timeout_s=60).arrays["doubled"][0, 0] == 8
    time.sleep(1)  # what Ray has to say comes by another thread
    print("said as ever", flush=True)
"""


@pytest.mark.heavy  # half a minute for a Ray and a Serve of its own; a quick test is in test_ray_imports
def test_a_pool_that_ends_well_says_nothing_in_red(tmp_path: Path) -> None:
    """Two lines of Ray about calls to Serve's controller that "failed" stood at the end of every fine-tuning."""
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "said as ever\n"

"""A build and a service meet in a cluster's one Serve; neither takes it from the other."""

from __future__ import annotations

import socket
from collections.abc import Iterator

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

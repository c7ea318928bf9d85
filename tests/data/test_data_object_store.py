"""An object store that does not answer is one line within seconds."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from perse.data.object_store import reason_of
from perse.data.workspace import Workspace
from perse.errors import WorkspaceError

HANGS_S = 120
"""Google's own patience is 900 s, and ours a few: in between, for a busy machine."""


@pytest.mark.parametrize("scheme", ["gs://anonymous@", "s3://"])
def test_a_store_that_nobody_answers_for_is_said_in_one_line(scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        place = f"{scheme}bucket/me?scheme=http&endpoint_override=127.0.0.1:{closed.getsockname()[1]}"
        if scheme == "s3://":
            place += "&region=us-east-1"
        code = "import sys; from perse_ray.commands.workspace import run; sys.exit(run(sys.argv[1:]))"
        words = [sys.executable, "-c", code, "repair", "--workspace", place]
        done = subprocess.run(words, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "no answer from the object store" in done.stderr and "make room" not in done.stderr


@pytest.mark.parametrize("place", ["gs://", "s3:///", "gs://?retry_limit_seconds=1"])
def test_an_address_without_a_folder_is_refused_before_anybody_is_asked(place: str) -> None:
    with pytest.raises(WorkspaceError, match="names no folder"):
        Workspace.existing(place)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Status(UNAVAILABLE: Retry policy exhausted, with a last message of PerformWork() - CURL error [7]=Could not "
         "connect to server error_info={reason=}", "Could not connect to server"),
        ("UNAVAILABLE: last message of Could not create a OAuth2 access token. PerformWork() - CURL error [6]=Could "
         "not resolve hostname", "no access token: Could not resolve hostname"),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, Could not connect to server; Details: "
         "Failed to connect to 127.0.0.1 port 9", "Failed to connect to 127.0.0.1 port 9"),
        ("something\n else", "something else"),
        ("", "OSError"),
    ],
)  # fmt: skip
def test_the_reason_is_found_in_what_a_client_says(said: str, reason: str) -> None:
    assert reason_of(OSError(said)) == reason

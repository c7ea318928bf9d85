"""A build whose workspace is an object store and whose MLflow writes to PostgreSQL, as cluster/ sets it up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_servers import BUCKET, Servers, has_postgres, real_servers

ROOT = Path(__file__).resolve().parents[2]
WORKSPACE = f"s3://{BUCKET}/me"
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not has_postgres(), reason="PostgreSQL's server is not installed"),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="perse-servers-"))
    folder.chmod(0o755)  # PostgreSQL runs as somebody else
    try:
        with real_servers(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(servers: Servers, folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **servers.variables, "MLFLOW_TRACKING_URI": servers.tracking_uri}
    command = [sys.executable, str(ROOT / "jobs" / "build_avatar.py"), "--recipe", "tiny", "--workspace", WORKSPACE]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, env=variables, cwd=folder)


def test_a_build_lands_in_the_store_and_in_the_database(servers: Servers, tmp_path: Path) -> None:
    """Then a second one finds all stages finished, and nothing was written beside either."""
    first = _build(servers, tmp_path)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    assert list(tmp_path.iterdir()) == []

    from pyarrow import fs

    store = fs.S3FileSystem(
        endpoint_override=servers.variables["AWS_ENDPOINT_URL"].removeprefix("http://"), scheme="http",
        access_key=servers.variables["AWS_ACCESS_KEY_ID"], secret_key=servers.variables["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    with store.open_input_stream(f"{BUCKET}/me/report/metrics.json") as file:
        assert json.loads(file.read())["recipe"] == "tiny"
    assert store.get_file_info(f"{BUCKET}/me/avatar/avatar.safetensors").size > 0

    stages = {"track", "synthesize", "train", "evaluate", "report", "register"}
    assert stages <= {row.partition("|")[0] for row in servers.rows("select name, status from runs")}
    assert servers.rows("select count(*) from metrics where key like '%loss%'") != ["0"]
    [version] = servers.rows("select name, version from model_versions")
    assert version.endswith("|1")
    artifacts = store.get_file_info(fs.FileSelector(f"{BUCKET}/mlflow", recursive=True))
    assert any(one.path.endswith("avatar.safetensors") for one in artifacts), "the registered model lies in the store"

    again = _build(servers, tmp_path)
    assert again.returncode == 0 and "stages were finished before" in again.stdout

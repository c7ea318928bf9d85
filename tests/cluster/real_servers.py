"""PostgreSQL, an S3-compatible store and MLflow's own server in front of them, on the loopback interface."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("moto[server,s3]", "psycopg[binary]", "boto3")
"""What the servers need and the project does not: MLflow's drivers, and the store."""

BUCKET = "perse-test"
KEYS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Servers:
    """What runs.

    Attributes:
        tracking_uri: of MLflow's server.
        postgres: port of the database that it writes to.
        variables: environment of a process that uses the store.
        packages: folder of `PACKAGES`.
    """

    tracking_uri: str
    postgres: int
    variables: Mapping[str, str]
    packages: Path

    def rows(self, query: str) -> list[str]:
        """Rows of MLflow's database, columns parted by `|`."""
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.postgres), "-U", "mlflow", "-d", "mlflow", "-Atc", query]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


@contextmanager
def real_servers(folder: Path) -> Iterator[Servers]:
    """The three servers, stopped when the block ends; everything they keep lies in `folder`."""
    packages = folder / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-warn-conflicts", "--target", str(packages)]
    subprocess.run([*install, *PACKAGES], check=True, timeout=600)
    with ExitStack() as stack:
        postgres = _free_port()
        stack.enter_context(_postgres(folder / "postgres", postgres))
        store = _free_port()
        python = {**os.environ, "PYTHONPATH": str(packages)}
        moto = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(store)]
        stack.enter_context(_running(moto, store, folder / "store.log", python))
        variables = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store}"}
        bucket = f"import boto3; boto3.client('s3').create_bucket(Bucket='{BUCKET}')"
        subprocess.run([sys.executable, "-c", bucket], check=True, timeout=120, env=python | variables)
        tracking = _free_port()
        server = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(tracking), "--workers", "1",
            "--backend-store-uri", f"postgresql://mlflow@127.0.0.1:{postgres}/mlflow",
            "--artifacts-destination", f"s3://{BUCKET}/mlflow",
        ]  # fmt: skip
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_S3_ENDPOINT_URL": variables["AWS_ENDPOINT_URL"]}
        stack.enter_context(_running(server, tracking, folder / "mlflow.log", python | variables | quiet))
        yield Servers(f"http://127.0.0.1:{tracking}", postgres, variables, packages)


@contextmanager
def _postgres(folder: Path, port: int) -> Iterator[None]:
    """A database cluster with the role and the database `mlflow`; PostgreSQL refuses to be run by root."""
    folder.mkdir(parents=True)
    somebody: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        somebody = ["runuser", "-u", "nobody", "--"]
    data = folder / "data"
    subprocess.run(
        [*somebody, _tool("initdb"), "-D", str(data), "-U", "mlflow", "--auth=trust", "--no-sync"],
        check=True, capture_output=True, timeout=120, cwd=folder,
    )  # fmt: skip
    server = [*somebody, _tool("postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    with _running(server, port, folder.with_suffix(".log"), dict(os.environ), folder):
        _create_database(port)
        yield


def _create_database(port: int, limit_s: float = 60.0) -> None:
    """The database `mlflow`; a server that has just begun to listen may still refuse for a moment."""
    who = ["-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "-d", "postgres"]
    create = ["psql", *who, "-c", "CREATE DATABASE mlflow"]
    end = time.monotonic() + limit_s
    while (done := subprocess.run(create, capture_output=True, text=True, timeout=60)).returncode:
        if time.monotonic() > end:
            raise RuntimeError(f"PostgreSQL makes no database: {done.stderr[-500:]}")
        time.sleep(0.5)


@contextmanager
def _running(
    command: Sequence[str], port: int, log: Path, variables: Mapping[str, str], folder: Path | None = None
) -> Iterator[None]:
    with log.open("w") as written:
        process = subprocess.Popen(
            command, stdout=written, stderr=subprocess.STDOUT, env=dict(variables), cwd=folder, start_new_session=True
        )
    try:
        _wait_for(port, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path, limit_s: float = 180.0) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"nobody listens on port {port}: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_postgres() -> bool:
    """Whether PostgreSQL's server is installed, on the path or where Debian puts it."""
    return _found("initdb") is not None and shutil.which("psql") is not None


def _tool(name: str) -> str:
    found = _found(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found


def _found(name: str) -> str | None:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else None)

"""Store of MLflow's runs: a server, or an SQLite file beside the workspace."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from filelock import FileLock, Timeout

from perse.data.workspace import Workspace
from perse.errors import StageError, WorkspaceError
from perse_ray.registry import event_spool

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

EXPERIMENT = "perse"

FOLDERS_OF_FILES = ("file:", "./", "/")
"""Addresses of MLflow's oldest store."""

SQLITE = "sqlite:///"
"""How the address of a database file begins."""

LOCK_S = 120.0
"""How long a process waits for another that opens the same database file."""

REST_S = 60.0
"""After trouble MLflow is left alone for so long: each attempt may take as much."""


@dataclass(frozen=True)
class Store:
    """Store in which runs are kept.

    Attributes:
        uri: tracking URI.
        artifacts: artifact location of a new experiment; None leaves it to the server.
        workspace: where events are kept that it cannot take.
    """

    uri: str
    artifacts: str | None
    workspace: str = ""

    @classmethod
    def beside(cls, workspace: Workspace) -> Store:
        """Store at `MLFLOW_TRACKING_URI` where it is set, otherwise in an SQLite file beside the workspace.

        MLflow itself would put artifacts below the working directory, which under `ray job submit` is a temporary one.
        """
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri:
            if uri.startswith(FOLDERS_OF_FILES) or "://" not in uri:
                raise StageError(
                    f"MLFLOW_TRACKING_URI={uri} is a folder of files, which MLflow no longer writes; use "
                    "sqlite:////path/mlflow.db or a server's address, or unset it"
                )
            return cls(uri, None, workspace.location)
        folder = workspace.path.parent if workspace.is_local else Path.cwd() / "runs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"cannot keep MLflow runs in {folder}; set MLFLOW_TRACKING_URI ({error})") from error
        return cls(sqlite_uri(folder / "mlflow.db"), (folder / "mlflow-artifacts").as_uri(), workspace.location)

    def client(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 take minutes to say that nobody answers
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # importing it sets its own levels
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        _probe_sqlite(self.uri)
        with self._alone():
            return MlflowClient(self.uri)

    def experiment(self, client: MlflowClient) -> str:
        """Id of our experiment, which is made where there is none."""
        with self._alone():
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is not None:
                return str(found.experiment_id)
            return str(client.create_experiment(EXPERIMENT, artifact_location=self.artifacts))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A block that one process of this machine runs at a time for the same database file; a server sees to that
        itself. Whoever opens a new file makes its tables, and two that do so at the same time break them: "table
        already exists", as two builds told that began together in a new folder."""
        with ExitStack() as held:
            if self.uri.startswith(SQLITE):
                file = _file_of(self.uri)
                with suppress(Timeout):  # whoever has held it for so long has been stopped
                    held.enter_context(FileLock(file.with_name(f".{file.name}.lock"), timeout=LOCK_S))
            yield

    def trouble(self, error: BaseException) -> None:
        """Say once that MLflow cannot be told, and leave it alone for a while."""
        if self not in _RESTING_UNTIL:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            log.warning(
                "MLflow at %s cannot be used (%s). The build goes on; what it would have been told is kept in %s/%s "
                "until a build finds it well. A damaged mlflow.db can be moved away",
                self.uri, reason, self.workspace, event_spool.FOLDER,
            )  # fmt: skip
        _RESTING_UNTIL[self] = time.monotonic() + REST_S

    def trust_again(self) -> None:
        """Forget earlier failures: ask it again."""
        _RESTING_UNTIL.pop(self, None)

    @property
    def rests(self) -> bool:
        """Whether it was in trouble a moment ago."""
        return time.monotonic() < _RESTING_UNTIL.get(self, 0.0)


_RESTING_UNTIL: dict[Store, float] = {}
"""Of this process: stores in trouble, and until when they are not asked again."""


def sqlite_uri(file: Path) -> str:
    """SQLAlchemy's address of a database file: what means something in an address is quoted, nothing else."""
    path = str(file)
    for character in "%?#":
        path = path.replace(character, f"%{ord(character):02X}")
    return f"{SQLITE}{path}"


def remove_stray_folder(uri: str) -> None:
    """Remove the folder that MLflow makes where the address is spelled: it keeps nothing in it."""
    spelled = Path(uri.removeprefix(SQLITE)).parent
    if uri.startswith(SQLITE) and unquote(str(spelled)) != str(spelled):
        with suppress(OSError):  # it is not there, or somebody's and not empty
            os.removedirs(spelled)


def _probe_sqlite(uri: str) -> None:
    """Find a damaged or unreachable database in milliseconds; SQLAlchemy tries ten times in a hundred seconds.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if uri.startswith(SQLITE):
        with closing(sqlite3.connect(_file_of(uri), timeout=10)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def there(uri: str) -> bool:
    """Whether a store can be asked without being made: a server, or a database file that is there."""
    return not uri.startswith(SQLITE) or _file_of(uri).exists()


def _file_of(uri: str) -> Path:
    return Path(unquote(uri.removeprefix(SQLITE)).partition("?")[0])


def exists(client: MlflowClient, run: str) -> bool:
    """Whether the store knows a run and has not deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run).info.lifecycle_stage == "active"
    except MlflowException:
        return False

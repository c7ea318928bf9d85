"""MLflow: one parent run a build, a child run a stage.

Only the driver and, for training curves, rank 0 write. The parent's id lies in the workspace, so a build that was
interrupted goes on in the same run; a stage that was interrupted goes on in the same child, and steps that are done
again are not logged again.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perse.data.workspace import Workspace
from perse.errors import StageError, WorkspaceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

EXPERIMENT = "perse"
NOTE = "mlflow.json"
"""Where a workspace keeps the ids of its runs."""

BATCH = 500
"""Metrics that are sent at once; MLflow takes 1,000 at most."""

BATCH_S = 5.0
"""Metrics wait no longer than this for others."""

MAX_PARAM_LENGTH = 500
"""Characters of a parameter; every store takes as many."""


@dataclass(frozen=True)
class Store:
    """Where runs are kept.

    Attributes:
        uri: tracking URI.
        artifacts: artifact location of a new experiment; None leaves it to the server.
    """

    uri: str
    artifacts: str | None

    @classmethod
    def beside(cls, workspace: Workspace) -> Store:
        """`MLFLOW_TRACKING_URI` where it is set, otherwise an SQLite file beside the workspace.

        MLflow itself would put artifacts below the working directory, which under `ray job submit` is a temporary one.
        """
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri:
            return cls(uri, None)
        folder = workspace.path.parent if workspace.is_local else Path.cwd() / "runs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"cannot keep MLflow runs in {folder}; set MLFLOW_TRACKING_URI ({error})") from error
        return cls(f"sqlite:///{folder}/mlflow.db", (folder / "mlflow-artifacts").as_uri())

    def client(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 take minutes to say that nobody answers
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # importing it sets its own levels
            logging.getLogger(name).setLevel(logging.WARNING)
        return MlflowClient(self.uri)


@dataclass
class StageLog:
    """One run's log. A small value until it is used: it travels to the worker of rank 0 and connects there."""

    store: Store
    run: str
    _waiting: list[tuple[str, float, int, int]] = field(default_factory=list)
    _sent_s: float = field(default_factory=time.monotonic)
    _last_step: dict[str, int] = field(default_factory=dict)
    _client: MlflowClient | None = None

    def params(self, values: Mapping[str, object]) -> None:
        """What the stage was asked to do. Values that are there already stay (MLflow forbids changing them)."""
        from mlflow.entities import Param

        known = self.client.get_run(self.run).data.params
        fresh = [Param(name, str(value)[:MAX_PARAM_LENGTH]) for name, value in values.items() if name not in known]
        for start in range(0, len(fresh), 100):
            self.client.log_batch(self.run, params=fresh[start : start + 100])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Numbers of a step; sent in batches. A step that a resumed run does again is left out."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            if step > self._last(name):
                self._last_step[name] = step
                self._waiting.append((name, float(value), now, step))
        if len(self._waiting) >= BATCH or time.monotonic() - self._sent_s > BATCH_S:
            self.flush()

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """A local file, copied into the run."""
        self.client.log_artifact(self.run, str(path), folder)

    def flush(self) -> None:
        """Send what waits."""
        from mlflow.entities import Metric

        waiting = [Metric(*one) for one in self._waiting]
        self._waiting.clear()
        self._sent_s = time.monotonic()
        for start in range(0, len(waiting), BATCH):
            self.client.log_batch(self.run, metrics=waiting[start : start + BATCH])

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Everything that was logged, by name: (step, value) in order."""
        self.flush()
        names = self.client.get_run(self.run).data.metrics
        histories = {name: self.client.get_metric_history(self.run, name) for name in names}
        return {name: sorted((point.step, point.value) for point in points) for name, points in histories.items()}

    @property
    def client(self) -> MlflowClient:
        if self._client is None:
            self._client = self.store.client()
        return self._client

    def _last(self, name: str) -> int:
        """Last step of a metric that this run holds, -1 if none."""
        if name not in self._last_step:
            history = self.client.get_metric_history(self.run, name)
            self._last_step[name] = max((point.step for point in history), default=-1)
        return self._last_step[name]

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "run": self.run}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


@dataclass
class BuildLog:
    """The parent run of a build."""

    workspace: Workspace
    parent: StageLog

    @classmethod
    def open(cls, workspace: Workspace, title: str) -> BuildLog:
        """The workspace's parent run: the one it has, or a new one.

        Raises:
            StageError: the tracking store cannot be used.
        """
        store = Store.beside(workspace)
        store.client()  # importing MLflow only after its environment is set
        from mlflow.exceptions import MlflowException

        try:
            return cls._opened(workspace, title, store)
        except MlflowException as error:
            reason = " ".join(str(error).split())[:200]
            raise StageError(
                f"MLflow at {store.uri} cannot be used; check MLFLOW_TRACKING_URI, or unset it ({reason})"
            ) from error

    @classmethod
    def _opened(cls, workspace: Workspace, title: str, store: Store) -> BuildLog:
        client = store.client()
        note = _read_note(workspace)
        run = note.get("parent") if note.get("uri") == store.uri else None
        if run is None or not _exists(client, run):
            experiment = _experiment(client, store)
            run = client.create_run(experiment, run_name=title).info.run_id
            workspace.write_json(NOTE, {"uri": store.uri, "parent": run, "stages": {}})
        client.update_run(run, "RUNNING")
        return cls(workspace, StageLog(store, run))

    @contextmanager
    def recorded(self) -> Iterator[BuildLog]:
        """System metrics while the block runs; the run ends as it does."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(
            self.parent.run, resume_logging=True, sampling_interval=10, tracking_uri=self.parent.store.uri
        )
        monitor.start()
        try:
            with self._ended(self.parent):
                yield self
        finally:
            monitor.finish()

    @contextmanager
    def stage(self, name: str) -> Iterator[StageLog]:
        """A child run. One that was interrupted is continued; one that finished is followed by another."""
        child = StageLog(self.parent.store, self._child(name))
        with self._ended(child):
            yield child

    def _child(self, name: str) -> str:
        client = self.parent.client
        note = _read_note(self.workspace)
        stages = note.get("stages", {})
        run = stages.get(name)
        if run is not None and _exists(client, run) and client.get_run(run).info.status != "FINISHED":
            client.update_run(run, "RUNNING")
            return str(run)
        experiment = client.get_run(self.parent.run).info.experiment_id
        tags = {"mlflow.parentRunId": self.parent.run}
        run = client.create_run(experiment, run_name=name, tags=tags).info.run_id
        self.workspace.write_json(NOTE, {**note, "stages": {**stages, name: run}})
        return str(run)

    @contextmanager
    def _ended(self, run: StageLog) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            run.flush()
            run.client.set_terminated(run.run, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        run.flush()
        run.client.set_terminated(run.run, "FINISHED")

    def register(self, avatar: Path, name: str, alias: str, model_code: Path) -> str:
        """Register the avatar's files (safetensors and JSON) as a model version and point the alias at it.

        Args:
            model_code: the Python file that MLflow runs to load it ("models from code").

        Returns:
            The version. The model can be loaded from ``models:/<name>@<alias>``; loading it runs this project's code
            and unpickles nothing.
        """
        import mlflow

        with (
            self.stage("register") as child,
            _tracking(self.parent.store.uri),
            mlflow.start_run(run_id=child.run),
            redirect_stderr(io.StringIO()),  # MLflow prints congratulations there
        ):
            info = mlflow.pyfunc.log_model(
                name="avatar",
                python_model=str(model_code),
                artifacts={"avatar": str(avatar)},
                pip_requirements=[],
                registered_model_name=name,
            )
        version = str(info.registered_model_version)
        self.parent.client.set_registered_model_alias(name, alias, version)
        return version


@contextmanager
def _tracking(uri: str) -> Iterator[None]:
    """MLflow's model functions know the store only as a global; put back what was there."""
    import mlflow

    before: Any = os.environ.get("MLFLOW_TRACKING_URI")  # setting the URI sets this too; None unsets it
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _read_note(workspace: Workspace) -> dict[str, Any]:
    return workspace.read_json(NOTE) if workspace.has(NOTE) else {}


def _exists(client: MlflowClient, run: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run).info.lifecycle_stage == "active"
    except MlflowException:
        return False


def _experiment(client: MlflowClient, store: Store) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(EXPERIMENT, artifact_location=store.artifacts))

"""MLflow: one parent run a build, a child run a stage.

Only the driver and, for training curves, rank 0 write. The parent's id lies in the workspace, so a build that was
interrupted goes on in the same run; a stage that was interrupted goes on in the same child, and steps that are done
again are not logged again.

No trouble with MLflow ends a build: a server that does not answer, a full disk, a damaged database. One warning says
so; what it would have been told is kept in the workspace (`event_spool`) until a build finds MLflow well again.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from perse.data.workspace import Workspace
from perse.errors import StageError, WorkspaceError
from perse_ray.registry import event_spool, model_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

EXPERIMENT = "perse"
NOTE = "mlflow.json"
"""Where a workspace keeps the ids of its runs."""

FOLDERS_OF_FILES = ("file:", "./", "/")
"""Addresses of MLflow's oldest store."""

PENDING = "pending"
"""The version of a model that MLflow does not know yet."""

REST_S = 60.0
"""After trouble MLflow is left alone for so long: each attempt may take as much."""

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
        workspace: where events are kept that it cannot take.
    """

    uri: str
    artifacts: str | None
    workspace: str = ""

    @classmethod
    def beside(cls, workspace: Workspace) -> Store:
        """`MLFLOW_TRACKING_URI` where it is set, otherwise an SQLite file beside the workspace.

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
        return MlflowClient(self.uri)

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
    return f"sqlite:///{path}"


def _remove_stray_folder(uri: str) -> None:
    """MLflow makes the folder that the address spells, and keeps nothing in it."""
    spelled = Path(uri.removeprefix("sqlite:///")).parent
    if uri.startswith("sqlite:///") and unquote(str(spelled)) != str(spelled):
        with suppress(OSError):  # it is not there, or somebody's and not empty
            os.removedirs(spelled)


def _probe_sqlite(uri: str) -> None:
    """Find a damaged or unreachable database in milliseconds; SQLAlchemy tries ten times in a hundred seconds.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if uri.startswith("sqlite:///"):
        with closing(
            sqlite3.connect(unquote(uri.removeprefix("sqlite:///")).partition("?")[0], timeout=10)
        ) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()


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
        self._tell("params", values={name: str(value)[:MAX_PARAM_LENGTH] for name, value in values.items()})

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
        self._tell("artifact", path=str(path), folder=folder)

    def end(self, status: str) -> None:
        """Nothing follows but another start."""
        self._tell("end", status=status)

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        self._sent_s = time.monotonic()
        for start in range(0, len(waiting), BATCH):
            self._tell("metrics", values=waiting[start : start + BATCH])

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Everything that was logged, by name: (step, value) in order."""
        self.flush()
        points: dict[str, dict[int, float]] = {}
        with self._forgiven():
            known = _exists(self.client, self.run)  # it may be of another database, where the workspace was before
            for name in self.client.get_run(self.run).data.metrics if known else ():
                history = self.client.get_metric_history(self.run, name)
                points[name] = {point.step: point.value for point in history}
        for name, value, _, step in self._kept_metrics():
            points.setdefault(name, {})[step] = value
        return {name: sorted(curve.items()) for name, curve in points.items()}

    @property
    def client(self) -> MlflowClient:
        if self._client is None:
            self._client = self.store.client()
        return self._client

    def _last(self, name: str) -> int:
        """Last step of a metric that this run holds, -1 if none."""
        if name not in self._last_step:
            steps = [step for kept_name, _, _, step in self._kept_metrics() if kept_name == name]
            with self._forgiven():
                steps += [point.step for point in self.client.get_metric_history(self.run, name)]
            self._last_step[name] = max(steps, default=-1)
        return self._last_step[name]

    def _tell(self, kind: str, **content: Any) -> None:
        """Tell MLflow, or keep it for later."""
        event = {"run": self.run, "kind": kind, **content}
        if self._is_told():
            try:
                deliver(self.client, event)
                return
            except Exception as error:  # MLflow's, the database's, the network's and the disk's have nothing in common
                self.store.trouble(error)
        if self.store.workspace:
            event_spool.keep(Workspace(self.store.workspace), event)

    def _is_told(self) -> bool:
        return not self.run.startswith(event_spool.WAITING) and not self.store.rests

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """What MLflow does not answer is not known."""
        if self._is_told():
            try:
                yield
            except Exception as error:  # see _tell
                self.store.trouble(error)
        else:
            with suppress(Exception):
                yield

    def _kept_metrics(self) -> Iterator[tuple[str, float, int, int]]:
        if self.store.workspace:
            for _, event in event_spool.kept(Workspace(self.store.workspace)):
                if event["run"] == self.run and event["kind"] == "metrics":
                    yield from event["values"]

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
        """The workspace's parent run: the one it has, or a new one. What was kept for MLflow is told first.

        Raises:
            StageError: the tracking address is not one that MLflow writes to.
        """
        store = Store.beside(workspace)
        _RESTING_UNTIL.pop(store, None)
        note = _read_note(workspace)
        run = str(note["parent"]) if note.get("parent") and note.get("uri") == store.uri else None
        if run is None:
            workspace.write_json(NOTE, {"uri": store.uri, "parent": None, "stages": {}})
        log = cls(workspace, StageLog(store, run or event_spool.waiting_run()))
        log._replay()
        run = _read_note(workspace).get("parent")
        opened = cls(workspace, StageLog(store, log._continued(run, title)))
        workspace.write_json(NOTE, {**_read_note(workspace), "uri": store.uri, "parent": opened.parent.run})
        _remove_stray_folder(store.uri)
        return opened

    @contextmanager
    def recorded(self) -> Iterator[BuildLog]:
        """System metrics while the block runs; the run ends as it does."""
        monitor = self._monitor()
        try:
            with self._ended(self.parent):
                yield self
        finally:
            if monitor is not None:
                with suppress(Exception):
                    monitor.finish()
            if not self.parent.store.rests:
                self._replay()
            _remove_stray_folder(self.parent.store.uri)

    def _monitor(self) -> Any:
        """MLflow's own, started; None while there is nobody to tell."""
        if not self.parent._is_told():
            return None
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        try:
            monitor = SystemMetricsMonitor(
                self.parent.run, resume_logging=True, sampling_interval=10, tracking_uri=self.parent.store.uri
            )
            monitor.start()
        except Exception as error:  # see StageLog._tell
            self.parent.store.trouble(error)
            return None
        return monitor

    @contextmanager
    def stage(self, name: str) -> Iterator[StageLog]:
        """A child run. One that was interrupted is continued; one that finished is followed by another."""
        stages = _read_note(self.workspace).get("stages", {})
        run = self._continued(stages.get(name), name, parent=self.parent.run)
        note = _read_note(self.workspace)
        self.workspace.write_json(NOTE, {**note, "stages": {**note.get("stages", {}), name: run}})
        child = StageLog(self.parent.store, run)
        with self._ended(child):
            yield child

    def _continued(self, run: str | None, name: str, parent: str | None = None) -> str:
        """The run if it can go on, otherwise a new one; or the id of one that is made later."""
        store = self.parent.store
        if not store.rests and not (parent or "").startswith(event_spool.WAITING):
            try:
                client = store.client()
                if run is not None and _exists(client, run):
                    ended = parent is not None and client.get_run(run).info.status == "FINISHED"
                    if not ended:
                        client.update_run(run, "RUNNING")
                        return run
                return _created(client, store, name, parent)
            except Exception as error:  # see StageLog._tell
                store.trouble(error)
        if run is not None and (parent is None or run.startswith(event_spool.WAITING)):
            return run
        waiting = event_spool.waiting_run()
        event_spool.keep(self.workspace, {"run": waiting, "kind": "create", "name": name, "parent": parent})
        return waiting

    def _replay(self) -> None:
        """Tell MLflow what was kept for it, in order; what it does not take stays."""
        store = self.parent.store
        real: dict[str, str] = {}
        try:
            for path, event in event_spool.kept(self.workspace):
                client = self.parent.client
                told = {**event, "run": real.get(event["run"], event["run"])}
                if event["kind"] != "create" and not told["run"].startswith(event_spool.WAITING):
                    real[event["run"]] = told["run"] = self._run_again(client, told["run"])
                if event["kind"] == "create":
                    parent = event.get("parent")
                    run = _created(client, store, event["name"], real.get(parent or "", parent))
                    real[event["run"]] = run
                    self._renamed(event["run"], run)
                elif event["kind"] == "register":
                    _registered(store, told)
                elif not told["run"].startswith(event_spool.WAITING):
                    deliver(client, told)
                self.workspace.remove(path)
        except Exception as error:  # see StageLog._tell
            store.trouble(error)

    def _run_again(self, client: MlflowClient, run: str) -> str:
        """The run, or one in its place if it was lost with its database."""
        if _exists(client, run):
            return run
        note = _read_note(self.workspace)
        stage = next((name for name, one in note.get("stages", {}).items() if one == run), None)
        parent = note.get("parent") if stage else None
        if parent is not None:
            parent = self._run_again(client, parent)
        new = _created(client, self.parent.store, stage or "build", parent)
        self._renamed(run, new)
        return new

    def _renamed(self, waiting: str, run: str) -> None:
        """A run that was waited for is made: those who come later find it, and what follows in the spool too."""
        note = _read_note(self.workspace)
        stages = {name: run if one == waiting else one for name, one in note.get("stages", {}).items()}
        parent = run if note.get("parent") == waiting else note.get("parent")
        self.workspace.write_json(NOTE, {**note, "parent": parent, "stages": stages})
        for path, event in list(event_spool.kept(self.workspace)):
            changed = {**event, "run": run if event["run"] == waiting and event["kind"] != "create" else event["run"]}
            if event.get("parent") == waiting:
                changed["parent"] = run
            if changed != event:
                self.workspace.write(path, json.dumps(changed).encode())
        if self.parent.run == waiting:
            self.parent.run = run

    @contextmanager
    def _ended(self, run: StageLog) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            run.flush()
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        run.flush()
        run.end("FINISHED")

    def register(self, avatar: Path, name: str, alias: str, model_code: Path) -> str:
        """Register the avatar's files (safetensors and JSON) as a model version and point the alias at it.

        Args:
            model_code: the Python file that MLflow runs to load it ("models from code").

        Returns:
            The version. The model can be loaded from ``models:/<name>@<alias>``; loading it runs this project's code
            and unpickles nothing.
        """
        with self.stage("register") as child:
            event = {"run": child.run, "kind": "register", "avatar": str(avatar), "name": name, "alias": alias}
            event |= {"model_code": str(model_code)}
            if child._is_told():
                try:
                    return _registered(self.parent.store, event)
                except Exception as error:  # see StageLog._tell
                    self.parent.store.trouble(error)
            event_spool.keep(self.workspace, event)
        return PENDING


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


def deliver(client: MlflowClient, event: event_spool.Event) -> None:
    """Tell MLflow one event.

    Raises:
        Exception: whatever MLflow and what is below it raise.
    """
    from mlflow.entities import Metric, Param

    run, kind = event["run"], event["kind"]
    if kind == "params":
        known = client.get_run(run).data.params
        fresh = [Param(name, value) for name, value in event["values"].items() if name not in known]
        for start in range(0, len(fresh), 100):
            client.log_batch(run, params=fresh[start : start + 100])
    elif kind == "metrics":
        client.log_batch(run, metrics=[Metric(*one) for one in event["values"]])
    elif kind == "artifact":
        if Path(event["path"]).exists():  # what was temporary then is gone now
            client.log_artifact(run, event["path"], event["folder"])
    elif kind == "end":
        client.set_terminated(run, event["status"])


def _created(client: MlflowClient, store: Store, name: str, parent: str | None) -> str:
    if parent is None:
        return str(client.create_run(_experiment(client, store), run_name=name).info.run_id)
    experiment = client.get_run(parent).info.experiment_id
    return str(client.create_run(experiment, run_name=name, tags={"mlflow.parentRunId": parent}).info.run_id)


def _registered(store: Store, event: event_spool.Event) -> str:
    """Register what an event names; the version."""
    import mlflow

    with (
        _tracking(store.uri),
        mlflow.start_run(run_id=event["run"]),
        redirect_stderr(io.StringIO()),  # MLflow prints congratulations there
    ):
        info = mlflow.pyfunc.log_model(
            name="avatar",
            python_model=event["model_code"],
            artifacts={"avatar": event["avatar"]},
            code_paths=model_files.code_folders(),
            pip_requirements=model_files.requirements(),
            signature=model_files.signature(),
            input_example=model_files.example(),
            registered_model_name=event["name"],
        )
    version = str(info.registered_model_version)
    store.client().set_registered_model_alias(event["name"], event["alias"], version)
    return version


def prepare(workspace: Workspace) -> None:
    """Make MLflow's database and experiment before several processes do at the same time, which breaks it."""
    store = Store.beside(workspace)
    try:
        _experiment(store.client(), store)
    except Exception as error:  # see StageLog._tell
        store.trouble(error)


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

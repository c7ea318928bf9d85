"""MLflow runs of a build: one parent run a build, a child run a stage.

Only the driver and, for training curves, rank 0 write. The parent's id lies in the workspace, so a build that was
interrupted goes on in the same run; a stage that was interrupted goes on in the same child, and steps that are done
again are not logged again.

No trouble with MLflow ends a build: a server that does not answer, a full disk, a damaged database. One warning says
so; what it would have been told is kept in the workspace (`event_spool`) until a build finds MLflow well again.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perse.data.workspace import Workspace
from perse.errors import DamagedFile
from perse_ray.registry import event_spool, model_files
from perse_ray.registry.mlflow_store import Store, exists, remove_stray_folder
from perse_ray.registry.stage_log import StageLog, deliver

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE = "mlflow.json"
"""Where a workspace keeps the ids of its runs."""

PENDING = "pending"
"""The version of a model that MLflow does not know yet."""

NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says of a version that it does not have, and of one that cannot be."""


@dataclass
class BuildLog:
    """Log of a build: its parent run."""

    workspace: Workspace
    parent: StageLog

    @classmethod
    def open(cls, workspace: Workspace, title: str) -> BuildLog:
        """Log with the workspace's parent run: the one it has, or a new one. What was kept for MLflow is told first.

        Raises:
            StageError: the tracking address is not one that MLflow writes to.
        """
        store = Store.beside(workspace)
        store.trust_again()
        note = read_note(workspace)
        run = str(note["parent"]) if note.get("parent") and note.get("uri") == store.uri else None
        if run is None:
            workspace.write_json(NOTE, {"uri": store.uri, "parent": None, "stages": {}})
        log = cls(workspace, StageLog(store, run or event_spool.waiting_run()))
        log._replay()
        run = read_note(workspace).get("parent")
        opened = cls(workspace, StageLog(store, log._continued(run, title)))
        workspace.write_json(NOTE, {**read_note(workspace), "uri": store.uri, "parent": opened.parent.run})
        remove_stray_folder(store.uri)
        return opened

    @contextmanager
    def recorded(self) -> Iterator[BuildLog]:
        """Context in which system metrics are recorded; the run ends as the block does."""
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
            remove_stray_folder(self.parent.store.uri)

    def _monitor(self) -> Any:
        """MLflow's own, started; None while there is nobody to tell."""
        if not self.parent.is_told():
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
        """Context with the log of a child run. One that was interrupted is continued; one that finished is followed by
        another."""
        stages = read_note(self.workspace).get("stages", {})
        run = self._continued(stages.get(name), name, parent=self.parent.run)
        note = read_note(self.workspace)
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
                if run is not None and exists(client, run):
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
        if exists(client, run):
            return run
        note = read_note(self.workspace)
        stage = next((name for name, one in note.get("stages", {}).items() if one == run), None)
        parent = note.get("parent") if stage else None
        if parent is not None:
            parent = self._run_again(client, parent)
        new = _created(client, self.parent.store, stage or "build", parent)
        self._renamed(run, new)
        return new

    def _renamed(self, waiting: str, run: str) -> None:
        """A run that was waited for is made: those who come later find it, and what follows in the spool too."""
        note = read_note(self.workspace)
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
            if child.is_told():
                try:
                    return _registered(self.parent.store, event)
                except Exception as error:  # see StageLog._tell
                    self.parent.store.trouble(error)
            event_spool.keep(self.workspace, event)
        return PENDING

    def has_registered(self, model: str) -> bool:
        """Whether "NAME version N" is in MLflow, and is this workspace's. Where MLflow cannot be asked, or is still
        to be told, that is believed."""
        from mlflow.exceptions import MlflowException

        name, _, version = model.partition(" version ")
        if not self.parent.is_told():
            return True
        if version == PENDING:
            return any(event["kind"] == "register" for _, event in event_spool.kept(self.workspace))
        try:
            found = self.parent.client.get_model_version(name, version)
        except MlflowException as error:
            return error.error_code not in NOT_THERE
        except Exception as error:  # see StageLog._tell
            self.parent.store.trouble(error)
            return True
        return found.run_id == read_note(self.workspace).get("stages", {}).get("register")

    def told_later(self, name: str) -> str | None:
        """Version of a model that waited to be told and has been; None if there is none (yet)."""
        if not self.parent.is_told():
            return None
        run = read_note(self.workspace).get("stages", {}).get("register")
        try:
            found = self.parent.client.search_model_versions(f"name = '{name}' and run_id = '{run}'")
        except Exception as error:  # see StageLog._tell
            self.parent.store.trouble(error)
            return None
        return str(max(int(one.version) for one in found)) if found else None


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


def _created(client: MlflowClient, store: Store, name: str, parent: str | None) -> str:
    if parent is None:
        return str(client.create_run(store.experiment(client), run_name=name).info.run_id)
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


def read_note(workspace: Workspace) -> dict[str, Any]:
    """Ids that a workspace keeps; where they cannot be read the build goes on in new runs."""
    try:
        note = workspace.read_json(NOTE) if workspace.has(NOTE) else {}
    except DamagedFile:
        return {}
    stages = note.get("stages")
    named = stages.items() if isinstance(stages, dict) else ()
    found = {name: run for name, run in note.items() if name in ("uri", "parent") and isinstance(run, str)}
    return {**found, "stages": {name: run for name, run in named if isinstance(run, str)}}

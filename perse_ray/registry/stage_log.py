"""Log of one MLflow run, which keeps in the workspace what MLflow does not take (`event_spool`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perse.data.workspace import Workspace
from perse_ray.registry import event_spool
from perse_ray.registry.mlflow_store import Store, exists

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 500
"""Metrics that are sent at once; MLflow takes 1,000 at most."""

BATCH_S = 5.0
"""Metrics wait no longer than this for others."""

MAX_PARAM_LENGTH = 500
"""Characters of a parameter; every store takes as many."""


@dataclass
class StageLog:
    """Log of one run. A small value until it is used: it travels to the worker of rank 0 and connects there."""

    store: Store
    run: str
    _waiting: list[tuple[str, float, int, int]] = field(default_factory=list)
    _sent_s: float = field(default_factory=time.monotonic)
    _last_step: dict[str, int] = field(default_factory=dict)
    _client: MlflowClient | None = None

    def params(self, values: Mapping[str, object]) -> None:
        """Write what the stage was asked to do. Values that are there already stay (MLflow forbids changing them)."""
        self._tell("params", values={name: str(value)[:MAX_PARAM_LENGTH] for name, value in values.items()})

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Write numbers of a step; sent in batches. A step that a resumed run does again is left out."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            if step > self._last(name):
                self._last_step[name] = step
                self._waiting.append((name, float(value), now, step))
        if len(self._waiting) >= BATCH or time.monotonic() - self._sent_s > BATCH_S:
            self.flush()

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a local file into the run."""
        self._tell("artifact", path=str(path), folder=folder)

    def end(self, status: str) -> None:
        """End the run: nothing follows but another start."""
        self._tell("end", status=status)

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        self._sent_s = time.monotonic()
        for start in range(0, len(waiting), BATCH):
            self._tell("metrics", values=waiting[start : start + BATCH])

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Curves of everything that was logged, by name: (step, value) in order."""
        self.flush()
        points: dict[str, dict[int, float]] = {}
        with self._forgiven():
            known = exists(self.client, self.run)  # it may be of another database, where the workspace was before
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
        if self.is_told():
            try:
                deliver(self.client, event)
                return
            except Exception as error:  # MLflow's, the database's, the network's and the disk's have nothing in common
                self.store.trouble(error)
        if self.store.workspace:
            event_spool.keep(Workspace(self.store.workspace), event)

    def is_told(self) -> bool:
        """Whether MLflow is told now, and not later."""
        return not self.run.startswith(event_spool.WAITING) and not self.store.rests

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """What MLflow does not answer is not known."""
        if self.is_told():
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

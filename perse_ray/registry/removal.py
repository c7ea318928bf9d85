"""Removal of a person from MLflow: the registered model, the runs, and where their files lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from perse.data.workspace import Workspace
from perse.errors import WorkspaceError
from perse_ray.registry import event_spool
from perse_ray.registry.mlflow_log import read_note
from perse_ray.registry.mlflow_store import Store, there

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_KEY = 12
"""Digits of a portrait's key in the name of its model."""


def head_model_name(key: str) -> str:
    """Name of the registered head avatar of a portrait."""
    return f"perse-{key[:MODEL_KEY]}"


def body_model_name(key: str) -> str:
    """Name of the registered whole-body avatar of a photograph."""
    return f"perse-body-{key[:MODEL_KEY]}"


@dataclass
class RemovedFromMlflow:
    """Result of a removal: what was removed, and what remains to be.

    Attributes:
        models: names.
        runs: how many.
        folders: local ones with files of those runs and models.
        problems: what could not be done.
    """

    models: list[str] = field(default_factory=list)
    runs: int = 0
    folders: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def remove_from_mlflow(workspace: Workspace, keys: Sequence[str]) -> RemovedFromMlflow:
    """Delete what a workspace has told MLflow.

    Args:
        keys: of the person.
    """
    done = RemovedFromMlflow()
    with _said(done, "MLflow cannot be asked"):
        note = read_note(workspace)
        uri = str(note.get("uri") or Store.beside(workspace).uri)  # models have the person's key in their name
        if not _named_runs(note) and not there(uri):
            return done
        client = _client_of(uri, workspace)
        runs = _runs(client, note)
        for key in keys:
            for name in (head_model_name(key), body_model_name(key)):
                _remove_models(client, name, done)
        for run in runs:
            _remove_run(client, run, done)
    return done


def _client_of(uri: str, workspace: Workspace) -> MlflowClient:
    """The store that was told of the person, whatever the environment names today.

    Raises:
        WorkspaceError: it is a database file that is not there; asking for it would make an empty one.
    """
    if not there(uri):
        raise WorkspaceError(f"{uri}, which was told of this person, is gone; if it was moved, delete it there")
    return Store(uri, None, workspace.location).client()


def _named_runs(note: dict[str, Any]) -> list[str]:
    """Runs that a workspace remembers and MLflow was told of."""
    runs = [note.get("parent"), *note.get("stages", {}).values()]
    return [run for run in runs if run and not run.startswith(event_spool.WAITING)]


def _runs(client: MlflowClient, note: dict[str, Any]) -> list[str]:
    """The parent, its stages, and children that a stage had before."""
    runs = _named_runs(note)
    with suppress(Exception):  # a parent that is gone, or that nobody remembers, has no children
        experiment = client.get_run(runs[0]).info.experiment_id
        children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{runs[0]}'")
        runs += [child.info.run_id for child in children]
    return list(dict.fromkeys(runs))


def _remove_models(client: MlflowClient, name: str, done: RemovedFromMlflow) -> None:
    versions = client.search_model_versions(f"name='{name}'")
    if not versions:
        return
    with _said(done, f"model {name} cannot be deleted"):
        for version in versions:
            with suppress(Exception):  # older stores have no logged models
                done.folders += _local(
                    client.get_logged_model(str(version.source).rpartition("/")[2]).artifact_location
                )
        client.delete_registered_model(name)
        done.models.append(name)


def _remove_run(client: MlflowClient, run: str, done: RemovedFromMlflow) -> None:
    with _said(done, f"run {run} cannot be deleted"):
        info = client.get_run(run).info
        done.folders += _local(info.artifact_uri)
        with suppress(Exception):
            for model in client.search_logged_models([info.experiment_id], f"source_run_id = '{run}'"):
                done.folders += _local(model.artifact_location)
                client.delete_logged_model(model.model_id)
        client.delete_run(run)
        hard = getattr(client._tracking_client.store, "_hard_delete_run", None)
        if hard is not None:  # of a database; a server keeps the deleted run until `mlflow gc`
            hard(run)
        else:
            done.problems.append(f"run {run} is deleted; its server keeps it until it runs `mlflow gc`")
        done.runs += 1


def _local(uri: str | None) -> list[str]:
    """The folder of a file address, the run's own and not only its artifacts; none if it is another address."""
    address = urlparse(uri or "")
    if address.scheme not in ("", "file") or not address.path:
        return []
    path = Path(unquote(address.path))
    return [str(path.parent if path.name == "artifacts" else path)]


@contextmanager
def _said(done: RemovedFromMlflow, what: str) -> Iterator[None]:
    """MLflow's trouble is told and does not end the removal."""
    try:
        yield
    except Exception as error:  # MLflow's, the database's, the network's have nothing in common
        done.problems.append(f"{what}: {' '.join(str(error).split())[:200]}")

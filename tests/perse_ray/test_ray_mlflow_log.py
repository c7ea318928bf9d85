"""What MLflow keeps of a build, on its default store."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.build.stages.register import MODEL_CODE, REGISTERED_ALIAS
from perse_ray.registry.mlflow_log import BuildLog, Store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests here: making a new store takes seconds."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def workspace(home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield Workspace.open(home / request.node.name)


def test_the_store_lies_beside_the_workspace_unless_told_otherwise(
    workspace: Workspace, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.beside(workspace)
    assert store.uri == f"sqlite:///{home}/mlflow.db"
    assert store.artifacts == f"file://{home}/mlflow-artifacts"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert Store.beside(workspace) == Store("http://tracking:5000", None)


def test_a_build_is_a_parent_with_children(workspace: Workspace, home: Path) -> None:
    sheet = home / "sheet.txt"
    sheet.write_text("a picture")
    build = BuildLog.open(workspace, "laptop")
    with build.recorded(), build.stage("train") as stage:
        stage.params({"steps": 100})
        stage.params({"steps": 100, "seed": 1})
        for step in range(3):
            stage.metrics({"loss": 1.0 / (step + 1), "psnr": float(step)}, step)
        stage.artifact(sheet, "sheets")
    run = build.parent.client.get_run(stage.run)
    assert run.data.params == {"steps": "100", "seed": "1"}
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == build.parent.run
    assert stage.curves()["loss"] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert list((home / "mlflow-artifacts").rglob("sheet.txt"))
    assert build.parent.client.get_run(build.parent.run).info.status == "FINISHED"


def test_an_interrupted_build_goes_on_in_the_same_runs_without_repeating_steps(workspace: Workspace) -> None:
    first = BuildLog.open(workspace, "laptop")
    with pytest.raises(RuntimeError), first.recorded(), first.stage("train") as killed:
        killed.metrics({"loss": 3.0}, 0)
        killed.metrics({"loss": 2.0}, 1)
        raise RuntimeError("power cut")
    assert first.parent.client.get_run(first.parent.run).info.status == "FAILED"
    again = BuildLog.open(workspace, "laptop")
    assert again.parent.run == first.parent.run
    with again.recorded(), again.stage("train") as stage:
        assert stage.run == killed.run
        for step, loss in enumerate([3.0, 2.0, 1.0]):
            stage.metrics({"loss": loss}, step)
    assert stage.curves()["loss"] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    with again.stage("train") as third:
        assert third.run != stage.run, "a finished stage that is done again is another run"


def test_a_log_travels_to_rank_zero(workspace: Workspace) -> None:
    build = BuildLog.open(workspace, "x")
    with build.stage("train") as stage:
        there = pickle.loads(pickle.dumps(stage))
        there.metrics({"loss": 1.0}, 0)
        there.flush()
    assert stage.curves() == {"loss": [(0, 1.0)]}


def test_an_avatar_is_registered_with_an_alias_and_without_pickle(workspace: Workspace) -> None:
    folder = workspace.local_path("avatar/x").parent
    (folder / "avatar.json").write_text("{}")
    build = BuildLog.open(workspace, "x")
    assert build.register(folder, "perse-someone", REGISTERED_ALIAS, MODEL_CODE) == "1"
    assert build.register(folder, "perse-someone", REGISTERED_ALIAS, MODEL_CODE) == "2"
    client = build.parent.client
    assert client.get_model_version_by_alias("perse-someone", REGISTERED_ALIAS).version in (2, "2")
    files = [path for path in (workspace.path.parent / "mlflow-artifacts").rglob("*") if path.is_file()]
    assert any(path.name == "avatar.json" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle")]


def test_a_store_that_nobody_answers_for_is_an_error_in_one_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StageError, match=r"MLflow at http://127\.0\.0\.1:9 cannot be used; check MLFLOW_TRACKING_URI"):
        BuildLog.open(workspace, "x")

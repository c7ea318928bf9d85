"""What MLflow keeps of a build, on its default store."""

from __future__ import annotations

import logging
import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError

import pytest

from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.build.stages.register import MODEL_CODE, REGISTERED_ALIAS, doubt_model, settle_model
from perse_ray.registry import event_spool, mlflow_log, mlflow_store, stage_log
from perse_ray.registry.mlflow_log import PENDING, BuildLog
from perse_ray.registry.mlflow_store import Store
from perse_ray.registry.stage_log import StageLog


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests here: making a new store takes seconds."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def nobody_rests() -> Iterator[None]:
    yield
    mlflow_store._RESTING_UNTIL.clear()


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
    assert Store.beside(workspace) == Store("http://tracking:5000", None, workspace.location)


def run_of_a_new_store(uri: str, together: Barrier, found: Queue[str]) -> None:
    logging.disable()
    with suppress(BrokenBarrierError):
        together.wait(60)
    try:
        store = Store(uri, None)
        found.put(mlflow_log._created(store.client(), store, "build", None))
    except Exception as error:
        found.put(f"failed: {error}")


def test_builds_that_begin_together_in_a_new_folder_share_its_database(workspace: Workspace, tmp_path: Path) -> None:
    """build-many lost one of two: "table _alembic_tmp_experiments already exists"."""
    Store.beside(workspace).client()  # MLflow is imported once, before the processes part
    fork = get_context("fork")
    together, found = fork.Barrier(3), fork.Queue()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    builds = [fork.Process(target=run_of_a_new_store, args=(uri, together, found)) for _ in range(3)]
    for build in builds:
        build.start()
    runs = [found.get(timeout=200) for _ in builds]
    for build in builds:
        build.join()
    assert len(set(runs)) == 3 and not [run for run in runs if run.startswith("failed")], runs


def test_who_is_stopped_keeps_nobody_waiting_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_store, "LOCK_S", 0.3)
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", None)
    with store._alone(), Store(store.uri, None, "another")._alone():
        pass


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


def test_a_registration_holds_while_mlflow_has_it_and_no_longer(
    workspace: Workspace, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An avatar that was registered in a database that is gone, or by somebody else, is registered again."""
    folder = workspace.local_path("avatar/x").parent
    (folder / "avatar.json").write_text("{}")
    build = BuildLog.open(workspace, "x")
    model = f"perse-held version {build.register(folder, 'perse-held', REGISTERED_ALIAS, MODEL_CODE)}"
    workspace.commit("register", {"inputs": "x", "result": {"model": model}})
    told: list[str] = []
    doubt_model(build, told.append)
    assert workspace.manifest("register") and not told
    other = Workspace.open(home / "of the same person")
    assert not BuildLog.open(other, "x").has_registered(model), "it is not what that workspace has made"
    moved = Workspace.open(tmp_path / "moved")
    shutil.copytree(workspace.path, moved.path, dirs_exist_ok=True)
    log = BuildLog.open(moved, "x")
    waits = f"perse-held version {PENDING}"
    assert not log.has_registered(waits), "nobody is going to tell it"
    event_spool.keep(moved, {"run": event_spool.waiting_run(), "kind": "register"})
    assert log.has_registered(waits), "it is told later"
    doubt_model(log, told.append)
    assert moved.manifest("register") is None and model in told[0]
    monkeypatch.setattr(StageLog, "is_told", lambda _: False)
    assert log.has_registered(model), "nobody can be asked"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"result": 3}', b'{"result": {}}'])
def test_a_damaged_note_of_a_registration_is_no_trouble(workspace: Workspace, content: bytes) -> None:
    workspace.write("manifests/register.json", content)
    doubt_model(BuildLog(workspace, StageLog(Store.beside(workspace), "x")), print)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stages": 3, "parent": 4}', b'{"stages": {"train": []}}'])
def test_a_damaged_note_of_runs_costs_no_build(workspace: Workspace, content: bytes) -> None:
    """Every build ended there, and said that the next one would go on."""
    workspace.write("mlflow.json", content)
    build = BuildLog.open(workspace, "x")
    with build.recorded(), build.stage("train"):
        pass
    note = workspace.read_json("mlflow.json")
    assert note["parent"] == build.parent.run and list(note["stages"]) == ["train"]


def whole_build(workspace: Workspace) -> BuildLog:
    """A build that logs one of everything."""
    build = BuildLog.open(workspace, "laptop")
    with build.recorded():
        build.parent.params({"recipe": "laptop"})
        with build.stage("train") as stage:
            stage.params({"steps": 2})
            for step in range(2):
                stage.metrics({"loss": 1.0 - step}, step)
            assert stage.curves() == {"loss": [(0, 1.0), (1, 0.0)]}
    return build


def told(build: BuildLog) -> dict[str, tuple[str, dict[str, str], dict[str, float]]]:
    """What MLflow knows of a build's runs: status, parameters, metrics."""
    note = build.workspace.read_json("mlflow.json")
    client = build.parent.client
    runs = {name: client.get_run(run) for name, run in {"parent": note["parent"], **note["stages"]}.items()}
    assert runs["train"].data.tags["mlflow.parentRunId"] == note["parent"]
    return {name: (run.info.status, run.data.params, run.data.metrics) for name, run in runs.items()}


EVERYTHING = {
    "parent": ("FINISHED", {"recipe": "laptop"}, {}),
    "train": ("FINISHED", {"steps": "2"}, {"loss": 0.0}),
}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if "cannot be used" in one.getMessage()]


@pytest.mark.parametrize("damage", [b"SQLite format 3\0" + b"half of it", b"nothing of the kind" * 100])
def test_a_damaged_database_loses_neither_the_build_nor_its_numbers(
    tmp_path: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace.open(tmp_path / "w")
    (tmp_path / "mlflow.db").write_bytes(damage)
    whole_build(workspace)
    (warning,) = warnings_of(caplog)
    assert "tracking" in warning and "\n" not in warning
    again = BuildLog.open(workspace, "laptop")
    again.parent.params({"twice": 1})
    assert again.parent.run.startswith(event_spool.WAITING), "it waits still, for the same run"
    (tmp_path / "mlflow.db").unlink()
    build = BuildLog.open(workspace, "laptop")
    assert not workspace.names("tracking")
    found = told(build)
    assert found["parent"][1] == {"recipe": "laptop", "twice": "1"} and found["train"] == EVERYTHING["train"]


def test_a_server_that_nobody_answers_for_is_a_warning(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    build = whole_build(workspace)
    assert len(warnings_of(caplog)) == 1 and "http://127.0.0.1:9" in warnings_of(caplog)[0]
    folder = workspace.local_path("avatar/x").parent
    assert build.register(folder, "perse-someone", "champion", MODEL_CODE) == PENDING


def test_trouble_in_the_middle_is_made_good_at_the_next_build(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk: the database can be read, and takes nothing."""
    build = BuildLog.open(workspace, "laptop")
    with monkeypatch.context() as full:
        full.setattr(stage_log, "deliver", broken)
        full.setattr(mlflow_log, "deliver", broken)
        with build.recorded(), build.stage("train") as stage:
            build.parent.params({"recipe": "laptop"})
            stage.params({"steps": 2})
            stage.metrics({"loss": 1.0}, 0)
            stage.metrics({"loss": 0.0}, 1)
    assert len(warnings_of(caplog)) == 1
    assert told(BuildLog.open(workspace, "laptop"))["train"] == EVERYTHING["train"]


def test_a_registration_that_waited_is_made_at_the_next_build(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = workspace.local_path("avatar/x").parent
    (folder / "avatar.json").write_text("{}")
    build = BuildLog.open(workspace, "laptop")
    with monkeypatch.context() as full:
        full.setattr(mlflow_log, "_registered", broken)
        with build.recorded():
            assert build.register(folder, "perse-waiting", REGISTERED_ALIAS, MODEL_CODE) == PENDING
    model = f"perse-waiting version {PENDING}"
    workspace.commit("register", {"inputs": "x", "result": {"model": model}})
    assert settle_model(build) == model, "nobody has been told"
    assert len(warnings_of(caplog)) == 1 and workspace.names("tracking")
    again = BuildLog.open(workspace, "laptop")
    assert not workspace.names("tracking")
    found = again.parent.client.get_model_version_by_alias("perse-waiting", REGISTERED_ALIAS)
    assert int(found.version) == 1 and found.run_id == workspace.read_json("mlflow.json")["stages"]["register"]
    told: list[str] = []
    doubt_model(again, told.append)
    assert workspace.manifest("register") == {"inputs": "x", "result": {"model": "perse-waiting version 1"}}
    assert not told, "it is not registered twice"


def test_events_of_a_run_that_was_lost_with_its_database_go_to_a_new_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = BuildLog.open(workspace, "laptop")
    with monkeypatch.context() as full, build.recorded(), build.stage("train") as stage:
        full.setattr(stage_log, "deliver", broken)
        full.setattr(mlflow_log, "deliver", broken)
        build.parent.params({"recipe": "laptop"})
        stage.params({"steps": 2})
        stage.metrics({"loss": 0.0}, 1)
        stage.flush()
    mlflow_store._RESTING_UNTIL.clear()
    for name in ["mlflow.json", *(f"tracking/{event}.json" for event in workspace.names("tracking", ".json"))]:
        text = workspace.read(name).replace(build.parent.run.encode(), b"1" * 32)  # ids that no database knows
        workspace.write(name, text.replace(stage.run.encode(), b"2" * 32))
    again = BuildLog.open(workspace, "laptop")
    assert not workspace.names("tracking")
    found = told(again)
    assert found["parent"][1] == {"recipe": "laptop"} and found["train"][1:] == ({"steps": "2"}, {"loss": 0.0})


def test_curves_of_a_run_in_another_database_are_no_trouble(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    build = BuildLog.open(workspace, "laptop")
    assert StageLog(build.parent.store, "0" * 32).curves() == {} and warnings_of(caplog) == []


def broken(client: object, event: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("name", ["per%20cent", "q?x=1#frag", "zwei Wörter"])
def test_odd_paths_are_paths(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address, a question mark ends the path and a percent sign begins something else."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace.open(tmp_path / name / "w")
    build = BuildLog.open(workspace, "x")
    file = tmp_path / "sheet.txt"
    file.write_text("a sheet")
    build.parent.artifact(file)
    assert (tmp_path / name / "mlflow.db").stat().st_size > 0 and list((tmp_path / name).rglob("sheet.txt"))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [name]
    assert not workspace.names("tracking")


@pytest.mark.parametrize("uri", ["file:///tmp/x/mlruns", "mlruns", "./mlruns", "/tmp/mlruns"])
def test_folders_of_files_are_refused_in_one_line(
    workspace: Workspace, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StageError, match="sqlite:") as caught:
        BuildLog.open(workspace, "x")
    assert "\n" not in str(caught.value)

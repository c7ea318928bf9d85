"""The training loop: in process, in workers, killed and resumed; and gradients that do not know how many worked."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray.train
import safetensors.torch
import torch
from ray_fakes import ChainConfig, GradientsOnly

from perse.data.workspace import Workspace
from perse.errors import StageError
from perse.training import Checkpoint, Trainer, joined, sample_step
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.training import ray_train
from perse_ray.training.loops import TrainingLoop
from perse_ray.training.ray_train import TrainTask, WorkerGroup, first_checkpoint, train

START = Checkpoint(0, {"link": b""})


def quiet(_: str) -> None:
    """No progress in the test's output."""


def link_after(steps: int) -> bytes:
    link = b""
    for step in range(steps):
        link = hashlib.sha256(link + str(step).encode()).digest()
    return link


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.open(tmp_path / "w")
    first_checkpoint(workspace, "train", START)
    return workspace


def task(workspace: Workspace, **config: object) -> TrainTask:
    return TrainTask(workspace=workspace, stage="train", loop=ChainConfig(**config))  # type: ignore[arg-type]


@pytest.mark.usefixtures("ray_session")
def test_in_this_process_all_steps_are_made_once_and_told(workspace: Workspace) -> None:
    lines: list[str] = []
    final = train(task(workspace), WorkerGroup(checkpoint_every=8), show=lines.append)
    assert final.step == 20 and final.files["link"] == link_after(20)
    assert lines[-1].startswith("train: 20/20 (loss 0.05")
    again = train(task(workspace), WorkerGroup(), show=lines.append)
    assert again.files == final.files and len(lines) == 1


@pytest.mark.usefixtures("ray_session")
def test_a_worker_that_dies_is_replaced_and_nothing_is_skipped(workspace: Workspace, tmp_path: Path) -> None:
    group = WorkerGroup(workers=1, num_cpus=0.5, checkpoint_every=3)
    final = train(task(workspace, once=str(tmp_path / "died")), group, show=quiet)
    assert (tmp_path / "died").exists()
    assert final.files["link"] == link_after(20)


@pytest.mark.usefixtures("ray_session")
def test_what_a_worker_raises_on_purpose_arrives_in_one_line(workspace: Workspace) -> None:
    with pytest.raises(StageError, match=r"^the recipe does not fit$"):
        train(task(workspace, error="the recipe does not fit"), WorkerGroup(), show=quiet)


@pytest.mark.usefixtures("ray_session")
def test_a_training_that_diverges_once_goes_back_and_ends_as_if_nothing_had_happened(
    workspace: Workspace, tmp_path: Path
) -> None:
    group = WorkerGroup(checkpoint_every=3)
    final = train(task(workspace, diverges=str(tmp_path / "j")), group, show=quiet)
    assert final.files["link"] == link_after(20)
    assert (tmp_path / "j").read_text().split() == ["diverged"] * 2, "met, and passed the second time"


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("workers", [0, 1])
def test_skipped_steps_are_told_and_not_saved_before_it_is_known_whether_there_are_more(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    """A checkpoint of step 9, in the middle of five skipped steps, would be without steps 7 and 8 for ever."""
    caplog.set_level("WARNING")
    group = WorkerGroup(workers=workers, num_cpus=0.5, checkpoint_every=3)
    final = train(task(workspace, skips=str(tmp_path / "j")), group, show=quiet)
    assert (tmp_path / "j").read_text().split() == ["rewound"]
    assert final.files["link"] == link_after(20)
    assert "step 7 of a hat is skipped" in caplog.text, "wherever it was"
    assert "5 steps in a row. Training goes back to step 6" in caplog.text


@pytest.mark.usefixtures("ray_session")
def test_one_that_diverges_for_ever_ends_with_the_reason(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="5 steps in a row"):
        train(task(workspace, diverges=str(tmp_path / "j"), diverges_times=99), WorkerGroup(), show=quiet)
    assert len((tmp_path / "j").read_text().split()) == 3, "two rewinds"


@pytest.mark.usefixtures("ray_session")
def test_slow_steps_are_saved_by_the_clock(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = CheckpointFolder.save
    monkeypatch.setattr(CheckpointFolder, "save", lambda self, one: (saved.append(one.step), save(self, one))[1])
    train(task(workspace, pause_s=0.05), WorkerGroup(checkpoint_every=1000, checkpoint_every_s=0.2), show=quiet)
    assert saved[-1] == 20 and 3 <= len(saved) < 15, saved


@pytest.mark.usefixtures("ray_session")
def test_a_machine_that_is_to_go_has_a_checkpoint_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's notice comes from a node that is drained (tests/cluster); here it comes after five steps."""
    saved: list[int] = []
    save, steps = CheckpointFolder.save, iter(range(100))
    monkeypatch.setattr(CheckpointFolder, "save", lambda self, one: (saved.append(one.step), save(self, one))[1])
    monkeypatch.setattr(ray.train, "get_preemption_info", lambda: "soon" if next(steps) >= 4 else None)
    monkeypatch.setattr(ray_train, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(ray_train, "NOTICED_EVERY_S", 0.2)
    train(task(workspace, pause_s=0.05), WorkerGroup(checkpoint_every=1000), show=quiet)
    assert saved[0] == 5, "the notice came with this step"
    assert saved[-1] == 20 and 3 <= len(saved) < 12, f"and then by a quicker clock: {saved}"


def test_without_a_start_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no checkpoint to start train from"):
        train(task(Workspace.open(tmp_path)), WorkerGroup(), show=quiet)


DRIVER = """
import sys
from ray_fakes import ChainConfig
from perse.data.workspace import Workspace
from perse_ray.training.ray_train import TrainTask, WorkerGroup, train
if __name__ == "__main__":
    loop = ChainConfig(steps=200, pause_s=0.02)
    task = TrainTask(workspace=Workspace.open(sys.argv[1]), stage="train", loop=loop)
    train(task, WorkerGroup(checkpoint_every=10))
"""


def test_killed_and_started_again_it_ends_where_an_uninterrupted_run_ends(workspace: Workspace, tmp_path: Path) -> None:
    program = tmp_path / "driver.py"
    program.write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    driver = subprocess.Popen([sys.executable, program, workspace.location], env=environment)
    folder = CheckpointFolder(workspace, "train")
    deadline = time.monotonic() + 60
    while (found := folder.load()) is None or found.step < 30:
        assert driver.poll() is None and time.monotonic() < deadline, "the driver should still be working"
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    found = folder.load()
    assert found is not None and 30 <= found.step < 200
    final = train(task(workspace, steps=200), WorkerGroup(), show=quiet)
    assert final.files["link"] == link_after(200)


def test_a_remote_workspace_gets_its_checkpoints_too() -> None:
    workspace = Workspace.open("mock:///bucket/me")
    folder = CheckpointFolder(workspace, "train")
    assert folder.load() is None
    for step in (10, 20, 30):
        folder.save(Checkpoint(step, {"link": bytes([step])}))
    elsewhere = CheckpointFolder(workspace, "train").load()
    assert elsewhere is not None and (elsewhere.step, elsewhere.files["link"]) == (30, bytes([30]))
    assert not workspace.has("checkpoints/train/step-00000010/manifest.json")
    folder.clear()
    assert CheckpointFolder(workspace, "train").load() is None


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("decoder", ["small_training", "small_networks"])
def test_gradients_of_two_workers_are_those_of_one_on_the_joined_batch(
    decoder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Averaged by hand with part bases, by DistributedDataParallel with the networks."""
    loop, alone = request.getfixturevalue(decoder)
    probe = GradientsOnly(loop=loop, target=str(tmp_path / "gradients"))
    together = TrainTask(workspace=loop.workspace, stage="train", loop=probe)
    train(together, WorkerGroup(workers=2, num_cpus=0.5, threads=1), show=quiet)
    first, second = (safetensors.torch.load_file(tmp_path / f"gradients-{rank}") for rank in range(2))

    pool = list(range(1, len(alone.avatar.subjects)))
    shares = [
        sample_step(loop.training.seed, 0, pool, 4, loop.training.edits_per_step, rank=r, world=2) for r in range(2)
    ]
    assert shares[0] != shares[1]
    alone.step_number = loop.training.steps // 2
    alone.gradients(joined(shares))
    alone.step_number = 0
    expected = {name: p.grad for name, p in alone.avatar.named_parameters() if p.grad is not None}
    assert first.keys() == second.keys() == expected.keys() and len(expected) > 5
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        assert torch.equal(first[name], second[name]), name
        # Sums in another order: float32 leaves about 1e-5 of the terms. Where they cancel (z_ref appears with both
        # signs) the terms are larger than the sum, hence the floor.
        scale = max(float(gradient.abs().max()), 1e-3 * largest)
        error = float((first[name] - gradient).abs().max()) / scale
        assert error < 1e-4, f"{name}: {error}"  # ten times the rounding of such sums, see above
    assert any(gradient.abs().max() > 0 for gradient in expected.values())


@pytest.mark.usefixtures("ray_session")
def test_workers_that_have_drifted_apart_are_noticed_at_the_next_checkpoint(workspace: Workspace) -> None:
    group = WorkerGroup(workers=2, num_cpus=0.5, threads=1, checkpoint_every=5, max_failures=0)
    with pytest.raises(StageError, match=r"parameters of training workers \[1\] differ from worker 0's"):
        train(task(workspace, drift=True), group, show=quiet)
    found = CheckpointFolder(workspace, "train").load()
    assert found is not None and found.step == 0, "nothing was saved of workers that disagree"


@pytest.mark.usefixtures("ray_session")
def test_workers_without_room_are_named_instead_of_waited_for(workspace: Workspace) -> None:
    group = WorkerGroup(workers=2, num_cpus=1.0, num_gpus=1.0, placement_limit_s=0.5)
    with pytest.raises(StageError, match=r"no room for 2 training workers of 1 CPU, 1 GPU each.*8 CPU, 0 GPU"):
        train(task(workspace), group, show=quiet)


@pytest.mark.usefixtures("ray_session")
def test_the_real_training_runs_in_this_process(small_training: tuple[TrainingLoop, Trainer]) -> None:
    loop, trainer = small_training
    workspace = loop.workspace
    first_checkpoint(workspace, "again", trainer.checkpoint())
    final = train(TrainTask(workspace=workspace, stage="again", loop=loop), WorkerGroup(threads=1), show=quiet)
    assert final.step == loop.training.steps
    assert final.files["avatar.safetensors"] != trainer.checkpoint().files["avatar.safetensors"]

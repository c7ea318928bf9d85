"""The prepared build on a GPU: what can be known of it without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import gpu_build
from perse.errors import RecipeError
from perse.render import check_device
from perse_ray.build.components import device_of
from perse_ray.build.room import claim_of, equal_nodes, finetuning_claims, synthesis_claims
from perse_ray.runtime.claims import fits

ONE_GPU = equal_nodes(1, 1, cpus=16)


def test_it_fits_one_gpu_at_every_stage() -> None:
    cluster = gpu_build.recipe().cluster
    assert fits(ONE_GPU, synthesis_claims(cluster)) and fits(ONE_GPU, finetuning_claims(cluster))
    for pool in (cluster.evaluate, cluster.report, cluster.train):
        assert pool.gpus == 1 and fits(ONE_GPU, [claim_of(pool, "workers")])


def test_whoever_draws_draws_on_the_gpu() -> None:
    recipe = gpu_build.recipe()
    cluster = recipe.cluster
    for pool, workers in ((cluster.train, cluster.train_workers), (cluster.evaluate, 1), (cluster.report, 1)):
        check_device(recipe.rasterizer, device_of(pool, workers))
    with pytest.raises(RecipeError):
        check_device(recipe.rasterizer, torch.device("cpu"))


def test_its_sizes_are_the_papers_and_it_needs_no_weights() -> None:
    recipe = gpu_build.recipe(precision="tf32")
    assert recipe.training.densification is not None and recipe.training.densification.target == 130_000
    assert recipe.filming.size_px == 512 and recipe.training.losses.vgg_checkpoint is None
    assert recipe.finetuning is not None and recipe.finetuning.training.losses.vgg_checkpoint is None
    assert vars(recipe.avatar.decoder)["precision"] == "tf32" and not vars(recipe.avatar.decoder)["compile"]
    assert vars(gpu_build.recipe().avatar.decoder)["compile"]


def test_a_machine_without_a_gpu_is_told_so_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu_build", "run", "--workspace", str(tmp_path / "w")])
    assert gpu_build.main() == 0
    assert "no CUDA device here" in capsys.readouterr().out and not (tmp_path / "w").exists()


@pytest.mark.parametrize("words", [["walk"], ["run", "--steps", "0"], ["run", "--device", "tpu"], []])
def test_what_it_cannot_do_is_refused(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gpu_build", *words])
    with pytest.raises(SystemExit, match="2"):
        gpu_build.main()


@pytest.mark.heavy
def test_the_rehearsal_goes_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for what in ("prepare", "run"):
        monkeypatch.setattr("sys.argv", ["gpu_build", what, "--device", "cpu", "--workspace", str(tmp_path / "w")])
        assert gpu_build.main() == 0
    text = capsys.readouterr().out
    assert "REHEARSAL on a CPU" in text and "finished before: track, synthesize, encode, set_up" in text
    assert "images/s" in text and "frames/s at 128²" in text

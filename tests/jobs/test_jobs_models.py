"""The table of weights, the store and its job. Downloads are stand-ins; the hub is never asked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from perse.errors import MissingWeightsError, RecipeError
from perse.synthesis.production import model_store
from perse.synthesis.production.model_store import Weights, digest, require, weights_in
from perse.synthesis.production.weights_table import WEIGHTS, WeightsEntry, entry_named
from perse_ray.commands.models import CheckModels, Convert, Fetch, ListModels
from perse_ray.commands.models_report import perform

VAE = "sdxl-vae-fp16-fix"
PUBLISHED = WEIGHTS


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("PERSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "weights"


@pytest.fixture(autouse=True)
def nothing_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stand-in downloads is not what was published: without this, every fetch would be refused."""
    table = tuple(replace(entry, sha256=()) for entry in WEIGHTS)
    for module in (
        "perse.synthesis.production.weights_table",
        "perse.synthesis.production.model_store",
        "perse_ray.commands.models_report",
    ):
        monkeypatch.setattr(f"{module}.WEIGHTS", table)


def published(monkeypatch: pytest.MonkeyPatch, name: str, *digests: tuple[str, str]) -> None:
    """Let the table know digests of a row's files."""
    table = tuple(replace(entry, sha256=digests if entry.name == name else ()) for entry in WEIGHTS)
    monkeypatch.setattr("perse.synthesis.production.weights_table.WEIGHTS", table)


def bring(entry: WeightsEntry, folder: Path) -> str:
    for pattern in entry.required:
        file = folder / pattern.replace("*", "x")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return "0123abcd"


def test_names_are_unique_and_alternatives_exist() -> None:
    names = [entry.name for entry in WEIGHTS]
    assert len(set(names)) == len(names)
    for entry in WEIGHTS:
        assert entry.commercial or entry.alternative, f"{entry.name} proposes nothing for commercial use"
        if entry.alternative in names:
            assert entry_named(entry.alternative).commercial
        assert entry.required and entry.licence and entry.size_gib > 0


def test_missing_weights_are_one_line_with_size_licence_and_command() -> None:
    with pytest.raises(MissingWeightsError) as caught:
        Weights(name="flux.1-dev").locate()
    message = str(caught.value)
    assert "\n" not in message
    for part in ("flux.1-dev", "31.4 GiB", "Non-Commercial", "perse models fetch flux.1-dev"):
        assert part in message


def test_fetch_completes_a_folder_that_is_then_used_offline(store: Path) -> None:
    said: list[str] = []
    perform(Fetch(names=(VAE,)), show=said.append, download=bring)
    assert Weights(name=VAE).locate() == store / VAE
    assert any("MIT" in line for line in said)

    def never(entry: WeightsEntry, folder: Path) -> str:
        raise AssertionError("a complete folder must not be downloaded again")

    perform(Fetch(names=(VAE,)), show=said.append, download=never)
    perform(CheckModels(names=(VAE,), deep=True), show=said.append)
    assert said[-1] == f"{VAE}: complete; sha256 of 2 files as when they were fetched"


def test_a_changed_file_is_noticed(store: Path) -> None:
    perform(Fetch(names=(VAE,)), show=lambda _: None, download=bring)
    before = digest(store / VAE)
    (store / VAE / "config.json").write_text("{ }")
    with pytest.raises(MissingWeightsError, match="sha256"):
        model_store.verify(VAE)
    assert before != digest(store / VAE), "the provenance names what is used"


def test_the_first_fetch_is_trusted_and_a_folder_filled_by_hand_from_its_first_check(store: Path) -> None:
    said: list[str] = []
    perform(ListModels(), show=said.append)
    assert any(line.startswith(VAE) and "unknown until fetched" in line for line in said)
    (store / VAE).mkdir(parents=True)
    bring(entry_named(VAE), store / VAE)
    perform(CheckModels(names=(VAE,)), show=said.append)
    assert "2 files written down" in said[-1]
    perform(ListModels(), show=said.append)
    assert any(line.startswith(VAE) and "recorded" in line for line in said)
    (store / VAE / "config.json").write_text("{ }")
    for deep in (False, True):
        with pytest.raises(MissingWeightsError, match=r"config\.json is not the one that was fetched"):
            perform(CheckModels(names=(VAE,), deep=deep), show=said.append)
    (store / VAE / "config.json").unlink()
    with pytest.raises(MissingWeightsError, match="fetch"):
        perform(CheckModels(names=(VAE,)), show=said.append)


def test_a_file_that_is_not_the_published_one_is_thrown_away(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "diffusion_pytorch_model.safetensors"
    published(monkeypatch, VAE, (name, "0" * 64))
    with pytest.raises(MissingWeightsError, match=f"{name} is not the published file"):
        perform(Fetch(names=(VAE,)), show=lambda _: None, download=bring)
    assert not (store / VAE / name).exists(), "nobody may take the folder for complete"
    published(monkeypatch, VAE, (name, hashlib.sha256(b"{}").hexdigest()))
    perform(Fetch(names=(VAE,)), show=lambda _: None, download=bring)
    (store / VAE / name).write_text("{ }")
    (store / VAE / model_store.FETCHED).unlink()
    with pytest.raises(MissingWeightsError, match="not the one in our table"):
        model_store.verify(VAE)


def test_published_digests_are_digests_of_files_that_are_fetched() -> None:
    known = [(entry, path, value) for entry in PUBLISHED for path, value in entry.sha256]
    assert len(known) >= 10
    for entry, path, value in known:
        assert len(value) == 64 and set(value) <= set("0123456789abcdef")
        assert any(Path(path).match(pattern) for pattern in entry.patterns), f"{entry.name} never fetches {path}"


def test_what_is_published_as_pickles_is_kept_as_safetensors(store: Path) -> None:
    def download(entry: WeightsEntry, folder: Path) -> str:
        for pattern in entry.patterns:
            torch.save({"weight": torch.ones(2)}, folder / pattern)
        return "c0ffee"

    perform(Fetch(names=("openpose",)), show=lambda _: None, download=download)
    files = {path.name for path in (store / "openpose").iterdir()}
    assert files == {*entry_named("openpose").required, model_store.FETCHED}
    lock = json.loads((store / "openpose" / model_store.FETCHED).read_text())
    assert set(lock["converted_from"]) == set(entry_named("openpose").patterns)
    assert Weights(name="openpose").locate() == store / "openpose"


def test_conversions_by_hand(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "w.pt")
    said: list[str] = []
    perform(Convert(files=(tmp_path / "w.pt",)), show=said.append)
    assert said == [str(tmp_path / "w.safetensors")]
    assert torch.equal(load_file(said[0])["weight"], torch.ones(2))
    with pytest.raises(MissingWeightsError, match="name the files"):
        perform(Convert(), show=said.append)


def test_nothing_is_fetched_that_was_not_named(store: Path) -> None:
    with pytest.raises(MissingWeightsError, match="name what to fetch"):
        perform(Fetch(), show=lambda _: None, download=bring)
    assert not store.exists()
    said: list[str] = []
    perform(Fetch(recipe="paper-permissive"), show=said.append, download=bring)
    assert Weights(name="sdxl-inpainting").locate() and not Weights(name="flux.1-dev").place().exists()
    perform(CheckModels(recipe="paper-permissive"), show=said.append)
    perform(CheckModels(recipe="laptop"), show=said.append)
    assert said[-1] == "recipe laptop needs no weights"


def test_without_a_network_a_fetch_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(hub.HfApi, "model_info", offline)
    with pytest.raises(MissingWeightsError, match="cannot be downloaded: no route") as caught:
        perform(Fetch(names=(VAE,)), show=lambda _: None)
    assert "\n" not in str(caught.value) and "login" in str(caught.value)


def test_an_incomplete_download_is_an_error() -> None:
    with pytest.raises(MissingWeightsError, match="did not bring"):
        perform(Fetch(names=(VAE,)), show=lambda _: None, download=lambda entry, folder: "x")


def test_a_part_that_an_index_names_must_be_there(store: Path) -> None:
    entry = entry_named(VAE)
    folder = store / VAE
    folder.mkdir(parents=True)
    bring(entry, folder)
    index = {"weight_map": {"a": "part-1.safetensors"}}
    (folder / "diffusion.safetensors.index.json").write_text(json.dumps(index))
    assert model_store.missing_patterns(entry, folder) == ["part-1.safetensors"]
    for damaged in ("{", "[]", "{}"):
        (folder / "diffusion.safetensors.index.json").write_text(damaged)
        assert model_store.missing_patterns(entry, folder) == ["diffusion.safetensors.index.json"]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "unet/weights.PT", "model.ckpt", "x.pkl"])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder" / name).parent.mkdir(parents=True)
    (tmp_path / "folder" / name).write_bytes(b"x")
    with pytest.raises(MissingWeightsError, match="safetensors") as caught:
        Weights(name="mine", folder=tmp_path / "folder").locate()
    assert Path(name).name in str(caught.value)
    assert "perse models convert" in str(caught.value)
    (tmp_path / "folder" / name).unlink()
    assert Weights(name="mine", folder=tmp_path / "folder").locate() == tmp_path / "folder"


def test_commercial_use_refuses_before_anything_runs_and_proposes() -> None:
    with pytest.raises(RecipeError, match="use sdxl-inpainting"):
        perform(Fetch(names=("flux.1-fill-dev",), commercial_safe=True), show=lambda _: None, download=bring)
    assert not Weights(name="flux.1-fill-dev").place().exists()
    perform(Fetch(names=("sdxl-inpainting",), commercial_safe=True), show=lambda _: None, download=bring)


def test_a_folder_of_ones_own_does_not_change_a_licence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "flux").mkdir()
    with pytest.raises(RecipeError, match="use sdxl-inpainting"):
        require(Weights(name="flux.1-dev", folder=tmp_path / "flux"), commercial_safe=True)
    require(Weights(name="mine", folder=tmp_path / "flux"), commercial_safe=True)
    assert "licence of mine" in caplog.text and "not known" in caplog.text


def test_a_configuration_is_searched_at_any_depth() -> None:
    @dataclass(frozen=True)
    class Inner:
        weights: Weights

    @dataclass(frozen=True)
    class Outer:
        several: tuple[tuple[str, Inner], ...]
        other: int = 1

    first, second = Weights(name=VAE), Weights(name="flux.1-dev")
    config = Outer((("a", Inner(first)), ("b", Inner(second)), ("c", Inner(first))))
    assert list(weights_in(config)) == [first, second]
    with pytest.raises(MissingWeightsError) as caught:
        require(config)
    assert "\n" not in str(caught.value) and f"fetch {VAE} flux.1-dev" in str(caught.value)


def test_list_names_every_row_and_what_is_here() -> None:
    said: list[str] = []
    perform(Fetch(names=(VAE,)), show=lambda _: None, download=bring)
    perform(ListModels(), show=said.append)
    assert all(any(line.startswith(entry.name) for line in said) for entry in WEIGHTS)
    here = next(line for line in said if line.startswith(VAE))
    assert "  yes   " in here


def test_unknown_names_list_the_table() -> None:
    with pytest.raises(MissingWeightsError, match="the table has flux"):
        perform(CheckModels(names=("flux.2",)), show=lambda _: None)


def test_the_hub_is_asked_for_one_commit_and_for_the_listed_files_only(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: dict[str, object] = {}

    class Api:
        def model_info(self, name: str, revision: str) -> SimpleNamespace:
            asked["branch"] = revision
            return SimpleNamespace(sha="c0ffee")

    def snapshot(name: str, **options: object) -> None:
        asked.update(options, name=name)
        bring(entry_named(VAE), Path(str(options["local_dir"])))

    monkeypatch.setattr(hub, "HfApi", Api)
    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    perform(Fetch(names=(VAE,)), show=lambda _: None)
    assert asked["name"] == entry_named(VAE).hub_id
    assert asked["branch"] == "main" and asked["revision"] == "c0ffee", "what is downloaded is what is written down"
    assert asked["allow_patterns"] == list(entry_named(VAE).patterns)
    lock = json.loads((store / VAE / model_store.FETCHED).read_text())
    assert lock["commit"] == "c0ffee" and set(lock["sha256"]) == {"config.json", "diffusion_pytorch_model.safetensors"}


def test_the_command_ends_in_one_line_and_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "jobs/models.py", "check", "flux.1-dev"]
    environment = {**os.environ, "PERSE_WEIGHTS": str(tmp_path / "none")}
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: weights flux.1-dev") and "31.4 GiB" in line


def test_files_that_nobody_publishes_are_not_told_to_be_fetched(store: Path) -> None:
    """ArcFace-style embedders, portrait-Champ and the converted Inception come from whoever has them."""
    for name, file in (("arcface", "model.onnx"), ("inception-fid", "inception.torchscript")):
        with pytest.raises(MissingWeightsError, match=f"put {file} into {store / name}") as caught:
            perform(CheckModels(names=(name,)))
        assert "perse models fetch" not in str(caught.value)
    with pytest.raises(MissingWeightsError) as caught:
        perform(CheckModels(), show=lambda _: None)
    advice = str(caught.value).rpartition("perse models fetch")[2].split()
    assert "vgg16" in advice and "arcface" not in advice

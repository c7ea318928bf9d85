"""Nothing of a person is left, and who is not meant is left alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ray_fakes import FakeSupply, fake_studio, small_portrait
from safetensors.torch import save

from perse.data import archive
from perse.data.images import encode_image
from perse.data.keys import identity_of
from perse.data.tables.codecs import arrays_to_npz
from perse.data.workspace import PHOTOGRAPH, Workspace
from perse.errors import InputError
from perse_ray.build.features import feature_file, load_features
from perse_ray.build.forget import forget, workspaces_of
from perse_ray.build.many import COMMON, Outcome, Person
from perse_ray.build.many_summary import summary_json, summary_page
from perse_ray.build.stages.register import MODEL_CODE, REGISTERED_ALIAS
from perse_ray.build.traces import PIECE_BYTES, PieceFinder, scan, traces_of
from perse_ray.commands.forget import run as command
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.rows import in_process
from perse_ray.synthesis.prompt_supply import ListSupply
from perse_ray.synthesis.synthesize import synthesize

WORDS = np.random.default_rng(9).normal(size=(512,)).astype(np.float32)
"""Features of a prompt's text: the same for everybody who asked for a red beanie."""
SHARED = {
    "decoder.blend_basis": torch.arange(1000.0).sqrt(),
    "decoder.features": torch.randn(60, 32, generator=torch.Generator().manual_seed(0)),
    "features_text": torch.from_numpy(WORDS),
}
"""Of all avatars: the head's blendshapes, a point's features before it is seen, the words."""


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches and temporary folders of this test alone; searching the machine's takes long."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PERSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def made(runs: Path, name: str, seed: int) -> Workspace:
    rng = np.random.default_rng(seed)
    photograph = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
    home = Workspace.open(runs / name)
    home.claim(identity_of(photograph))
    face = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    landmarks = rng.normal(size=(478, 3)).astype(np.float32)
    archive.save_portrait(home, replace(small_portrait(f"{seed:032x}"), image=face, landmarks_px=landmarks))
    home.write(PHOTOGRAPH, encode_image(photograph))
    synthesize(
        home, fake_studio(runs / "j"), ListSupply(tuple(FakeSupply(1).plan())), execute=in_process.run,
        show=lambda _: None,
    )  # fmt: skip
    features = {"image": rng.normal(size=(512,)).astype(np.float32), "text": WORDS}
    home.write(feature_file(f"{seed:032x}"), arrays_to_npz(features))
    learned = {"decoder.base": torch.randn(300, 14, generator=torch.Generator().manual_seed(seed))}
    home.write("avatar/avatar.safetensors", save(SHARED | learned))
    return home


def test_what_was_one_persons_is_gone_and_copies_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    mine, hers = made(runs, "me", 1), made(runs, "her", 2)
    build = BuildLog.open(mine, "me")
    with build.recorded(), build.stage("report") as stage:
        stage.artifact(mine.local_path(PHOTOGRAPH), "report")
    build.register(mine.path / "avatar", f"perse-{1:032x}"[:18], REGISTERED_ALIAS, MODEL_CODE)
    before = {name: hers.read(name) for name, _ in hers.walk()}
    avatar = mine.read("avatar/avatar.safetensors")
    (tmp_path / "tmp" / "copy.png").write_bytes(mine.read(PHOTOGRAPH))
    (tmp_path / "tmp" / "piece.bin").write_bytes(os.urandom(2000) + avatar[len(avatar) // 4 :])
    (tmp_path / "tmp" / "head.bin").write_bytes(save(SHARED))
    identity = str(mine.read_json("workspace.json")["identity"])

    assert command(["--identity", identity[:8], "--runs", str(runs)]) == 1
    told = capsys.readouterr().out
    left = sorted(Path(line.split()[1]).name for line in told.splitlines() if line.startswith("LEFT"))
    assert left == ["copy.png", "piece.bin"], "and neither her avatar nor the head that all share"
    assert "NOT DONE" not in told and f"perse-{1:032x}"[:18] in told
    assert not mine.path.exists() and {name: hers.read(name) for name, _ in hers.walk()} == before
    assert not list((runs / "mlflow-artifacts").rglob("*.png")) + list((runs / "mlflow-artifacts").rglob("*.safete*"))


def test_what_another_store_was_told_is_removed_there_or_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names another store than at the time of the build, model and runs stayed without a word."""
    runs, model = tmp_path / "runs", f"perse-{1:032x}"[:18]
    with monkeypatch.context() as then:
        then.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/told.db")
        then.chdir(tmp_path)  # where MLflow lays files if nobody says where
        for name in ("me", "me too", "a third"):
            mine = made(runs, name, 1)
            build = BuildLog.open(mine, name)
            build.register(mine.path / "avatar", model, REGISTERED_ALIAS, MODEL_CODE)
    first, second, third = (Workspace(str(runs / name)) for name in ("me", "me too", "a third"))
    third.write("mlflow.json", b"{")  # what it was told is known by the person's key alone
    with monkeypatch.context() as then:
        then.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/told.db")
        then.chdir(tmp_path)
        assert forget([third]).models == (model,)
        BuildLog.open(first, "me").register(first.path / "avatar", model, REGISTERED_ALIAS, MODEL_CODE)
    done = forget([first])
    assert done.models == (model,) and done.runs == 3 and done.problems == () and not (runs / "mlflow.db").exists()
    (tmp_path / "told.db").rename(tmp_path / "moved.db")
    (problem,) = forget([second]).problems
    assert "told.db" in problem and not (tmp_path / "told.db").exists()


def test_traces_of_a_body_and_of_a_project_are_found(tmp_path: Path) -> None:
    home, copies = Workspace.open(tmp_path / "me"), tmp_path / "copies"
    rng = np.random.default_rng(0)
    picture, shared = (rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    home.write("body/clips/a.npz", arrays_to_npz({"image": picture, "depth": shared}))
    home.write("body/person.safetensors", save({"image": torch.from_numpy(picture[::-1].copy())}))
    home.write("report/walk.mp4", rng.bytes(20_000))
    home.write("studio/photograph.png", encode_image(picture))
    copies.mkdir()
    for number, name in enumerate([name for name, size in home.walk() if size > 1000]):
        (copies / f"{number}.bin").write_bytes(b"before" + home.read(name))
    assert len(scan(traces_of(home), [copies])[1]) == 4
    (copies / "hers.npz").write_bytes(arrays_to_npz({"image": shared, "depth": shared}))
    assert not [name for name in scan(traces_of(home), [copies])[1] if name.endswith("hers.npz")]


def test_where_nothing_is_left_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = made(tmp_path / "runs", "me", 1)
    done = forget(workspaces_of(f"{1:032x}", tmp_path / "runs"))
    assert done.left == () and done.problems == () and done.workspaces == (mine.location,)


def test_the_table_of_many_builds_with_a_thumbnail_of_the_person_goes_too(tmp_path: Path) -> None:
    home = made(tmp_path / "runs", "me", 1)
    common = Workspace.open(tmp_path / "runs" / COMMON)
    home.write("report/edits.png", encode_image(np.random.default_rng(1).integers(0, 255, (900, 600, 3), np.uint8)))
    outcomes = [Outcome(Person("me", "", home.location))]
    common.write("report/summary.html", summary_page(outcomes, "tiny"))
    common.write("report/summary.json", summary_json(outcomes))
    assert b"data:image/png" in common.read("report/summary.html")
    assert forget([home]).left == ()
    assert not common.has("report/summary.html") and not common.has("report/summary.json")


def test_nobody_is_taken_for_somebody(tmp_path: Path) -> None:
    made(tmp_path / "runs", "me", 1)
    for word, reason in (("0000", "8 hexadecimal"), ("../../etc", "8 hexadecimal"), ("12345678", "no workspace")):
        with pytest.raises(InputError, match=reason):
            workspaces_of(word, tmp_path / "runs")


def test_traces_do_not_accuse_another_person(tmp_path: Path) -> None:
    mine, hers = made(tmp_path / "a", "me", 1), made(tmp_path / "b", "her", 2)
    assert scan(traces_of(mine), [hers.path])[1] == []
    found = scan(traces_of(mine), [mine.path])[1]
    assert {Path(name).parent.name for name in found} >= {"portrait", "edits", "clips", "avatar"}
    image = load_features(mine, [feature_file(f"{1:032x}")]).image
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "features.safetensors").write_bytes(save({"features_image": image.repeat(1, 2)}))
    assert len(scan(traces_of(mine), [tmp_path / "c"])[1]) == 1, "the picture's features are the person's"


@pytest.mark.parametrize("at", [0, 1, 2, 3, 61, 62, 63, 64, 127, 951, 952])
def test_a_piece_is_found_wherever_it_lies(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perse_ray.build.traces.CHUNK_BYTES", 64)
    random = np.random.default_rng(at)
    pieces = [bytes(at % 7) + random.bytes(PIECE_BYTES - at % 7) for _ in range(50)]
    finder, content = PieceFinder(pieces), bytearray(random.bytes(1000))
    assert not finder.any_in(bytes(content)) and not any(piece in content for piece in pieces)
    content[at : at + PIECE_BYTES] = pieces[7]
    assert finder.any_in(bytes(content)) and len(content) == 1000
    content[at + PIECE_BYTES - 1] ^= 1
    assert not finder.any_in(bytes(content))


def test_nothing_is_found_in_nothing_and_by_nobody() -> None:
    assert not PieceFinder([b"x" * PIECE_BYTES]).any_in(b"") and not PieceFinder([]).any_in(bytes(100))

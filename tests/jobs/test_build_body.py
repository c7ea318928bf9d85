"""The body build through its command: tiny, whole, and skipped when it is run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perse.attributes import Category
from perse.avatar import load_avatar
from perse.export.opening import open_avatar
from perse_ray.build import body_edits
from perse_ray.commands import export, quarantine, render
from perse_ray.commands.build_body import run


def test_a_body_is_built_and_a_second_run_skips_everything(
    tmp_path: Path, ray_session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "body"
    words = ["--recipe", "tiny", "--workspace", str(place)]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "frames/s" in said and "unseen motion" in said
    metrics = json.loads((place / "report/metrics.json").read_text())
    assert metrics["guessed"] == [] and metrics["unseen_motion"]["mask_iou"] > 0.6
    for name in ("turntable.mp4", "wave.mp4", "walk.mp4", "dance.mp4", "close_ups.png", "unseen.png", "fit.png"):
        assert (place / "report" / name).stat().st_size > 500
    avatar = load_avatar(place / "avatar")
    assert avatar.n_gaussians > metrics["gaussians"]  # a hat has points of its own
    assert [subject.category for subject in avatar.subjects] == [None, Category.HAT, Category.CLOTHES]
    assert set(metrics["edits"]) == {subject.text for subject in avatar.subjects[1:]}
    assert all(one["leakage"] < 1e-3 < one["inside"] for one in metrics["edits"].values())
    assert (place / "report/edits.png").stat().st_size > 500 and "in MLflow perse-body-" in said
    assert (place / "avatar/body.ply").read_bytes().startswith(b"ply")
    assert run(words) == 0
    assert "7 stages were finished before" in capsys.readouterr().out

    # The same commands as for a head's avatar.
    assert (
        render.run(
            [
                "reenact",
                str(place),
                "--motion",
                "walk",
                "--stride",
                "24",
                "--size",
                "64",
                "--out",
                str(tmp_path / "w.mp4"),
            ]
        )
        == 0
    )
    assert (
        export.run([str(place), "--wear", "hat=beanie", "--out", str(tmp_path / "hat.ply"), str(tmp_path / "hat.glb")])
        == 0
    )
    opened = open_avatar(str(place))
    assert opened.n_gaussians == avatar.n_gaussians


def test_an_edit_that_fails_costs_itself_and_can_be_tried_again(
    tmp_path: Path, ray_session: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in one hat ended a build whose training was over."""
    place = tmp_path / "body"
    words = ["--recipe", "tiny", "--workspace", str(place), "--edits", "hat=red beanie", "clothes=green hoodie"]
    working = body_edits.edit_person

    def broken(person, face, prompt):  # type: ignore[no-untyped-def]
        if prompt.category is Category.HAT:
            raise RuntimeError("input and output rank must be > 0")
        return working(person, face, prompt)

    monkeypatch.setattr(body_edits, "edit_person", broken)
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "left out (RuntimeError: input and output rank" in said and said.strip().endswith("1 done, 1 quarantined")
    assert [subject.category for subject in load_avatar(place / "avatar").subjects] == [None, Category.CLOTHES]
    assert set(json.loads((place / "report/metrics.json").read_text())["edits"]) == {"A person wearing a green hoodie"}

    monkeypatch.setattr(body_edits, "edit_person", working)
    assert run(words) == 0  # nothing is tried unasked
    assert "7 stages were finished before" in capsys.readouterr().out
    assert quarantine.run(["list", "--workspace", str(place)]) == 0 and "red beanie" in capsys.readouterr().out
    assert quarantine.run(["retry", "--workspace", str(place)]) == 0 and run(words) == 0
    assert capsys.readouterr().out.strip().endswith("2 done, 0 quarantined")
    kinds = [subject.category for subject in load_avatar(place / "avatar").subjects]
    assert kinds == [None, Category.HAT, Category.CLOTHES]


def test_expected_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--recipe", "huge"], "no body recipe"),
        (["--recipe", "perse.recipes:tiny"], "expected a BodyRecipe"),
        (["--edits", "hat=xylophone", "--workspace", str(tmp_path / "w")], "xylophone"),
        (["--edits", "nose=long nose", "--workspace", str(tmp_path / "w")], "too small"),
        (["--body-model", __file__, "--workspace", str(tmp_path / "w")], "neither safetensors nor npz"),
        (["--portrait", str(tmp_path / "missing.jpg"), "--workspace", str(tmp_path / "w")], "missing.jpg"),
    ):
        assert run(words) == 2
        errors = capsys.readouterr().err.strip()
        assert said in errors and errors.count("\n") == 0


def test_a_plan_is_printed_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "w"
    assert run(["--recipe", "laptop", "--edits", "hat=red beanie", "--workspace", str(place), "--plan"]) == 0
    said = capsys.readouterr().out
    assert "400 steps: 5 epochs over 80 frames" in said and "1 edits" in said and "red beanie" in said
    assert not place.exists()
    assert run(["--edits", "hat=xylophone", "--workspace", str(place), "--plan"]) == 2


def test_ones_own_recipe_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--recipe", "perse.recipes.body:body_tiny", "--plan"]) == 0
    assert "recipe body-tiny" in capsys.readouterr().out

"""Many people at once: each gets what a build of their own would make, and nobody falls with another."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ray_fakes import FakeSupply, fake_studio, small_portrait, warn_as_torch_does, whatever

from perse.data import archive
from perse.data.images import decode_image, encode_image
from perse.data.workspace import Workspace
from perse.errors import InputError, RecipeError
from perse.recipes import recipe_named
from perse_ray.build import many
from perse_ray.build.many import Outcome, Person, _Slots
from perse_ray.build.many_summary import summary_json, summary_lines, summary_page
from perse_ray.build.stages import Track
from perse_ray.commands.build_many import people_in
from perse_ray.rows import in_process
from perse_ray.rows.attempts import new_ledger
from perse_ray.synthesis.synthesize import Synthesis, synthesize, synthesize_together


def person_at(place: Path, key: str) -> Workspace:
    workspace = Workspace.open(place)
    archive.save_portrait(workspace, small_portrait(key))
    return workspace


def alone(workspace: Workspace, supply: FakeSupply, journal: Path) -> Synthesis:
    return synthesize(workspace, fake_studio(journal), supply, execute=in_process.run, show=lambda _: None)


def files(workspace: Workspace) -> dict[str, bytes]:
    return {name: workspace.read(name) for name, _ in workspace.walk() if name.startswith(("edits/", "clips/"))}


def test_processes_of_builds_keep_to_themselves_what_libraries_say_to_each_other(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with _Slots(1, "")._process() as process:
        process.submit(warn_as_torch_does).result()
    assert capfd.readouterr().err == ""


def test_clips_made_together_are_those_of_builds_of_their_own(tmp_path: Path) -> None:
    """With replacements of refused prompts, and a failure that stays with whose it is."""
    supplies = {
        "a": FakeSupply(2, (("hat-0001", "reject"), ("nose-0000", "raise"))),
        "b": FakeSupply(2),
        "c": FakeSupply(1, (("hat-0000", "surrogates"),)),
    }
    own = {name: person_at(tmp_path / "own" / name, name) for name in supplies}
    there = {name: person_at(tmp_path / "many" / name, name) for name in supplies}
    expected = {name: alone(own[name], supplies[name], tmp_path / "j") for name in supplies}
    synthesize_together(
        [(there[name], supplies[name]) for name in supplies],
        fake_studio(tmp_path / "j"),
        new_ledger(Workspace.open(tmp_path / "many" / "together")),
        execute=in_process.run,
        show=lambda _: None,
    )
    before = (tmp_path / "j").read_text()
    for name in supplies:
        assert alone(there[name], supplies[name], tmp_path / "j") == expected[name]
        assert files(there[name]) == files(own[name])
    assert (tmp_path / "j").read_text() == before, "nothing was left to do"


def test_workers_are_built_once_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray_fakes import FakeEditor

    built: list[str] = []
    monkeypatch.setattr(FakeEditor, "build", lambda self, head: (built.append("editor"), self)[1])
    people = [(person_at(tmp_path / name, name), FakeSupply(1)) for name in "abcd"]
    ledger = new_ledger(Workspace.open(tmp_path / "together"))
    synthesize_together(people, fake_studio(tmp_path / "j"), ledger, execute=in_process.run, show=lambda _: None)
    assert built == ["editor"]


def test_somebody_whose_process_dies_or_fails_takes_nobody_along(tmp_path: Path) -> None:
    names = ("one", "raise", "input", "exit", "two")
    people = [Person(name, "", str(tmp_path / name)) for name in names]
    lines: list[str] = []
    with _Slots(1, "") as slots:
        found = slots.run(whatever, [(recipe_named("tiny"), person) for person in people], lines.append)
    assert [one.person.name for one in found] == list(names)
    errors = {one.person.name: one.error for one in found}
    assert errors["one"] == errors["two"] == ""
    assert "two lines" in errors["raise"] and errors["input"] == "this one's own trouble"
    assert "ended without a word" in errors["exit"] and len(lines) == len(names)


def test_a_folder_of_portraits_is_people_by_name(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt", "a.webp", "together.png", "b.json"):
        (tmp_path / name).write_bytes(b"")
    people = people_in(tmp_path, "s3://bucket/runs/")
    assert [person.name for person in people] == ["a.PNG", "a.webp", "b", "together.png"]
    assert people[2].workspace == "s3://bucket/runs/b"
    assert [person.consent for person in people] == ["", "", str(tmp_path / "b.json"), ""]
    with pytest.raises(InputError, match="is no folder"):
        people_in(tmp_path / "nowhere", "x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no photograph"):
        people_in(tmp_path / "empty", "x")


def test_whose_consent_is_missing_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recipe paper made everybody's edits and clips, and then refused every build."""
    monkeypatch.setattr(Track, "work", lambda *_: pytest.fail("it was begun"))
    (tmp_path / "ada.jpg").write_bytes(encode_image(np.zeros((64, 64, 3), np.uint8), "jpeg"))
    (person,) = people_in(tmp_path, str(tmp_path / "runs"))
    with pytest.raises(RecipeError, match="asks for their consent"):
        many._track(recipe_named("paper"), person)
    (tmp_path / "ada.json").write_text('{"who": "Ada", "purpose": "x", "date": "2026-01-01", "expires": "2026-01-02"}')
    (person,) = people_in(tmp_path, str(tmp_path / "runs"))
    with pytest.raises(InputError, match="expired"):
        many._track(recipe_named("paper"), person)


def test_the_summary_has_a_row_for_each_with_pictures(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "ann")
    workspace.write("portrait/crop.png", encode_image(np.zeros((300, 300, 3), np.uint8)))
    people = [Person("ann", "ann.jpg", workspace.location), Person("<bob>", "b.jpg", str(tmp_path / "bob"))]
    outcomes = [
        Outcome(people[0], metrics={"psnr": 31.234, "n_subjects": 5}, seconds=12.0),
        Outcome(people[1], "no face was found"),
    ]
    lines = summary_lines(outcomes)
    assert lines[1].split() == ["ann", "31.23", "–", "–", "5", "12"] and "no face" in lines[2]
    assert lines[-1] == "1 avatars built, 1 failed"
    page = summary_page(outcomes, "tiny").decode()
    assert "1 of 2 avatars, recipe tiny" in page, "who failed has none"
    assert page.count("data:image/png;base64,") == 1 and "&lt;bob&gt;" in page and "<bob>" not in page
    assert [row["name"] for row in json.loads(summary_json(outcomes))] == ["ann", "<bob>"]


def test_thumbnails_are_averaged_and_leave_no_row_out(tmp_path: Path) -> None:
    """Captions of the edits' sheet were cut to pieces: every third row of it was shown."""
    lined = np.zeros((900, 400, 3), np.uint8)
    lined[::2] = 255
    workspace = Workspace.open(tmp_path / "ann")
    workspace.write("report/edits.png", encode_image(lined))
    page = summary_page([Outcome(Person("ann", "", workspace.location))], "tiny").decode()
    (encoded,) = re.findall(r"base64,([^\"]+)", page)
    small = decode_image(base64.b64decode(encoded))
    assert small.shape[0] < 900 and abs(small.shape[1] / small.shape[0] - 400 / 900) < 0.5 / small.shape[0]
    half, fewest_rows = 127.5, 900 // small.shape[0]
    assert np.abs(small - half).max() <= half / fewest_rows, "one row more or less of black or white in each"

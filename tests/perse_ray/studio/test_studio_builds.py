"""Builds are processes in a queue that outlive the studio; what is written says where each stands."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from studio_harness import HeldBuilder, until

from perse.attributes import Category
from perse.data.workspace import Workspace
from perse.synthesis.prompts import read_prompts_csv, understand
from perse_ray.runtime.progress import Progress, read_log, stage_line
from perse_ray.studio.builds import Builds, command, reason
from perse_ray.studio.processes import LocalBuilder
from perse_ray.studio.progress import expected_s, progress_of
from perse_ray.studio.project import (
    Found,
    NoSuchProject,
    NotNow,
    Phase,
    Project,
    Projects,
    Wish,
    prompts_csv,
)


def wishes(*texts: str) -> tuple[Wish, ...]:
    found = [understand(Category.HAT, text) for text in texts]
    return tuple(Wish(Category.HAT, one.phrase, one.attributes) for one in found)


@pytest.fixture
def projects(tmp_path: Path) -> Projects:
    return Projects(tmp_path / "runs")


@pytest.fixture
def builds(projects: Projects, builder: HeldBuilder, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setattr("perse_ray.studio.builds.LOOK_EVERY_S", 0.02)
    builds = Builds(projects, builder)
    yield builds
    builds.close()


def said(projects: Projects, name: str) -> Project:
    """A project about which everything is said; nobody has looked at its picture."""
    import numpy as np

    project = projects.create(name, np.full((8, 8, 3), len(name), np.uint8))
    projects.workspace(project.id).write_json("studio/consent.json", {"who": "a", "purpose": "b", "date": "2026-01-01"})
    return projects.change(
        project.id,
        lambda one: Project(
            id=one.id, name=one.name, created=one.created, phase=Phase.DRAFT, found=Found(size_px=512), recipe="tiny",
            wishes=wishes("red beanie", "black top hat"),
        ),
    )  # fmt: skip


def test_a_project_is_what_was_written(projects: Projects) -> None:
    project = said(projects, "Ada  Lovelace!")
    assert project.id == "ada-lovelace" and Projects(projects.runs).get(project.id) == project
    assert said(projects, "ada lovelace").id == "ada-lovelace-2"
    assert said(projects, "Ö").id == "avatar"
    projects.file(project.id, "project.json").write_text("{broken")
    assert projects.get(project.id).phase is Phase.STOPPED and "cannot be read" in projects.get(project.id).message
    for name in ("nobody", "../etc", "", "a/b"):
        with pytest.raises(NoSuchProject):
            projects.get(name)


def test_a_workspace_of_perse_build_is_a_project_too(projects: Projects) -> None:
    home = Workspace.open(projects.runs / "elsewhere")
    assert projects.get("elsewhere").phase is Phase.STOPPED
    home.write("avatar/avatar.json", b"{}")
    assert projects.get("elsewhere").phase is Phase.FINISHED


def test_wishes_become_the_prompts_that_a_build_reads(tmp_path: Path) -> None:
    asked = wishes("red beanie", "black top hat with a white band", "a wide brim hat")
    file = tmp_path / "prompts.csv"
    file.write_bytes(prompts_csv(asked))
    assert [prompt.attributes for prompt in read_prompts_csv(file)] == [wish.attributes for wish in asked]


def test_builds_run_one_after_the_other(projects: Projects, builds: Builds, builder: HeldBuilder) -> None:
    first, second, third = (said(projects, name).id for name in ("one", "second", "thirdly"))
    for name in (first, second, third):
        builds.queue(name)
    until(lambda: projects.get(first).phase is Phase.BUILDING)
    assert [projects.get(name).phase for name in (second, third)] == [Phase.QUEUED] * 2
    assert [builds.place(name) for name in (second, third)] == [1, 2] and len(builder.started) == 1
    with pytest.raises(NotNow, match="building"):
        builds.queue(first)
    builds.cancel(second)
    assert projects.get(second).phase is Phase.STOPPED
    builder.finish(1001)
    until(lambda: projects.get(third).phase is Phase.BUILDING)
    assert projects.get(first).phase is Phase.FINISHED and len(builder.started) == 2


def test_a_build_is_cancelled_and_goes_on(projects: Projects, builds: Builds, builder: HeldBuilder) -> None:
    name = said(projects, "me").id
    builds.queue(name)
    until(lambda: projects.get(name).phase is Phase.BUILDING)
    builds.cancel(name)
    until(lambda: projects.get(name).phase is Phase.STOPPED)
    assert "what is finished is kept" in projects.get(name).message
    builds.queue(name)
    until(lambda: len(builder.started) == 2)
    assert builder.started[0] == builder.started[1]


def test_one_that_does_not_listen_is_ended(
    projects: Projects, builds: Builds, builder: HeldBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perse_ray.studio.builds.PATIENCE_S", 0.1)
    builder.deaf = True
    name = said(projects, "me").id
    builds.queue(name)
    until(lambda: projects.get(name).phase is Phase.BUILDING)
    builds.cancel(name)
    until(lambda: projects.get(name).phase is Phase.STOPPED)


def test_another_studio_watches_what_this_one_began(projects: Projects, builds: Builds, builder: HeldBuilder) -> None:
    name = said(projects, "me").id
    builds.queue(name)
    until(lambda: projects.get(name).phase is Phase.BUILDING)
    assert [one.id for one in builds.close()] == [name]
    builder.say(1001, "error: the disk is full")
    builder.kill(1001)
    assert projects.get(name).phase is Phase.BUILDING, "nobody has looked"
    again = Builds(Projects(projects.runs), builder)
    until(lambda: projects.get(name).phase is Phase.FAILED)
    assert projects.get(name).message == "the disk is full"
    again.close()


def test_nothing_is_built_before_all_is_said(projects: Projects, builds: Builds) -> None:
    name = said(projects, "me").id
    projects.change(name, lambda one: Project(id=one.id, name=one.name, found=Found(error="it is too dark")))
    with pytest.raises(NotNow, match="too dark"):
        builds.queue(name)
    projects.change(name, lambda one: Project(id=one.id, name=one.name, found=Found(size_px=512)))
    with pytest.raises(NotNow, match="choose one look"):
        builds.queue(name)
    projects.remove(name, "consent.json")
    with pytest.raises(NotNow, match="consent"):
        builds.queue(name)


def test_the_words_of_a_build_are_those_of_its_command(projects: Projects) -> None:
    from perse_ray.commands.build_avatar import Arguments

    project = said(projects, "me")
    projects.keep(project.id, "parts.png", b"")
    projects.change(project.id, lambda one: Project(**{**vars(one), "face": 2}))
    import tyro

    read = tyro.cli(Arguments, args=command(projects, projects.get(project.id)))
    assert read.face == 2 and read.recipe == "tiny" and read.workspace == str(projects.runs / "me")
    assert read.parts and read.parts.exists() and read.consent and read.consent.exists()


def test_a_process_is_started_watched_and_ended(tmp_path: Path) -> None:
    builder, log = LocalBuilder(), tmp_path / "log"
    build = builder.start(["--help"], log)
    until(lambda: LocalBuilder().lives(build))  # another studio sees it too
    until(lambda: not builder.lives(build))
    assert "perse build" in log.read_text() and not LocalBuilder().lives(build)
    build = builder.start(["--help"], log)
    builder.kill(build)
    until(lambda: not builder.lives(build))
    builder.interrupt(build), builder.kill(build)  # of one that is gone: nothing
    assert not LocalBuilder().lives(1) and not LocalBuilder().lives(0), "a process, but none of ours"


def test_the_last_words_say_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "without a word" in reason(log)
    log.write_text("track: looking\nerror: no face was found\n")
    assert reason(log) == "no face was found"
    log.write_text("track: looking\nKilled\n")
    assert "ended early" in reason(log) and "Killed" in reason(log)


def test_a_log_is_read_back() -> None:
    lines: list[str] = []
    progress = Progress("edits", 10, write=lines.append, clock=iter(range(100)).__next__)
    progress.advance(4, "1 rejected, 0 failed")
    told = read_log("\n".join([stage_line("track", 75.0), *lines, "WARNING something: 3/4 of it"]))
    assert told.finished == ("track",) and (told.title, told.done, told.total) == ("edits", 4, 10)
    assert told.took == {"track": 75.0}
    told = read_log("\n".join([stage_line("track", None), *lines, stage_line("synthesize", 4000.0)]))
    assert told.finished == ("track", "synthesize") and told.total == 0
    assert told.took == {"synthesize": pytest.approx(4000, abs=60)}  # hours are told in whole minutes
    assert read_log("train: 5/10, 1:30 min to go (loss 0.01)").to_go_s == 90


def test_progress_grows_and_the_rest_follows_the_pace(projects: Projects) -> None:
    project = said(projects, "me")
    assert progress_of(projects, project) is None
    plan = expected_s("tiny", project.wishes)
    assert list(plan)[:2] == ["track", "synthesize"] and "finetune" in plan
    assert "finetune" not in expected_s("tiny", project.wishes[:1]), "there is nothing to walk between"
    log = projects.file(project.id, "build.log")
    started = time.time()
    project = Project(**{**vars(project), "phase": Phase.BUILDING, "started": started})
    shares = []
    for text in ("", "track: done in 5 s", "edits: 1/3, 8 s to go", "edits: 3/3", "synthesize: done in 20 s"):
        with log.open("a") as file:
            file.write(text + "\n")
        now = progress_of(projects, project, started + 10)
        assert now is not None and now.to_go_s is not None
        shares.append(now.share)
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] > 0.2
    whole = sum(plan.values())
    slow = progress_of(projects, project, started + 10 * whole)
    assert slow is not None and slow.to_go_s and now and slow.to_go_s > 1.5 * now.to_go_s
    done = progress_of(projects, Project(**{**vars(project), "phase": Phase.FINISHED}))
    assert done is not None and done.share == 1 and all(stage.state == "done" for stage in done.stages)


def test_a_build_that_goes_on_does_not_count_what_was_there_before(projects: Projects) -> None:
    project = said(projects, "me")
    plan = expected_s("laptop", project.wishes)
    before = [stage_line(name, None) for name in ("track", "synthesize", "encode", "set_up")]
    project = Project(**{**vars(project), "recipe": "laptop", "phase": Phase.BUILDING, "started": 1000.0})

    def to_go(*lines: str) -> float:
        projects.file(project.id, "build.log").write_text("\n".join([*before, *lines]))
        now = progress_of(projects, project, 1010.0)
        assert now is not None and now.to_go_s is not None
        return now.to_go_s

    later = sum(list(plan.values())[5:])
    # Seconds: what is told is rounded to tenths.
    assert to_go() == pytest.approx(plan["train"] + later, abs=0.1), "ten seconds say nothing of a pace"
    half = to_go(f"train: 50/100, {plan['train'] / 2:.0f} s to go")
    # One second: the log tells whole ones.
    assert half == pytest.approx(plan["train"] / 2 + later, abs=1.0)
    # What the training itself says of its rest counts, and the stages after it are as much slower than the plan.
    slow = to_go(f"train: 50/100, {2 * plan['train']:.0f} s to go")
    # A second of rounding, and what the stages after it make of it.
    assert slow == pytest.approx(2 * plan["train"] + 4 * later, rel=0.02)


def test_files_of_a_project_are_in_its_workspace_alone(projects: Projects) -> None:
    project = said(projects, "me")
    assert {path.name for path in projects.runs.iterdir()} == {"me"}
    assert json.loads((projects.runs / "me" / "workspace.json").read_text())["identity"]
    assert project.created <= time.time() and sys.getsizeof(project)

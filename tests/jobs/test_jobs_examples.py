"""The examples in every command's help are understood, and do what they say on an avatar of the laptop recipe."""

from __future__ import annotations

import importlib
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic_avatar import described_avatar

from perse.attributes import CATEGORIES, Category
from perse.avatar import Subject, save_avatar
from perse.data.keys import identity_of
from perse.data.motion_file import Motion, write_motion
from perse.data.workspace import Workspace
from perse.recipes import recipe_named
from perse.synthesis.prompts import plan_prompts
from perse_ray.commands.main import COMMANDS, main


def examples() -> list[tuple[str, ...]]:
    """Words after ``perse`` of every line of every help that is an example; comments behind two spaces left out."""
    found: dict[tuple[str, ...], None] = {}
    for command in COMMANDS.values():
        text = importlib.import_module(f"perse_ray.commands.{command.module}").__doc__ or ""
        for line in re.findall(r"^    perse (.+)$", text, re.MULTILINE):
            found[tuple(_words(line))] = None
    return list(found)


def _words(line: str) -> list[str]:
    """An example without its comment, which begins after two spaces or more with what is no argument any more."""
    line = re.sub(r"\s+#.*$", "", line)
    pieces = re.split(r"\s{2,}", line)
    kept = [pieces[0]]
    for piece in pieces[1:]:
        if not piece.startswith("--"):  # columns are aligned before options
            break
        kept.append(piece)
    return shlex.split(" ".join(kept))


EXAMPLES = examples()
ADDED = [words[words.index("--name") + 1] for words in EXAMPLES if "--name" in words]
"""Looks that an example adds to an avatar before another one wears them."""

LOOKS = re.compile(r"^(render|export)$")
QUICK = ("export", "models", "quarantine", "render", "verify", "workspace")
"""Commands whose examples run here, in seconds, on a small avatar."""


def _is_overview(words: tuple[str, ...]) -> bool:
    """Whether it only says what there is; doctor's are in `test_jobs_doctor`."""
    return words[0] == "doctor" or any(word in ("|", "...") or word.startswith("[") for word in words)


def _runs_here(words: tuple[str, ...]) -> bool:
    """Whether an example is quick, and needs no build of minutes, no network and no machine of one's own."""
    others = (("quarantine", "show"), ("quarantine", "retry"), ("models", "fetch"), ("models", "convert"))
    slow = bool({"turntable", "builtin", "turn.mp4", "runs/body"} & set(words))  # a body is built in test_build_body
    return words[0] in QUICK and words[:2] not in others and not slow and not _is_overview(words)


def test_there_are_examples_of_every_command() -> None:
    assert {words[0] for words in EXAMPLES} == set(COMMANDS) and len(EXAMPLES) > 45


@pytest.mark.parametrize("words", [words for words in EXAMPLES if not _is_overview(words)], ids=" ".join)
def test_an_example_is_understood(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options exist and its values are of their kinds; nothing is done."""
    module = importlib.import_module(f"perse_ray.commands.{COMMANDS[words[0]].module}")
    asked: list[Callable[[], Any]] = []
    monkeypatch.setattr(module, "run_command", lambda work: asked.append(work) or 7)
    assert main(list(words)) == 7 and len(asked) == 1


def test_examples_name_looks_of_the_laptop_recipe() -> None:
    """Everybody's first avatar has these, whoever is in the photograph."""
    prompts = plan_prompts(recipe_named("laptop").prompts)
    named = [term for words in EXAMPLES if LOOKS.match(words[0]) for word in words for term in _terms(word)]
    assert len(named) >= 5
    for category, said in (one for one in named if one[1] not in ADDED):
        texts = [prompt.text for prompt in prompts if prompt.category.value == category]
        assert sum(all(word in text for word in said.split()) for text in texts) == 1, (category, said)


def _terms(word: str) -> list[tuple[str, str]]:
    category, equals, terms = word.partition("=")
    if not equals or category not in {one.value for one in CATEGORIES}:
        return []
    return [(category, term.partition("*")[0]) for term in terms.split("+")]


@pytest.fixture(scope="module")
def place(head_model: Any, tiny_clips: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as after `perse build --workspace runs/me`, with an avatar of the laptop's hats and hair."""
    folder = tmp_path_factory.mktemp("examples")
    home = Workspace.open(folder / "runs" / "me")
    chosen = [prompt for prompt in plan_prompts(recipe_named("laptop").prompts) if _shown(prompt.text)]
    worn = [(prompt.category, prompt.text) for prompt in chosen]
    worn += [(Category.HAT, name) for name in ADDED]
    clips = [tiny_clips[0], *(tiny_clips[1] for _ in worn)]
    subjects = [Subject("reference", None, "")]
    subjects += [Subject(f"{number}-subject", category, text) for number, (category, text) in enumerate(worn)]
    save_avatar(described_avatar(head_model, clips, subjects).eval(), home.path / "avatar")
    home.claim(identity_of(np.zeros((4, 4, 3), np.uint8)))
    for name in ("me.json", "me.motion.json"):
        write_motion(folder / name, Motion(10.0, {}, {"neck": np.zeros((3, 3), np.float32)}))
    Image.new("RGB", (64, 64)).save(folder / "me.png")
    return folder


def _shown(text: str) -> bool:
    return any(name in text for name in ("teal beanie", "white afro", "grey bob"))


@pytest.mark.parametrize("words", [words for words in EXAMPLES if _runs_here(words)], ids=" ".join)
def test_an_example_does_what_it_says(
    words: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("PERSE_SIGNING", str(place / "signing"))
    monkeypatch.setenv("PERSE_WEIGHTS", str(place / "weights"))
    small = ["--size", "48"] if words[0] == "render" else []
    assert main([*words, *small]) == 0, capsys.readouterr().err
    if "--out" in words:
        out = words[words.index("--out") + 1 :]
        assert all(os.path.exists(place / name) for name in out if not name.startswith("--"))

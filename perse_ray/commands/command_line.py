"""Common parts of all commands: messages, exit codes, recipes by name."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from perse import chatter
from perse.errors import PerseError, RecipeError

if TYPE_CHECKING:
    from perse.recipes import Recipe

R = TypeVar("R")

EXIT_EXPECTED = 2
EXIT_INTERRUPTED = 130
HELP_COLUMNS = 100
"""Longer lines are hard to read."""


@dataclass(frozen=True, kw_only=True)
class OfWorkspace:
    """Arguments of a command about what a build left."""

    workspace: str = "runs/demo"
    """The build's folder; also s3://… or gs://…."""


@dataclass(frozen=True, kw_only=True)
class OfBuild(OfWorkspace):
    """Arguments of a command that goes on from a finished build."""

    recipe: str = "laptop"
    """Recipe that the build was made with."""

    wait: bool = False
    """Wait while another run holds the workspace, instead of refusing."""


def run_command(command: Callable[[], None]) -> int:
    """Exit code of a command that is run. An expected error is one line on standard error and code 2; anything else is
    our own mistake and keeps its traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("perse_ray").setLevel(logging.INFO)
    chatter.ignore_libraries_warnings()
    try:
        command()
    except PerseError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return EXIT_EXPECTED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        return EXIT_INTERRUPTED
    return 0


def parsed(name: str, kind: Any, description: str | None, words: Sequence[str] | None) -> Any:
    """Arguments of ``perse NAME`` from words of a command line; mistakes and --help end the process, as they should.

    Args:
        kind: dataclass of the arguments, or a union of them, one a subcommand.
        words: the process's own if None.
    """
    import tyro

    words = sys.argv[1:] if words is None else words
    if description and words and words[0] in ("-h", "--help"):  # tyro would make one line of every paragraph
        print(folded(description, min(shutil.get_terminal_size().columns, HELP_COLUMNS)), end="\n\n")
        description = ""
    return tyro.cli(kind, prog=f"perse {name}", description=description, args=words)


def folded(text: str, columns: int) -> str:
    """Text whose paragraphs are broken at so many columns; indented lines, which are examples, stay as they are."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        example = any(line.startswith(" ") for line in paragraph.splitlines())
        paragraphs.append(paragraph if example else textwrap.fill(paragraph, columns, break_on_hyphens=False))
    return "\n\n".join(paragraphs)


def workspace_first(words: Sequence[str] | None) -> list[str]:
    """Words in which a workspace that stands bare before all options (``perse view runs/me``) is named."""
    words = list(sys.argv[1:] if words is None else words)
    if words and not words[0].startswith("-") and "--workspace" not in words:
        return ["--workspace", *words]
    return words


def recipe_of(name: str, seed: int | None) -> Recipe:
    """Recipe by its built-in name, or one's own as "module:function" (no arguments, returns a `Recipe`).

    Raises:
        RecipeError: there is none of that name.
    """
    from perse.recipes import Recipe, recipe_named

    recipe = own_recipe(name, Recipe) if ":" in name else recipe_named(name)
    return recipe if seed is None else with_seed(recipe, seed)


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """Recipe with another seed for prompts and trainings."""
    finetuning = recipe.finetuning
    if finetuning is not None:
        finetuning = replace(finetuning, training=replace(finetuning.training, seed=seed))
    return replace(
        recipe,
        prompts=replace(recipe.prompts, seed=seed),
        training=replace(recipe.training, seed=seed),
        finetuning=finetuning,
    )


def own_recipe(name: str, kind: type[R]) -> R:
    """Recipe of one's own, "module:function" (no arguments), found in the current folder or installed.

    Raises:
        RecipeError: there is no such function, it fails, or it returns something else than this kind.
    """
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), function]):
        raise RecipeError(f"{name[:80]!a} names no recipe: expected a built-in name, or module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        made = _called(getattr(importlib.import_module(module), function), name, kind)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"cannot find the recipe {name}: expected module:function ({error})") from error
    except (Exception, SystemExit) as error:  # somebody's own code, which may raise anything
        raise RecipeError(f"the recipe {name} cannot be made: {_said(error)}") from error
    if not isinstance(made, kind):
        raise RecipeError(f"{name} returned a {type(made).__name__}, expected a {kind.__name__}")
    return made


def _called(function: Callable[[], object], name: str, kind: type) -> object:
    if not callable(function):
        raise RecipeError(f"{name} is a {type(function).__name__}, expected a function that returns a {kind.__name__}")
    return function()


def _said(error: BaseException) -> str:
    """An error of somebody's own code: what, and where it was raised."""
    if isinstance(error, RecipeError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames and frames[-1].filename != __file__ else ""
    return f"{type(error).__name__}: {error}{where}"

"""Weights of the production backends: list them, check them, fetch them.

    python jobs/models.py list [--recipe paper] [--commercial-safe]
    python jobs/models.py check [NAME ...] [--deep]
    python jobs/models.py fetch NAME ...

They lie in $PERSE_WEIGHTS (default ~/.cache/perse/weights), one folder a name. Only `fetch` uses the network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import tyro

from perse.errors import MissingWeightsError, PerseError
from perse.synthesis.production.model_store import (
    Download,
    Weights,
    fetch,
    from_hub,
    missing_patterns,
    refuse_non_commercial,
    require,
    store_root,
    verify,
    weights_in,
)
from perse.synthesis.production.weights_table import WEIGHTS, WeightsEntry

Show = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class List:
    """Print the table."""

    recipe: str = ""
    """Only what this recipe needs."""
    commercial_safe: bool = False
    """Fail if any of them forbids commercial use, and say what to use instead."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Say whether weights are complete."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Rows of the table; all by default."""
    recipe: str = ""
    """Only what this recipe needs."""
    commercial_safe: bool = False
    """Fail if any of them forbids commercial use."""
    deep: bool = False
    """Compare sha256 of every file as well (reads everything)."""


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Download weights into the store."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Rows of the table."""
    commercial_safe: bool = False
    """Refuse what forbids commercial use before anything is downloaded."""


Command = (
    Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Fetch, tyro.conf.subcommand("fetch")]
)


def run(command: List | Check | Fetch, *, show: Show = print, download: Download = from_hub) -> None:
    """One command.

    Raises:
        PerseError: something is missing or may not be used.
    """
    if isinstance(command, List):
        _list(command, show)
    elif isinstance(command, Check):
        _check(command, show)
    else:
        _fetch(command, show, download)


def _list(command: List, show: Show) -> None:
    entries = _entries((), command.recipe)
    show(f"{'name':38} {'GiB':>5}  {'commercial':10}  {'here':4}  licence; purpose")
    for entry in entries:
        here = "no" if missing_patterns(entry, store_root() / entry.name) else "yes"
        allowed = "yes" if entry.commercial else "no"
        show(f"{entry.name:38} {entry.size_gib:5.1f}  {allowed:10}  {here:4}  {entry.licence}; {entry.purpose}")
    show(f"{'':38} {sum(entry.size_gib for entry in entries):5.1f}  in {store_root()}")
    if command.commercial_safe:
        refuse_non_commercial(Weights(name=entry.name) for entry in entries)


def _check(command: Check, show: Show) -> None:
    entries = _entries(command.names, command.recipe)
    wanted = tuple(Weights(name=entry.name) for entry in entries)
    if command.commercial_safe:
        refuse_non_commercial(wanted)
    for weights in wanted:
        try:
            verify(weights.name) if command.deep else weights.locate()
            show(f"{weights.name}: complete")
        except MissingWeightsError as error:
            show(f"{weights.name}: {error}")
    require(wanted)


def _fetch(command: Fetch, show: Show, download: Download) -> None:
    entries = _entries(command.names, "")
    if command.commercial_safe:
        refuse_non_commercial(Weights(name=entry.name) for entry in entries)
    for entry in entries:
        if not missing_patterns(entry, store_root() / entry.name):
            show(f"{entry.name}: complete already")
            continue
        show(f"{entry.name}: {entry.size_gib:g} GiB from {entry.hub_id}; licence: {entry.licence}")
        show(f"{entry.name}: in {fetch(entry.name, download)}")


def _entries(names: tuple[str, ...], recipe: str) -> list[WeightsEntry]:
    known = {entry.name: entry for entry in WEIGHTS}
    if recipe:
        from perse.recipes import recipe_named

        names = (*names, *(weights.name for weights in weights_in(recipe_named(recipe))))
        return [known[name] for name in names if name in known]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MissingWeightsError(f"there are no weights {unknown[0]!r}; the table has {', '.join(known)}")
    return [known[name] for name in names] if names else list(WEIGHTS)


def main() -> None:
    try:
        run(tyro.cli(Command, description=__doc__))  # type: ignore[arg-type]
    except PerseError as error:
        sys.exit(_complain(error))


def _complain(error: PerseError) -> int:
    """One line on standard error, as every job writes it, and the exit code."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    return 2


if __name__ == "__main__":
    main()

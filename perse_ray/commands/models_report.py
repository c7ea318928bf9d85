"""Weights of the production backends: list them, check them, fetch them, convert them."""

from __future__ import annotations

from collections.abc import Callable

from perse.data.tensor_files import converted
from perse.errors import MissingWeightsError
from perse.head.flame_pickle import convert_flame
from perse.synthesis.production.model_store import (
    Download,
    Weights,
    digest_state,
    fetch,
    from_hub,
    missing_patterns,
    refuse_non_commercial,
    store_root,
    verify,
    weights_in,
)
from perse.synthesis.production.weights_table import WEIGHTS, WeightsEntry
from perse_ray.commands.command_line import recipe_of
from perse_ray.commands.models import CheckModels, Convert, Fetch, ListModels

Show = Callable[[str], None]

HEAD_MODELS = (".pkl", ".pickle")
"""What FLAME's authors call theirs; checkpoints of networks have other names."""


def perform(
    command: ListModels | CheckModels | Fetch | Convert, *, show: Show = print, download: Download = from_hub
) -> None:
    """One command.

    Raises:
        PerseError: something is missing or may not be used.
    """
    if isinstance(command, ListModels):
        _list(command, show)
    elif isinstance(command, CheckModels):
        _check(command, show)
    elif isinstance(command, Fetch):
        _fetch(command, show, download)
    else:
        _convert(command, show)


def _list(command: ListModels, show: Show) -> None:
    entries = _entries((), command.recipe)
    show(f"{'name':38} {'GiB':>5}  {'commercial':10}  {'here':4}  {'sha256':21}  licence; purpose")
    for entry in entries:
        here = "no" if missing_patterns(entry, store_root() / entry.name) else "yes"
        allowed = "yes" if entry.commercial else "no"
        known = f"{allowed:10}  {here:4}  {digest_state(entry):21}"
        show(f"{entry.name:38} {entry.size_gib:5.1f}  {known}  {entry.licence}; {entry.purpose}")
    show(f"{'':38} {sum(entry.size_gib for entry in entries):5.1f}  in {store_root()}")
    if command.commercial_safe:
        refuse_non_commercial(Weights(name=entry.name) for entry in entries)


def _check(command: CheckModels, show: Show) -> None:
    entries = _entries(command.names, command.recipe)
    wanted = tuple(Weights(name=entry.name) for entry in entries)
    if command.commercial_safe:
        refuse_non_commercial(wanted)
    failed = []
    for weights in wanted:
        try:
            show(f"{weights.name}: {verify(weights.name, again=command.deep)}")
        except MissingWeightsError as error:
            failed.append(error)
            if len(wanted) > 1:  # of one, the error is all there is to say
                show(f"{weights.name}: {error}")
    if not wanted:
        show(f"recipe {command.recipe} needs no weights")
    if len(wanted) == 1 and failed:
        raise failed[0]
    if failed:
        lost = [entry for entry in entries if missing_patterns(entry, store_root() / entry.name)]
        absent = [entry.name for entry in lost if entry.hub_id]
        fetched = f"; perse models fetch {' '.join(absent)}" if absent else ""
        raise MissingWeightsError(f"{len(failed)} of {len(wanted)} weights are missing or changed{fetched}")


def _fetch(command: Fetch, show: Show, download: Download) -> None:
    if not command.names and not command.recipe:
        raise MissingWeightsError("name what to fetch, or give --recipe; perse models list shows the names")
    entries = _entries(command.names, command.recipe)
    if command.commercial_safe:
        refuse_non_commercial(Weights(name=entry.name) for entry in entries)
    for entry in entries:
        if not missing_patterns(entry, store_root() / entry.name):
            show(f"{entry.name}: complete already")
            continue
        show(f"{entry.name}: {entry.size_gib:g} GiB from {entry.hub_id}; licence: {entry.licence}")
        show(f"{entry.name}: in {fetch(entry.name, download)}")


def _convert(command: Convert, show: Show) -> None:
    if not command.files:
        raise MissingWeightsError("name the files to convert")
    for file in command.files:
        show(f"{convert_flame(file) if file.suffix.lower() in HEAD_MODELS else converted(file)}")


def _entries(names: tuple[str, ...], recipe: str) -> list[WeightsEntry]:
    known = {entry.name: entry for entry in WEIGHTS}
    if recipe:
        names = (*names, *(weights.name for weights in weights_in(recipe_of(recipe, None)) if weights.name in known))
        if not names:
            return []
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MissingWeightsError(f"there are no weights {unknown[0]!r}; the table has {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] if names else list(WEIGHTS)

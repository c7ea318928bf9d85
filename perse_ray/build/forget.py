"""Removal of a person: everything that was made of a portrait, and a look at what is left.

What goes: the workspace, the table of `build-many` beside it, and in MLflow the registered model, the runs and their
files. What is looked at afterwards: the places where copies could lie (beside the workspace, MLflow's files, caches,
temporary folders), for whole files of the person by their sha256 and for pieces of them inside other files (`traces`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from perse.data import archive
from perse.data.durable_files import remove
from perse.data.file_digests import cache_root
from perse.data.workspace import MARKER, Workspace
from perse.errors import InputError, PerseError
from perse_ray.build.many import COMMON
from perse_ray.build.traces import Traces, scan, traces_of
from perse_ray.registry.removal import remove_from_mlflow


@dataclass(frozen=True)
class Forgotten:
    """Result of removing a person.

    Attributes:
        workspaces: that were removed.
        files, size: how many files those were, and their bytes.
        models, runs: of MLflow, that were removed.
        problems: what could not be removed, in one line each.
        scanned: files that were looked at afterwards.
        left: files that still hold something of the person.
    """

    workspaces: tuple[str, ...]
    files: int
    size: int
    models: tuple[str, ...]
    runs: int
    problems: tuple[str, ...]
    scanned: int
    left: tuple[str, ...]


def workspaces_of(identity: str, runs: Path) -> list[Workspace]:
    """Workspaces in a folder that belong to a person, named by the identity of the photograph or by the key of the
    tracked portrait (as in the name of the registered model), or by a beginning of either that is eight long.

    Raises:
        InputError: the identity is too short, or nobody's.
    """
    if len(identity) < 8 or not all(letter in "0123456789abcdef" for letter in identity):
        raise InputError(f"{identity[:40]!a} names nobody: expected 8 hexadecimal digits of an identity at least")
    candidates = [runs, *sorted(path for path in runs.iterdir() if path.is_dir())] if runs.is_dir() else []
    found = [Workspace(str(path.absolute())) for path in candidates if (path / MARKER).exists()]
    mine = [home for home in found if any(key.startswith(identity) for key in _keys(home))]
    if not mine:
        raise InputError(f"no workspace in {runs} belongs to {identity}")
    return mine


def forget(workspaces: Iterable[Workspace], places: Iterable[Path] = ()) -> Forgotten:
    """Remove local workspaces and all that came from them; the workspaces must be locked.

    Args:
        places: to look at afterwards, besides those where copies could lie.
    """
    homes = list(workspaces)
    digests: set[str] = set()
    pieces: list[bytes] = []
    looked = {Path(tempfile.gettempdir()), cache_root(), *places}
    files = size = runs = 0
    models: list[str] = []
    problems: list[str] = []
    for home in homes:
        traces = traces_of(home)
        digests |= traces.digests
        pieces += traces.pieces
        looked.add(home.path.parent)
        found = list(home.walk())
        files, size = files + len(found), size + sum(n for _, n in found)
        removed = remove_from_mlflow(home, _keys(home))
        models += removed.models
        runs += removed.runs
        problems += removed.problems
        looked |= {Path(folder) for folder in removed.folders}
        for folder in removed.folders:
            shutil.rmtree(folder, ignore_errors=True)
        remove(home.path)
        _remove_summary(home)
    scanned, left = scan(Traces(frozenset(digests), tuple(pieces)), looked)
    names = tuple(home.location for home in homes)
    return Forgotten(names, files, size, tuple(models), runs, tuple(problems), scanned, tuple(left))


def _remove_summary(home: Workspace) -> None:
    """Remove the table of many builds beside a workspace: its pictures are people made small, which no search knows
    again. The next `build-many` writes it anew, of those who are left."""
    for path in sorted((home.path.parent / COMMON / "report").glob("summary.*")):
        remove(path)


def _keys(home: Workspace) -> list[str]:
    """What the person of a workspace is called."""
    keys = []
    with suppress(PerseError):
        keys.append(str(home.read_json(MARKER).get("identity")))
    with suppress(PerseError, ValueError, KeyError):
        keys.append(archive.load_portrait(home).key)
    return keys

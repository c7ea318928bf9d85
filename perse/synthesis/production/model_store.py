"""Store of model weights: where they lie, whether they are complete, and what may be run with them.

A store is a folder with one folder a row of `weights_table.WEIGHTS`. Nothing is downloaded unless somebody calls
`fetch`; a complete folder is used without asking anybody. Only safetensors are loaded: a folder that offers a pickle
is refused by name, because opening one can run whatever its author wrote.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from perse.data.durable_files import write_file_atomically
from perse.data.file_digests import file_digest
from perse.data.tensor_files import PICKLES, converted, refuse_pickle
from perse.errors import MissingWeightsError, RecipeError
from perse.private_folders import at_home, cache_folder
from perse.synthesis.production.weights_table import WEIGHTS, WeightsEntry, entry_named

log = logging.getLogger(__name__)

FETCHED = "fetched.json"
"""Beside the files: hub id, commit, and the sha256 of every file as it came."""

Download = Callable[[WeightsEntry, Path], str]
"""Brings an entry's files into a folder and returns the commit they are from."""


def store_root() -> Path:
    """Folder of the store: ``$PERSE_WEIGHTS``, or ``~/.cache/perse/weights``."""
    given = os.environ.get("PERSE_WEIGHTS")
    return Path(given).expanduser() if given else at_home(".cache/perse/weights") or cache_folder() / "weights"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Reference of a configuration to weights. Small and picklable; the files are opened where they are used."""

    name: str
    """Row of the table, or a name of your own together with a folder."""
    folder: Path | None = None
    """A local folder; None looks in the store."""

    @property
    def entry(self) -> WeightsEntry | None:
        """The row of the table, if it has one."""
        return next((entry for entry in WEIGHTS if entry.name == self.name), None)

    @property
    def licence(self) -> str:
        """The licence of the table's row, wherever the files lie. What another folder holds cannot be known."""
        return self.entry.licence if self.entry else "as its owner says (local folder)"

    def place(self) -> Path:
        """Folder where the weights are expected."""
        return self.folder or store_root() / self.name

    def locate(self) -> Path:
        """Folder of the weights, complete and free of pickles.

        Raises:
            MissingWeightsError: one line with what is missing, its size, its licence and the command.
        """
        place = self.place()
        if self.folder is not None:
            if not place.is_dir():
                raise MissingWeightsError(f"weights {self.name}: there is no folder {place}")
            refuse_pickles(place)
            return place
        entry = _entry(self.name)
        if missing_patterns(entry, place):
            raise MissingWeightsError(describe_missing(entry))
        refuse_pickles(place)
        return place


def describe_missing(entry: WeightsEntry) -> str:
    """One line for somebody who has to get these weights."""
    files = " and ".join(entry.required)
    remedy = (
        f"get them with: perse models fetch {entry.name}"
        if entry.hub_id
        else f"nobody publishes them in this form: put {files} into {store_root() / entry.name}"
    )
    return (
        f"weights {entry.name} ({entry.purpose}) are not in {store_root()}: {entry.size_gib:g} GiB, "
        f"licence: {entry.licence}; {remedy}"
    )


def missing_patterns(entry: WeightsEntry, folder: Path) -> list[str]:
    """Patterns that the entry needs and the folder has no match for, and parts that an index names."""
    missing = [pattern for pattern in entry.required if not any(folder.glob(pattern))]
    for index in sorted(folder.rglob("*.safetensors.index.json")):
        where = index.parent.relative_to(folder)
        try:
            parts = set(json.loads(index.read_text())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):  # half a download
            missing.append(str(where / index.name))
        else:
            missing += [str(where / part) for part in parts if not (index.parent / part).is_file()]
    return sorted(missing)


def refuse_pickles(folder: Path) -> None:
    """Refuse a folder in which a pickled checkpoint lies: a loader might prefer it.

    Raises:
        MissingWeightsError: naming the first such file.
    """
    for path in sorted(folder.rglob("*")):
        refuse_pickle(path)


def fetch(name: str, download: Download) -> Path:
    """Bring a row's files into the store, and write down what came.

    What the table knows a digest of must have it; of everything else the digest of this first time is trusted, and
    `verify` compares with it from then on.

    Raises:
        MissingWeightsError: the table has no such row or no hub id, the download is incomplete, or a known digest
            differs.
    """
    entry = _entry(name)
    if not entry.hub_id:
        raise MissingWeightsError(f"{name} is on no hub: put its files into {store_root() / name}")
    folder = store_root() / name
    folder.mkdir(parents=True, exist_ok=True)
    commit = download(entry, folder)
    _refuse_other_files(entry, folder)
    originals = _convert_pickles(folder) if entry.tensor_pickles else {}
    if missing := missing_patterns(entry, folder):
        raise MissingWeightsError(f"{entry.hub_id} did not bring {', '.join(missing)} into {folder}; fetch again")
    refuse_pickles(folder)
    _write_lock(entry, folder, commit=commit, converted_from=originals)
    return folder


def from_hub(entry: WeightsEntry, folder: Path) -> str:
    """Download from the model hub, with the user's own login where the repository asks for one.

    Raises:
        MissingWeightsError: no network, no such repository or no permission; one line.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        commit = HfApi().model_info(entry.hub_id, revision=entry.revision).sha or entry.revision
        snapshot_download(entry.hub_id, revision=commit, local_dir=folder, allow_patterns=list(entry.patterns))
    except Exception as error:  # the hub's, the network's and the disk's errors have nothing in common
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(
            f"{entry.hub_id} cannot be downloaded: {first}. Is there a network? Some repositories want their licence "
            f"accepted on their page and a login (hf auth login). Files got otherwise go into {folder}"
        ) from error
    return commit


def verify(name: str, *, again: bool = False) -> str:
    """Compare every file with the digests of its fetch and of the table, and say what was compared.

    A folder that was filled by hand has no digests yet: they are written down now, and compared from then on.

    Args:
        again: read every file (minutes for FLUX), also those whose size and time have not changed since the last time.

    Raises:
        MissingWeightsError: incomplete, a pickle, or a file that differs.
    """
    entry = _entry(name)
    folder = Weights(name=name).locate()
    found = {_relative(path, folder): file_digest(path, again=again) for path in weight_files(folder)}
    _compare(name, dict(entry.sha256), found, "the one in our table")
    if not (folder / FETCHED).is_file():
        _write_lock(entry, folder, commit="unknown, not fetched by us")
        return f"complete; sha256 of {len(found)} files written down, nothing to compare most of them with"
    _compare(name, json.loads((folder / FETCHED).read_text())["sha256"], found, "the one that was fetched")
    return f"complete; sha256 of {len(found)} files as when they were fetched"


def digest_state(entry: WeightsEntry) -> str:
    """State of a row's digests, in two or three words."""
    if (store_root() / entry.name / FETCHED).is_file():
        return "recorded"
    return f"{len(entry.sha256)} published" if entry.sha256 else "unknown until fetched"


def _write_lock(
    entry: WeightsEntry, folder: Path, *, commit: str, converted_from: dict[str, str] | None = None
) -> None:
    digests = {_relative(path, folder): file_digest(path) for path in weight_files(folder)}
    lock = {"hub_id": entry.hub_id, "revision": entry.revision, "commit": commit, "sha256": digests}
    lock |= {"converted_from": converted_from} if converted_from else {}
    write_file_atomically(folder / FETCHED, (json.dumps(lock, indent=2, sort_keys=True) + "\n").encode())


def _convert_pickles(folder: Path) -> dict[str, str]:
    """Replace pickled checkpoints by safetensors of their tensors; names and digests of what there was."""
    originals = {}
    for path in [one for one in weight_files(folder) if one.suffix.lower() in PICKLES]:
        originals[_relative(path, folder)] = file_digest(path)
        converted(path)
        path.unlink()
    return originals


def _refuse_other_files(entry: WeightsEntry, folder: Path) -> None:
    """What has not the digest that the table knows is thrown away: nobody may take it for complete."""
    for name, expected in entry.sha256:
        path = folder / name
        if path.is_file() and file_digest(path) != expected:
            path.unlink()
            raise MissingWeightsError(
                f"{entry.name}: {name} is not the published file (sha256 differs) and was removed: a damaged download, "
                "or its authors replaced it; fetch again"
            )


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def digest(folder: Path) -> str:
    """Digest of weights, which provenance calls them by: of the names and the content of all files of their folder, 16
    digits.

    Every file is read once on a machine (a minute for FLUX) and remembered (`perse.data.file_digests`).
    """
    total = hashlib.sha256()
    for path in weight_files(folder):
        total.update(f"{path.relative_to(folder)}\0{file_digest(path)}\0".encode())
    return total.hexdigest()[:16]


def weight_files(folder: Path) -> list[Path]:
    """Files in a folder of weights, without hidden files and our own note; empty where there is no folder."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != FETCHED)
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def weights_in(config: object) -> Iterator[Weights]:
    """Weights that a configuration mentions, at any depth, each once; a path into the store counts as well."""
    seen: set[Weights] = set()
    for weights in _walk(config):
        if weights not in seen:
            seen.add(weights)
            yield weights


def require(config: object, *, commercial_safe: bool = False) -> None:
    """Refuse, before anything runs, a configuration whose weights are not there or may not be used.

    Raises:
        RecipeError: commercial use is asked for and a licence forbids it; names the alternatives.
        MissingWeightsError: one line that names everything that is missing, its size, licence and command.
    """
    wanted = list(weights_in(config))
    if commercial_safe:
        refuse_non_commercial(wanted)
    missing = [entry for weights in wanted if (entry := _absent(weights)) is not None]
    if len(missing) > 1:
        listed = "; ".join(f"{entry.name} ({entry.size_gib:g} GiB, {entry.licence})" for entry in missing)
        names = " ".join(entry.name for entry in missing)
        raise MissingWeightsError(f"{len(missing)} weights are missing: {listed}; perse models fetch {names}")
    for weights in wanted:
        weights.locate()
    for path in files_in(config):
        if not path.exists():
            raise MissingWeightsError(f"the recipe names {path}, and there is no such file")
    for part in _nested(config):
        if isinstance(part, ChecksWeights):
            part.check_weights()


@runtime_checkable
class ChecksWeights(Protocol):
    """Configuration that can tell from the heads of its files whether they are of its model."""

    def check_weights(self) -> None:
        """Check the heads of the weights' files.

        Raises:
            MissingWeightsError: they are of another one; one line that names the first difference.
        """
        ...


def files_in(config: object) -> Iterator[Path]:
    """Paths that a configuration mentions, at any depth."""
    return (value for value in _leaves(config) if isinstance(value, Path))


def refuse_non_commercial(wanted: Iterable[Weights]) -> None:
    """Raise RecipeError for the weights whose licence forbids commercial use, with what to use instead.

    A folder of one's own under a name of the table counts as what the table says; under another name its licence is
    for its owner to know, and a warning says so.
    """
    wanted = list(wanted)
    for weights in wanted:
        if weights.entry is None:
            log.warning("the licence of %s (%s) is not known here: read it", weights.name, weights.place())
    refused = [w.entry for w in wanted if w.entry is not None and not w.entry.commercial]
    if refused:
        listed = "; ".join(f"{entry.name} ({entry.licence}): use {entry.alternative}" for entry in refused)
        raise RecipeError(f"not for commercial use: {listed}")


def _absent(weights: Weights) -> WeightsEntry | None:
    entry = weights.entry
    return entry if entry and weights.folder is None and missing_patterns(entry, weights.place()) else None


def _walk(config: object) -> Iterator[Weights]:
    root = store_root()
    for value in _leaves(config):
        if isinstance(value, Weights):
            yield value
        elif isinstance(value, Path) and value.is_relative_to(root) and value != root:
            yield Weights(name=value.relative_to(root).parts[0])


def _leaves(value: Any) -> Iterator[object]:
    """The innermost values of nested records, tuples, lists and mappings; `Weights` are not taken apart."""
    return (one for one in _nested(value) if not _parts(one) and not isinstance(one, (tuple, list, dict)))


def _nested(value: Any) -> Iterator[object]:
    """A value and everything in it, at any depth."""
    yield value
    for part in _parts(value):
        yield from _nested(part)


def _parts(value: Any) -> list[Any]:
    if is_dataclass(value) and not isinstance(value, (type, Weights)):
        # Fields that are not compared name what is made, such as a folder for it.
        return [getattr(value, field.name) for field in fields(value) if field.compare]
    if isinstance(value, (tuple, list)):
        return list(value)
    return list(value.values()) if isinstance(value, dict) else []


def _entry(name: str) -> WeightsEntry:
    try:
        return entry_named(name)
    except KeyError as error:
        raise MissingWeightsError(str(error.args[0])) from error


def _compare(name: str, known: dict[str, str], found: dict[str, str], which: str) -> None:
    wrong = [path for path, expected in sorted(known.items()) if path in found and found[path] != expected]
    gone = [path for path in sorted(known) if path not in found]
    if wrong or gone:
        what = f"{wrong[0]} is not {which} (sha256 differs)" if wrong else f"{gone[0]} is gone"
        raise MissingWeightsError(f"{name}: {what}; remove it and fetch again")

"""Cache of loaded avatars: loaded when first asked for, as many as fit, exchanged when there is a new version.

Whoever draws with an avatar holds it: taking it out of the cache or exchanging it drops no request under way.
"""

from __future__ import annotations

import logging
import tempfile
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from perse.errors import PerseError
from perse.viewing import WITHOUT_WEIGHTS, Encoders
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar
from perse_ray.serving.library.sources import Place, read_info
from perse_ray.serving.schema.errors import NoSuchAvatar
from perse_ray.serving.schema.requests import AvatarInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Edition:
    """An avatar as it was at some time.

    Attributes:
        version: of its place.
        loaded: in memory.
    """

    version: str
    loaded: LoadedAvatar


class AvatarCache:
    """Cache of several avatars, as many in memory as fit. Its methods may be called from several threads."""

    def __init__(self, places: Mapping[str, Place], *, memory_mib: float, encoders: Encoders = WITHOUT_WEIGHTS) -> None:
        """
        Args:
            places: where the avatars come from, by id; may change under way.
            memory_mib: for avatars and their caches; the least recently used make room. One is always kept.
            encoders: for attributes that are described.
        """
        self._places = places
        self._memory_mib = memory_mib
        self._encoders = encoders
        self._editions: OrderedDict[str, _Edition] = OrderedDict()
        self._lock = Lock()
        self._loading: defaultdict[str, Lock] = defaultdict(Lock)
        self._infos: dict[str, tuple[str, AvatarInfo]] = {}

    def ids(self) -> list[str]:
        return sorted(self._places)

    def in_memory(self) -> list[str]:
        """Ids, the least recently used first."""
        with self._lock:
            return list(self._editions)

    def holds(self, name: str) -> bool:
        """Whether an avatar is in memory."""
        return name in self._editions

    @property
    def used_mib(self) -> float:
        with self._lock:
            return sum(edition.loaded.mib for edition in self._editions.values())

    def avatar(self, name: str) -> LoadedAvatar:
        """Avatar of an id.

        Raises:
            NoSuchAvatar: the id is nobody's.
            PerseError: its place holds no readable avatar.
        """
        place = self._place(name)
        with self._lock:
            if name in self._editions:
                self._editions.move_to_end(name)
                return self._editions[name].loaded
        with self._loading[name]:
            if name not in self._editions:
                self._put(name, self._load(name, place, place.version()))
            return self._editions[name].loaded

    def info(self, name: str) -> AvatarInfo:
        """Description of an avatar, whether or not it is in memory.

        Raises:
            NoSuchAvatar, PerseError: as `avatar`.
        """
        place = self._place(name)
        with self._lock:
            edition = self._editions.get(name)
        if edition:
            return edition.loaded.info(name).model_copy(update={"version": edition.version})
        version = place.version()
        known = self._infos.get(name)
        if known is None or known[0] != version:
            with self._fetched(name, place, version) as folder:
                known = self._infos[name] = (version, read_info(name, folder).model_copy(update={"version": version}))
        return known[1]

    def refresh(self) -> list[str]:
        """Exchange what is in memory and has a new version; returns its ids. A version that cannot be loaded, such as
        one that is just being written, leaves the old one where it is."""
        changed = []
        for name in self.in_memory():
            try:
                if self._refreshed(name):
                    changed.append(name)
            except PerseError as error:
                log.warning("%s stays as it is: %s", name, error)
        return changed

    def _refreshed(self, name: str) -> bool:
        place = self._place(name)
        version = place.version()
        with self._loading[name]:
            edition = self._editions.get(name)
            if edition is None or edition.version == version:
                return False
            self._put(name, self._load(name, place, version))
        log.info("%s is now version %s", name, version)
        return True

    def _place(self, name: str) -> Place:
        try:
            return self._places[name]
        except KeyError:
            self._drop(name)
            raise NoSuchAvatar("there is no such avatar; GET /v1/avatars lists them") from None

    def _load(self, name: str, place: Place, version: str) -> _Edition:
        with self._fetched(name, place, version) as folder:
            return _Edition(version, LoadedAvatar.load(folder, self._encoders))

    @contextmanager
    def _fetched(self, name: str, place: Place, version: str) -> Iterator[Path]:
        """The avatar's folder; a copy lives no longer than the block."""
        with tempfile.TemporaryDirectory(prefix=f"perse-{name}-") as copy:
            yield place.fetch(version, Path(copy))

    def _drop(self, name: str) -> None:
        """Let go of an avatar whose place is gone."""
        with self._lock:
            self._editions.pop(name, None)
            self._infos.pop(name, None)

    def _put(self, name: str, edition: _Edition) -> None:
        with self._lock:
            self._editions[name] = edition
            self._editions.move_to_end(name)
            used = sum(one.loaded.mib for one in self._editions.values())
            while used > self._memory_mib and len(self._editions) > 1:
                gone, old = self._editions.popitem(last=False)
                used -= old.loaded.mib
                log.info("%s leaves memory, for %s", gone, name)

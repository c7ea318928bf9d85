"""Disks and object stores that remember every operation, and what would be left of them had the machine stopped there.

A name or a byte that was not synced may be lost when the power fails: of a folder's changes some first ones survive, of
a file's bytes some first ones. After a mere kill everything that was done is there. An object store shows an object
when its upload has ended.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs


@dataclass
class File:
    """An inode of bytes.

    Attributes:
        content: as every process sees it.
        synced: bytes of it that are on disk.
    """

    content: bytes = b""
    synced: int = 0


@dataclass
class Folder:
    """An inode of names.

    Attributes:
        names: as every process sees them.
        synced: as they are on disk.
        pending: the changes between the two, in their order; each sets names to inodes, or to None.
    """

    names: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def set(self, names: dict[str, File | Folder | None]) -> None:
        """One atomic change."""
        _apply(self.names, names)
        self.pending.append(names)

    def sync(self) -> None:
        self.synced, self.pending = dict(self.names), []


def _apply(names: dict[str, File | Folder], change: dict[str, File | Folder | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


@dataclass
class DiskOperation:
    """What was done: a verb, a path below the disk's root, and what belongs to it."""

    verb: str
    path: str
    other: Any = None


class RecordingOs:
    """Stands for `os` in `perse.data.durable_files`: does everything, and writes down what changes the disk."""

    O_WRONLY, O_CREAT, O_EXCL, O_RDONLY = os.O_WRONLY, os.O_CREAT, os.O_EXCL, os.O_RDONLY
    path = os.path
    listdir = staticmethod(os.listdir)

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, list[DiskOperation]()
        self._open: dict[int, str] = {}

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        stream = os.open(path, flags, mode)
        self._open[stream] = self._below(path)
        if flags & os.O_CREAT:
            self._note("create", path)
        return stream

    def write(self, stream: int, content: memoryview) -> int:
        count = os.write(stream, content)
        self.log.append(DiskOperation("write", self._open[stream], bytes(content[:count])))
        return count

    def fsync(self, stream: int) -> None:
        self.log.append(DiskOperation("sync", self._open[stream]))

    def close(self, stream: int) -> None:
        os.close(stream)
        del self._open[stream]

    def mkdir(self, path: Path) -> None:
        os.mkdir(path)
        self._note("mkdir", path)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)
        self._note("rename", source, self._below(target))

    replace = rename

    def unlink(self, path: Path) -> None:
        os.unlink(path)
        self._note("unlink", path)

    def rmdir(self, path: Path) -> None:
        os.rmdir(path)
        self._note("unlink", path)

    def _below(self, path: Path) -> str:
        return os.path.relpath(path, self.root)

    def _note(self, verb: str, path: Path, other: Any = None) -> None:
        self.log.append(DiskOperation(verb, self._below(path), other))


class UnsyncedOs(RecordingOs):
    """For looking at what is left: nothing is synced and nothing is remembered, which saves time."""

    def __init__(self) -> None:
        super().__init__(Path("/"))

    def _note(self, verb: str, path: Path, other: Any = None) -> None:
        pass

    def write(self, stream: int, content: memoryview) -> int:
        return os.write(stream, content)

    def fsync(self, stream: int) -> None:
        pass


class Disk:
    """A disk that operations are done on one after the other."""

    def __init__(self) -> None:
        self.root = Folder()

    def do(self, operation: DiskOperation) -> None:
        verb, other = operation.verb, operation.other
        folder, name = self._place(operation.path)
        if verb == "create":
            folder.set({name: File()})
        elif verb == "mkdir":
            folder.set({name: Folder()})
        elif verb == "unlink":
            folder.set({name: None})
        elif verb == "write":
            inode = folder.names[name]
            assert isinstance(inode, File)
            inode.content += other
        elif verb == "sync":
            self._sync(self.root if operation.path == "." else folder.names[name])
        elif verb == "rename":
            self._rename(folder, name, *self._place(other))

    def left(self, rng: random.Random, *, power: bool) -> dict[str, bytes | None]:
        """Files (bytes) and folders (None) by path, had the process been killed now or the power failed."""
        return dict(_left(self.root, "", rng, power))

    def _rename(self, source: Folder, name: str, target: Folder, new: str) -> None:
        inode = source.names[name]
        if source is target:
            source.set({name: None, new: inode})
        else:
            target.set({new: inode})
            source.set({name: None})

    def _sync(self, inode: File | Folder) -> None:
        if isinstance(inode, File):
            inode.synced = len(inode.content)
        else:
            inode.sync()

    def _place(self, path: str) -> tuple[Folder, str]:
        *folders, name = path.split("/")
        folder = self.root
        for part in folders:
            inner = folder.names[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, name


def _left(folder: Folder, path: str, rng: random.Random, power: bool) -> Iterator[tuple[str, bytes | None]]:
    names = folder.names
    if power:
        names = dict(folder.synced)
        for change in folder.pending[: rng.randint(0, len(folder.pending))]:
            _apply(names, change)
    for name, inode in names.items():
        if isinstance(inode, Folder):
            yield path + name, None
            yield from _left(inode, f"{path}{name}/", rng, power)
        else:
            kept = rng.randint(inode.synced, len(inode.content)) if power else len(inode.content)
            yield path + name, inode.content[:kept]


class ObjectStore(fs.FileSystemHandler):  # type: ignore[misc]
    """Objects in memory, as a pyarrow filesystem; remembers all that it held after each change."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.history = [dict(self.objects)]

    def _changed(self) -> None:
        self.history.append(dict(self.objects))

    def get_type_name(self) -> str:
        return "crash-store"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        base, found = selector.base_dir.rstrip("/") + "/", set()
        for path in (path for path in self.objects if path.startswith(base)):
            rest = path[len(base) :].split("/")
            found |= {base + "/".join(rest[:n]) for n in range(1, len(rest) + 1 if selector.recursive else 2)}
        return [self._info(path) for path in sorted(found)]

    def _info(self, path: str) -> fs.FileInfo:
        if path in self.objects:
            return fs.FileInfo(path, fs.FileType.File, size=len(self.objects[path]), mtime=1.0)
        is_folder = any(name.startswith(path.rstrip("/") + "/") for name in self.objects)
        return fs.FileInfo(path, fs.FileType.Directory if is_folder else fs.FileType.NotFound)

    def create_dir(self, path: str, recursive: bool) -> None:
        """A store has no folders."""

    def delete_dir(self, path: str) -> None:
        for name in [name for name in self.objects if name.startswith(path.rstrip("/") + "/")]:
            self.delete_file(name)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self.delete_dir(path)

    def delete_root_dir_contents(self) -> None:
        self.delete_dir("")

    def delete_file(self, path: str) -> None:
        del self.objects[path]
        self._changed()

    def move(self, source: str, target: str) -> None:
        raise NotImplementedError("object stores do not rename")

    def copy_file(self, source: str, target: str) -> None:
        self.objects[target] = self.objects[source]
        self._changed()

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        if path not in self.objects:
            raise FileNotFoundError(path)
        return pa.PythonFile(io.BytesIO(self.objects[path]), mode="r")

    def open_output_stream(self, path: str, metadata: object) -> pa.NativeFile:
        return pa.PythonFile(_Upload(self, path), mode="w")

    def open_append_stream(self, path: str, metadata: object) -> pa.NativeFile:
        raise NotImplementedError("object stores do not append")


class _Upload(io.BytesIO):
    """Seen when it is closed."""

    def __init__(self, store: ObjectStore, path: str) -> None:
        super().__init__()
        self._store, self._path = store, path

    def close(self) -> None:
        if not self.closed:
            self._store.objects[self._path] = self.getvalue()
            self._store._changed()
        super().close()

"""Files of a folder on any pyarrow filesystem: whole or not there, and every failure in one line.

A local file appears whole or not at all: temporary name, fsync, rename, fsync of the folder. Object stores put whole
objects anyway.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from perse.data.durable_files import TEMPORARY, make_folders, remove, write_file_atomically
from perse.data.folder_errors import explained, one_line
from perse.data.object_store import check_answers
from perse.errors import WorkspaceError

WORTH_A_LISTING = 20
"""Files of a folder on an object store, looked for at once."""


def written_out(text: str) -> str:
    """Place of a folder as a path from the root, or its address as it is.

    Raises:
        WorkspaceError: no path that can be written down.
    """
    try:
        text.encode()
        if not text or "\0" in text:
            raise ValueError("no name")
        return text if "://" in text else str(Path(text).expanduser().absolute())
    except RuntimeError:
        raise WorkspaceError(f"{text} names the home folder of nobody; write the path out") from None
    except ValueError:  # also of surrogates, which stand for bytes that are no UTF-8
        raise WorkspaceError(f"{text[:200]!a} cannot name a folder; choose another --workspace") from None


@dataclass(frozen=True)
class FileLook:
    """State of a file that is known without reading it.

    Attributes:
        size: bytes.
        stamp: changes when the file is replaced or written to: inode and time of change.
    """

    size: int
    stamp: str


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder by name. A small value: it travels to other processes and opens the filesystem there.

    Attributes:
        location: a local path or a URI (``s3://bucket/me``, ``gs://bucket/me``).
    """

    location: str

    @property
    def is_local(self) -> bool:
        return isinstance(self._place[0], fs.LocalFileSystem)

    @property
    def path(self) -> Path:
        """The local folder.

        Raises:
            WorkspaceError: the workspace is not on a local disk.
        """
        if not self.is_local:
            raise WorkspaceError(f"{self.location} is not a local folder; this step needs one")
        return Path(self._place[1])

    def local_path(self, name: str) -> Path:
        """Path of a file or folder on a local disk; its parents exist."""
        target = self.path / checked(name)
        with self._explained(f"write {name}"):
            try:
                make_folders(target.parent)
            except NotADirectoryError:
                self.remove(name)
                make_folders(target.parent)
        return target

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; an existing one is replaced.

        Raises:
            WorkspaceError: the place cannot be written; the message says why.
        """
        filesystem, root = self._place
        target = f"{root}/{checked(name)}"
        with self._explained(f"write {name}"):
            if not self.is_local:
                _put(filesystem, target, content)
                return
            try:
                write_file_atomically(Path(target), content)
            except (IsADirectoryError, NotADirectoryError):  # names in here are ours: what has taken one is removed
                self.remove(name)
                write_file_atomically(Path(target), content)

    def read(self, name: str) -> bytes:
        """Bytes of a file.

        Raises:
            WorkspaceError: it is not there or cannot be read.
        """
        filesystem, root = self._place
        with self._explained(f"read {name}"), filesystem.open_input_stream(f"{root}/{checked(name)}") as stream:
            return bytes(stream.read())

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        filesystem, root = self._place
        with self._explained(f"look for {name}"):
            return bool(filesystem.get_file_info(f"{root}/{checked(name)}").type == fs.FileType.File)

    def fingerprint(self, names: Sequence[str]) -> str:
        """Sizes and times of change of files: another text when one of them is replaced."""
        filesystem, root = self._place
        with self._explained("look at files"):
            found = filesystem.get_file_info([f"{root}/{checked(name)}" for name in names])
        return "-".join(f"{info.size}.{info.mtime_ns}" for info in found)

    def look(self, name: str) -> FileLook | None:
        """State of a file as seen from outside; None if there is none."""
        filesystem, root = self._place
        with self._explained("read"):
            info = filesystem.get_file_info(f"{root}/{checked(name)}")
            if info.type != fs.FileType.File:
                return None
            inode = f"{os.stat(info.path).st_ino}." if self.is_local else ""
        return FileLook(int(info.size), f"{inode}{info.mtime_ns}")

    def looks(self, names: Sequence[str]) -> dict[str, FileLook | None]:
        """States of many files. On an object store a folder is listed, a thousand names a request, where many of its
        files are asked for; one by one they would take a request each."""
        if self.is_local:
            return {name: self.look(name) for name in names}
        filesystem, root = self._place
        folders = Counter(str(PurePosixPath(name).parent) for name in names)
        listed: dict[str, FileLook] = {}
        for folder in (folder for folder, count in folders.items() if count >= WORTH_A_LISTING):
            with self._explained(f"list {folder}"):
                found = filesystem.get_file_info(fs.FileSelector(f"{root}/{checked(folder)}", allow_not_found=True))
            for info in found:
                if info.type == fs.FileType.File:
                    listed[f"{folder}/{info.base_name}"] = FileLook(int(info.size), f"{info.mtime_ns}")
        return {
            name: listed.get(name) if folders[str(PurePosixPath(name).parent)] >= WORTH_A_LISTING else self.look(name)
            for name in names
        }

    def walk(self) -> Iterator[tuple[str, int]]:
        """Names of all files, and their bytes, in no particular order."""
        filesystem, root = self._place
        with self._explained("list the files"):
            for info in filesystem.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True)):
                if info.type == fs.FileType.File:
                    yield info.path.removeprefix(root).lstrip("/"), int(info.size)

    def modified_s(self, name: str) -> float | None:
        """Time at which a file was written, seconds since 1970; None if it is not there."""
        filesystem, root = self._place
        with self._explained(f"look at {name}"):
            info = filesystem.get_file_info(f"{root}/{checked(name)}")
        return None if info.type == fs.FileType.NotFound else info.mtime_ns / 1e9

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted file names in a folder (without the suffix), left-overs of interrupted writes excluded."""
        filesystem, root = self._place
        selector = fs.FileSelector(f"{root}/{checked(folder)}", allow_not_found=True)
        with self._explained(f"list {folder}"):
            found = [info.base_name for info in filesystem.get_file_info(selector) if info.type == fs.FileType.File]
        kept = [name for name in found if name.endswith(suffix) and TEMPORARY not in name]
        return sorted(name.removesuffix(suffix) for name in kept)

    def remove(self, name: str) -> None:
        """Delete a file or folder, or the file that lies where its folder should be; nothing happens if it is not
        there."""
        filesystem, root = self._place
        target = f"{root}/{checked(name)}"
        with self._explained(f"delete {name}"):
            if self.is_local:
                above = [Path(root, folder) for folder in PurePosixPath(name).parents if folder.name]
                remove(next((folder for folder in reversed(above) if folder.is_file()), Path(target)))
                return
            kind = filesystem.get_file_info(target).type
            if kind == fs.FileType.Directory:
                filesystem.delete_dir(target)
            elif kind == fs.FileType.File:
                filesystem.delete_file(target)

    @contextmanager
    def scratch_folder(self, name: str) -> Iterator[tuple[fs.FileSystem, str]]:
        """Context with a folder in this one for a library that wants one of its own; gone when the block ends.

        Yields:
            The filesystem, and the folder's place on it.
        """
        filesystem, root = self._place
        place = f"{root}/{checked(name)}"
        with self._explained("write"):
            filesystem.create_dir(place, recursive=True)
        try:
            yield filesystem, place
        finally:
            self.remove(name)

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str]:
        try:
            if "://" not in self.location:
                return fs.LocalFileSystem(), self.location
            if not self.location.partition("://")[2].partition("?")[0].strip("/"):
                raise WorkspaceError(f"{self.location} names no folder; expected something like s3://bucket/folder")
            if not self.location.startswith("file://"):
                check_answers(self.location)
            filesystem, root = fs.FileSystem.from_uri(self.location)
        except (pa.ArrowInvalid, OSError) as error:
            raise WorkspaceError(
                f"cannot use {self.location} as a workspace: expected a local path or an s3:// or gs:// address "
                f"({one_line(error)})"
            ) from error
        return filesystem, root.rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        return {"location": self.location}

    def _explained(self, action: str) -> AbstractContextManager[None]:
        return explained(action, self.location)


def is_temporary(name: str) -> bool:
    """Whether a name in a workspace is that of a write under way, or of one that was interrupted."""
    return TEMPORARY in PurePosixPath(name).name


def _put(filesystem: fs.FileSystem, target: str, content: bytes) -> None:
    """Write a whole object. Object stores need no folders; a filesystem that does is given them.

    A store shows an object when its upload has ended, and so an upload that was given up must not end: what it leaves
    is looked at, and removed if it is not whole.
    """
    try:
        stream = filesystem.open_output_stream(target)
    except FileNotFoundError:
        filesystem.create_dir(str(PurePosixPath(target).parent), recursive=True)
        stream = filesystem.open_output_stream(target)
    try:
        with stream:
            stream.write(content)
    finally:
        found = filesystem.get_file_info(target)
        if found.type == fs.FileType.File and found.size != len(content):
            filesystem.delete_file(target)
            raise OSError(f"{len(content)} bytes were sent and {found.size} arrived")


def checked(name: str) -> str:
    """Name that is relative and does not climb out of the folder.

    Raises:
        ValueError: it is not such a name.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f\\]", name):
        raise ValueError(f"{name!r} is not a name inside a workspace")
    return name

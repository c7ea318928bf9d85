"""The workspace: everything that one identity's avatar is made of, on any pyarrow filesystem.

::

    workspace.json   what this folder is, and whose
    portrait/        the tracked photograph
    prompts/         the planned prompts
    edits/           <edit key>.parquet; verdicts/<verdict key>.parquet
    clips/           <clip key>.parquet, one row a frame, row groups of about 2 MiB
    quarantine/      <key>.parquet, one a failed row; attempts/ while work is under way
    morphs/          content-addressed cache of interpolation targets
    checkpoints/     training state (written by `perse.training`)
    body/            of a body build: the fitted person, its close looks, clips/<key>.npz
    adapters/        <key>.safetensors, of a teacher of interpolations, one a subject
    features/        <key>.npz, f_I and f_T of a subject
    measurements/    <key>.json, a piece of an evaluation
    avatar/          safetensors + JSON: what is registered and served
    report/          metrics, contact sheets, report.html
    manifests/       <stage>.json, written last: a stage is finished exactly when its manifest is there
    damaged/         notes of files that could not be read; the next run looks at them and makes them again

Files carry their content key as their name, so writing one twice is harmless. A local file appears whole or not at
all: temporary name, fsync, rename, fsync of the folder. Object stores put whole objects anyway.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from perse.data.durable_files import TEMPORARY, make_folders, remove, write_file_atomically
from perse.data.keys import identity_of
from perse.data.object_store import check_answers
from perse.data.tables.codecs import png_to_picture
from perse.errors import DamagedFile, WorkspaceError

log = logging.getLogger(__name__)

FOLDERS = (
    "portrait",
    "prompts",
    "edits",
    "clips",
    "quarantine",
    "morphs",
    "checkpoints",
    "avatar",
    "report",
    "features",
    "adapters",
    "measurements",
    "manifests",
)

WORTH_A_LISTING = 20
"""Files of a folder on an object store, looked for at once."""

DAMAGED = "damaged"
"""Folder of notes; it is there only while there are any."""

MARKER = "workspace.json"
ABOUT_RUNS = (MARKER, "mlflow.json", "locks/", "tracking/")
"""Files, and folders of files, that hold nothing of a person."""
PHOTOGRAPH = "portrait/photograph.png"
FORMAT = "perse-workspace"
VERSION = 1

_LEAVES_ON_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EFBIG: "the file would exceed the size limit",
    errno.ENAMETOOLONG: "the path is too long",
}


def _written_out(text: str) -> str:
    """An address as it is, a path from the root.

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
class Workspace:
    """A folder on a pyarrow filesystem. A small value: it travels to other processes and opens the filesystem there.

    Attributes:
        location: a local path or a URI (``s3://bucket/me``, ``gs://bucket/me``).
    """

    location: str

    @classmethod
    def open(cls, location: str | Path) -> Workspace:
        """The workspace at a place, made if there is none.

        Raises:
            WorkspaceError: the place cannot be written, or holds something that is not a workspace.
        """
        text = str(location)
        workspace = cls(_written_out(text))
        with workspace._explained("open"):
            workspace._found()
        return workspace

    @classmethod
    def existing(cls, location: str | Path) -> Workspace:
        """The workspace at a place, as it is; nothing is written.

        Raises:
            WorkspaceError: there is none.
        """
        workspace = cls(_written_out(str(location)))
        with workspace._explained("open"):
            if not (workspace.has(MARKER) or workspace._is_one_without_marker()):
                raise WorkspaceError(f"there is no workspace at {workspace.location}")
        return workspace

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
        """Where a file or folder of a local workspace lies; its parents exist."""
        target = self.path / _checked(name)
        with self._explained(f"write {name}"):
            try:
                make_folders(target.parent)
            except NotADirectoryError:
                self.remove(name)
                make_folders(target.parent)
        return target

    # Bytes

    def write(self, name: str, content: bytes) -> None:
        """Put a file, whole or not at all; an existing one is replaced.

        Raises:
            WorkspaceError: the place cannot be written; the message says why.
        """
        filesystem, root = self._place
        target = f"{root}/{_checked(name)}"
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
        """A file's bytes.

        Raises:
            WorkspaceError: it is not there or cannot be read.
        """
        filesystem, root = self._place
        with self._explained(f"read {name}"), filesystem.open_input_stream(f"{root}/{_checked(name)}") as stream:
            return bytes(stream.read())

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        filesystem, root = self._place
        with self._explained(f"look for {name}"):
            return bool(filesystem.get_file_info(f"{root}/{_checked(name)}").type == fs.FileType.File)

    def fingerprint(self, names: Sequence[str]) -> str:
        """Changes when one of the files is replaced: their sizes and times of change."""
        filesystem, root = self._place
        with self._explained("look at files"):
            found = filesystem.get_file_info([f"{root}/{_checked(name)}" for name in names])
        return "-".join(f"{info.size}.{info.mtime_ns}" for info in found)

    def look(self, name: str) -> FileLook | None:
        """A file from outside; None if there is none."""
        filesystem, root = self._place
        with self._explained("read"):
            info = filesystem.get_file_info(f"{root}/{_checked(name)}")
            if info.type != fs.FileType.File:
                return None
            inode = f"{os.stat(info.path).st_ino}." if self.is_local else ""
        return FileLook(int(info.size), f"{inode}{info.mtime_ns}")

    def looks(self, names: Sequence[str]) -> dict[str, FileLook | None]:
        """Many files from outside. On an object store a folder is listed, a thousand names a request, where many of its
        files are asked for; one by one they would take a request each."""
        if self.is_local:
            return {name: self.look(name) for name in names}
        filesystem, root = self._place
        folders = Counter(str(PurePosixPath(name).parent) for name in names)
        listed: dict[str, FileLook] = {}
        for folder in (folder for folder, count in folders.items() if count >= WORTH_A_LISTING):
            with self._explained(f"list {folder}"):
                found = filesystem.get_file_info(fs.FileSelector(f"{root}/{_checked(folder)}", allow_not_found=True))
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
        """When a file was written, seconds since 1970; None if it is not there."""
        filesystem, root = self._place
        with self._explained(f"look at {name}"):
            info = filesystem.get_file_info(f"{root}/{_checked(name)}")
        return None if info.type == fs.FileType.NotFound else info.mtime_ns / 1e9

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted file names in a folder (without the suffix), left-overs of interrupted writes excluded."""
        filesystem, root = self._place
        selector = fs.FileSelector(f"{root}/{_checked(folder)}", allow_not_found=True)
        with self._explained(f"list {folder}"):
            found = [info.base_name for info in filesystem.get_file_info(selector) if info.type == fs.FileType.File]
        kept = [name for name in found if name.endswith(suffix) and TEMPORARY not in name]
        return sorted(name.removesuffix(suffix) for name in kept)

    def remove(self, name: str) -> None:
        """Delete a file or folder, or the file that lies where its folder should be; nothing happens if it is not
        there."""
        filesystem, root = self._place
        target = f"{root}/{_checked(name)}"
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

    # Tables and JSON

    def write_table(
        self, name: str, table: pa.Table, dictionary: tuple[str, ...] = (), *, rows_per_group: int | None = None
    ) -> None:
        """A table as one Parquet file, with a single row group unless told otherwise."""
        buffer = io.BytesIO()
        pq.write_table(
            table,
            buffer,
            compression="zstd",
            row_group_size=rows_per_group or max(len(table), 1),
            use_dictionary=list(dictionary) or False,
            write_statistics=False,
            write_page_checksum=True,
        )
        self.write(name, buffer.getvalue())

    def read_table(self, name: str) -> pa.Table:
        """
        Raises:
            DamagedFile: it is not the Parquet file that was written.
        """
        content = self.read(name)
        try:
            return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:  # of bytes in memory: it is the bytes that are wrong
            raise self.damaged(name, "it is not a Parquet file we wrote") from error

    def damaged(self, name: str, what: str) -> DamagedFile:
        """The error to raise where a file that we wrote cannot be read. It is noted, so that the next run makes the
        file again instead of meeting it once more."""
        with suppress(WorkspaceError):
            note = hashlib.sha256(name.encode()).hexdigest()[:32]
            self.write_json(f"{DAMAGED}/{note}.json", {"name": name, "what": what})
        return DamagedFile(
            f"{self.location}/{name} is damaged ({what}); run the same command again, it is then made again"
        )

    @contextmanager
    def opened_table(self, name: str, metadata: pq.FileMetaData | None = None) -> Iterator[pq.ParquetFile]:
        """A Parquet file to read parts of. Local files are mapped into memory, of remote ones only ranges are read.

        Args:
            metadata: of the same file, from an earlier opening: saves reading it again.

        Raises:
            WorkspaceError: it is not there.
            DamagedFile: it is not a Parquet file, or damaged where it is read.
        """
        filesystem, root = (fs.LocalFileSystem(use_mmap=True), self._place[1]) if self.is_local else self._place
        with self._explained(f"read {name}"), filesystem.open_input_file(f"{root}/{_checked(name)}") as stream:
            try:
                yield pq.ParquetFile(
                    stream, metadata=metadata, pre_buffer=not self.is_local, page_checksum_verification=True
                )
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                if getattr(error, "errno", None):  # the disk's trouble, not the file's
                    raise
                raise self.damaged(name, _one_line(error)) from error

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self.write(name, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """
        Raises:
            DamagedFile: it is not the JSON that was written.
        """
        try:
            value = json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise self.damaged(name, "it is not JSON we wrote") from error
        if not isinstance(value, dict):
            raise self.damaged(name, "it is not JSON we wrote")
        return value

    # Commits

    def commit(self, stage: str, manifest: Mapping[str, Any]) -> None:
        """Declare a stage finished. Written last; whoever finds it may trust everything it names."""
        self.write_json(f"manifests/{stage}.json", manifest)

    def manifest(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage wrote, or None while it is not finished."""
        name = f"manifests/{stage}.json"
        return self.read_json(name) if self.has(name) else None

    def owner(self) -> str | None:
        """The identity that the workspace is tied to; None for a new one."""
        found = self.read_json(MARKER).get("identity")
        return None if found is None else str(found)

    def claim(self, identity: str) -> None:
        """Tie the workspace to one identity. A claim of which nothing came (no face was found) is given up.

        Raises:
            WorkspaceError: it already belongs to another.
        """
        owner = self.owner()
        if owner not in (None, identity) and (self._is_unused() or self._identity_of_photograph() == identity):
            owner = None  # in the second case the marker is damaged
        if owner not in (None, identity):
            raise WorkspaceError(
                f"{self.location} holds the avatar of another portrait (identity {owner}, this one is {identity}); "
                "choose another --workspace"
            )
        if owner is None:
            self.write_json(MARKER, {"format": FORMAT, "version": VERSION, "identity": identity})

    def is_marked_rightly(self) -> bool:
        """Whether workspace.json says what it should: of this program, and of the person in the photograph."""
        marker, identity = self._marker(), self._identity_of_photograph()
        return marker is not None and (None in (identity, marker.get("identity")) or marker["identity"] == identity)

    def mark_again(self) -> None:
        """Write workspace.json where it is missing, with the identity of the photograph."""
        if not self.has(MARKER):
            self.write_json(MARKER, {"format": FORMAT, "version": VERSION, "identity": self._identity_of_photograph()})

    @contextmanager
    def scratch_folder(self, name: str) -> Iterator[tuple[fs.FileSystem, str]]:
        """A folder of the workspace for a library that wants one of its own; gone when the block ends.

        Yields:
            The filesystem, and the folder's place on it.
        """
        filesystem, root = self._place
        place = f"{root}/{_checked(name)}"
        with self._explained("write"):
            filesystem.create_dir(place, recursive=True)
        try:
            yield filesystem, place
        finally:
            self.remove(name)

    # Inside

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
                f"({_one_line(error)})"
            ) from error
        return filesystem, root.rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        return {"location": self.location}

    def _found(self) -> None:
        """Check the marker, or found the workspace in an empty or absent folder."""
        filesystem, root = self._place
        marker = self._marker()
        if marker is not None:
            if marker.get("version") != VERSION:
                raise WorkspaceError(
                    f"{self.location} was made by another version of this project; choose another --workspace"
                )
        elif self._is_one_without_marker():
            self.remove(MARKER)
            self.mark_again()
            log.warning("%s/%s was missing or damaged; it is written again", self.location, MARKER)
        else:
            kind = filesystem.get_file_info(root).type
            if kind == fs.FileType.File:
                raise WorkspaceError(f"{self.location} is a file; a workspace is a folder")
            if not self._is_empty():
                raise WorkspaceError(
                    f"{self.location} holds other files and no {MARKER}; choose an empty or new folder as --workspace"
                )
            for folder in FOLDERS:
                if self.is_local:
                    make_folders(Path(root) / folder)
                else:
                    filesystem.create_dir(f"{root}/{folder}", recursive=True)
        self._prove_writable()

    def _marker(self) -> dict[str, Any] | None:
        """The content of workspace.json; None if it is not there, cannot be read or is not ours."""
        if not self.has(MARKER):
            return None
        try:
            found = json.loads(self.read(MARKER))
        except ValueError:
            return None
        return found if isinstance(found, dict) and found.get("format") == FORMAT else None

    def _is_empty(self) -> bool:
        """Whether nothing lies here but what an interrupted founding leaves: our folders, empty, and litter."""
        filesystem, root = self._place
        entries = filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True))
        names = {entry.base_name for entry in entries if TEMPORARY not in entry.base_name}
        return names <= {*FOLDERS, MARKER} and all(name == MARKER or TEMPORARY in name for name, _ in self.walk())

    def _is_one_without_marker(self) -> bool:
        """Whether only we can have made this folder: the photograph or a manifest lies where we put them."""
        return self.has(PHOTOGRAPH) or any(self.names("manifests", ".json"))

    def _is_unused(self) -> bool:
        """Whether nothing of a person lies here: only what every run leaves, whatever became of it."""
        return all(name.startswith(ABOUT_RUNS) or is_temporary(name) for name, _ in self.walk())

    def _identity_of_photograph(self) -> str | None:
        """Whose it is, from the photograph that tracking leaves here; None if it does not tell."""
        try:
            return identity_of(png_to_picture(self.read(PHOTOGRAPH)))
        except (WorkspaceError, ValueError):
            return None

    def _prove_writable(self) -> None:
        """Fail now rather than after an hour of work."""
        if not self.has(MARKER):
            self.write_json(MARKER, {"format": FORMAT, "version": VERSION, "identity": None})
        else:
            self.write("manifests/.probe", b"")
            self.remove("manifests/.probe")

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Turn what a filesystem raises into one line that says what to do."""
        try:
            yield
        except FileNotFoundError as error:
            raise WorkspaceError(f"cannot {action} in {self.location}: there is no such file") from error
        except pa.ArrowInvalid as error:
            raise WorkspaceError(f"cannot {action} in {self.location}: {_one_line(error)}") from error
        except OSError as error:
            reason = _LEAVES_ON_DISK.get(error.errno or 0, _one_line(error))
            raise WorkspaceError(
                f"cannot {action} in {self.location}: {reason}. What is finished is kept: make room or choose "
                "another --workspace, then run the same command again"
            ) from error


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


def _checked(name: str) -> str:
    """Names inside a workspace are relative and never climb out of it."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f\\]", name):
        raise ValueError(f"{name!r} is not a name inside a workspace")
    return name


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

"""Tables and JSON in the files of a folder: written as we write them, and noted where they cannot be read again."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from perse.data.folder_errors import one_line
from perse.data.folder_files import FolderFiles, checked
from perse.errors import DamagedFile, WorkspaceError

DAMAGED = "damaged"
"""Folder of notes; it is there only while there are any."""


@dataclass(frozen=True)
class FolderRecords(FolderFiles):
    """Tables and JSON of a folder by name."""

    def write_table(
        self, name: str, table: pa.Table, dictionary: tuple[str, ...] = (), *, rows_per_group: int | None = None
    ) -> None:
        """Write a table as one Parquet file, with a single row group unless told otherwise."""
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
        """Table in a Parquet file.

        Raises:
            DamagedFile: it is not the Parquet file that was written.
        """
        content = self.read(name)
        try:
            return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:  # of bytes in memory: it is the bytes that are wrong
            raise self.damaged(name, "it is not a Parquet file we wrote") from error

    def damaged(self, name: str, what: str) -> DamagedFile:
        """Error to raise where a file that we wrote cannot be read. It is noted, so that the next run makes the file
        again instead of meeting it once more."""
        with suppress(WorkspaceError):
            note = hashlib.sha256(name.encode()).hexdigest()[:32]
            self.write_json(f"{DAMAGED}/{note}.json", {"name": name, "what": what})
        return DamagedFile(
            f"{self.location}/{name} is damaged ({what}); run the same command again, it is then made again"
        )

    @contextmanager
    def opened_table(self, name: str, metadata: pq.FileMetaData | None = None) -> Iterator[pq.ParquetFile]:
        """Context with a Parquet file to read parts of. Local files are mapped into memory, of remote ones only ranges
        are read.

        Args:
            metadata: of the same file, from an earlier opening: saves reading it again.

        Raises:
            WorkspaceError: it is not there.
            DamagedFile: it is not a Parquet file, or damaged where it is read.
        """
        filesystem, root = (fs.LocalFileSystem(use_mmap=True), self._place[1]) if self.is_local else self._place
        with self._explained(f"read {name}"), filesystem.open_input_file(f"{root}/{checked(name)}") as stream:
            try:
                yield pq.ParquetFile(
                    stream, metadata=metadata, pre_buffer=not self.is_local, page_checksum_verification=True
                )
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                if getattr(error, "errno", None):  # the disk's trouble, not the file's
                    raise
                raise self.damaged(name, one_line(error)) from error

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        self.write(name, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Value in a JSON file.

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

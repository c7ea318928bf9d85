"""Commits stopped after any operation, on a disk and on an object store; and that unsafe ones would be noticed.

`python -m benchmarks.chaos --points 20000` looks at more moments.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import fs

from benchmarks.crash_disk import ObjectStore
from benchmarks.crash_points import on_a_disk, on_an_object_store, stored
from perse.data import durable_files, folder_files
from perse.data.workspace_lock import holder, locked
from perse.errors import WorkspaceError
from perse.training import checkpoint


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def test_on_a_disk_nothing_is_torn_and_nothing_is_lost() -> None:
    found = on_a_disk(700)
    assert (found.points, found.faults) == (700, 0), found.first


def test_on_an_object_store_neither() -> None:
    found = on_an_object_store(300)
    assert (found.points, found.faults) == (300, 0), found.first


def unsynced(path: Path, content: bytes) -> None:
    stream = durable_files.os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    durable_files.os.write(stream, memoryview(content))
    durable_files.os.close(stream)


def unsynced_folders(path: Path) -> None:
    if not path.is_dir():
        unsynced_folders(path.parent)
        durable_files.os.mkdir(path)


def in_place(target: Path, content: bytes) -> None:
    durable_files.make_folders(target.parent)
    durable_files.remove(target)
    durable_files.write_synced(target, content)
    durable_files.sync_folder(target.parent)


UNSAFE: dict[str, Callable[..., None]] = {
    "write_synced": unsynced,
    "sync_folder": lambda path: None,
    "make_folders": unsynced_folders,
    "write_file_atomically": in_place,
}


@pytest.mark.parametrize("name", UNSAFE)
def test_a_step_that_is_left_out_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (durable_files, folder_files, checkpoint):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, UNSAFE[name])
    assert on_a_disk(60).faults > 0


def test_an_upload_that_was_cut_short_is_not_left_behind() -> None:
    class Cut(ObjectStore):
        def _changed(self) -> None:
            super()._changed()
            self.objects = {name: content[:3] if "big" in name else content for name, content in self.objects.items()}

    here = stored(Cut())
    with pytest.raises(WorkspaceError, match="bytes were sent"):
        here.write("report/big", b"content")
    assert not here.has("report/big")


def test_the_lock_holds_on_an_object_store() -> None:
    store = ObjectStore()
    first, second = stored(store), stored(store)
    with locked(first) as mine:
        assert holder(second) == mine
        with pytest.raises(WorkspaceError, match="is held by"), locked(second):
            pass
    assert holder(second) is None and not [name for name in store.objects if "locks/" in name]
    assert not fs.PyFileSystem(store).get_file_info("bucket/w/locks").is_file


def test_many_files_of_a_store_are_listed_and_not_asked_for_one_by_one() -> None:
    class Counted(ObjectStore):
        asked = 0

        def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
            self.asked += 1
            return super().get_file_info(paths)

    store = Counted()
    here = stored(store)
    for number in range(50):
        here.write(f"clips/{number}.parquet", bytes(number))
    names = [*(f"clips/{number}.parquet" for number in range(60)), "workspace.json", "report/none"]
    store.asked = 0
    looks = here.looks(names)
    assert store.asked <= 3
    assert [looks[f"clips/{n}.parquet"] and looks[f"clips/{n}.parquet"].size for n in (0, 49, 50)] == [0, 49, None]
    assert looks == {name: here.look(name) for name in names}

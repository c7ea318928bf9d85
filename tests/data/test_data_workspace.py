"""The workspace appears whole or not at all, and says in one line why it cannot be used."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from perse.data import EditedPortrait, PortraitClip, TrackedPortrait, Verdict, archive
from perse.data.durable_files import write_file_atomically
from perse.data.tables import QuarantinedRow
from perse.data.workspace import FOLDERS, MARKER, PHOTOGRAPH, Workspace
from perse.errors import WorkspaceError


def test_a_new_workspace_has_its_folders_and_opens_again(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "me")
    assert all((tmp_path / "me" / folder).is_dir() for folder in FOLDERS)
    workspace.write("report/a.txt", b"kept")
    assert Workspace.open(tmp_path / "me").read("report/a.txt") == b"kept"
    assert Workspace.open(f"file://{tmp_path}/me").read("report/a.txt") == b"kept"


def test_it_travels_to_other_processes(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "me")
    assert workspace.is_local
    assert pickle.loads(pickle.dumps(workspace)).has(MARKER)


def test_relative_locations_are_fixed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Workspace.open("runs/me").location == str(tmp_path / "runs" / "me")


def test_records_return_from_their_places(
    tmp_path: Path, tracked: TrackedPortrait, edited: EditedPortrait, clip: PortraitClip
) -> None:
    workspace = Workspace.open(tmp_path / "me")
    archive.save_portrait(workspace, tracked)
    archive.save_prompts(workspace, [edited.prompt])
    archive.save_edit(workspace, edited)
    archive.save_verdict(workspace, "v", edited.key, Verdict(True, (), (("identity", 0.25),)))
    archive.save_clip(workspace, "c", clip)
    assert archive.load_portrait(workspace).key == tracked.key
    assert archive.load_prompts(workspace) == [edited.prompt]
    assert (archive.load_edit(workspace, "edit").image == edited.image).all()
    assert archive.load_verdict(workspace, "v").accepted
    assert (archive.load_clip(workspace, "c").images == clip.images).all()
    assert pq.ParquetFile(tmp_path / "me/clips/c.parquet").num_row_groups == 1
    row = QuarantinedRow("key", "hat-0001", "edit", "boom", "", 1)
    archive.save_quarantined(workspace, row)
    assert archive.load_quarantined(workspace) == [row]


def test_a_stage_is_finished_exactly_when_its_manifest_is_there(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    assert workspace.manifest("track") is None
    workspace.commit("track", {"inputs": "abc"})
    assert workspace.manifest("track") == {"inputs": "abc"}


def test_one_workspace_holds_one_identity(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.claim("me")
    workspace.claim("me")
    workspace.write(PHOTOGRAPH, b"mine")
    with pytest.raises(WorkspaceError, match="another portrait"):
        Workspace.open(tmp_path).claim("you")


@pytest.mark.parametrize("mine", ["consent.json", "studio/photograph.png", "edits/1.parquet"])
def test_a_claim_of_which_nothing_came_is_given_up_and_no_other(tmp_path: Path, mine: str) -> None:
    """Whoever gave a picture without a face gives a better one, with the same command."""
    workspace = Workspace.open(tmp_path)
    workspace.claim("a dog")
    for name in ("mlflow.json", "locks/1.json", "tracking/1.json"):
        workspace.write(name, b"{}")
    workspace.claim("me")
    assert workspace.owner() == "me"
    workspace.write(mine, b"of a person")
    with pytest.raises(WorkspaceError, match="another portrait"):
        workspace.claim("you")


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(WorkspaceError, match="holds other files"):
        Workspace.open(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("place", ["file.txt", "file.txt/inside", "/proc/perse", "nowhere://x/y", "s3://"])
def test_unusable_places_say_so_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    location = place if "://" in place or place.startswith("/") else str(tmp_path / place)
    with pytest.raises(WorkspaceError) as caught:
        Workspace.open(location)
    assert "\n" not in str(caught.value)


def test_a_full_disk_keeps_the_old_file_and_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.write("report/a.txt", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkspaceError, match=r"disk is full.*run the same command again"):
        workspace.write("report/a.txt", b"new")
    monkeypatch.undo()
    assert workspace.read("report/a.txt") == b"old"
    assert os.listdir(tmp_path / "report") == ["a.txt"]


def test_a_real_write_failure_is_explained(tmp_path: Path) -> None:
    """The kernel refuses the bytes (a file size limit behaves like a full disk)."""
    program = (
        "import resource, signal, sys\n"
        "from perse.data.workspace import Workspace\n"
        "from perse.errors import WorkspaceError\n"
        "workspace = Workspace.open(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    workspace.write('report/big.bin', bytes(5000))\n"
        "except WorkspaceError as error:\n    print(error)\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "size limit" in done.stdout
    assert os.listdir(tmp_path / "report") == []


def test_interrupted_writes_are_never_listed(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.write("clips/b.parquet", b"")
    workspace.write("clips/a.parquet", b"")
    (tmp_path / "clips" / ".part-123").write_bytes(b"half")
    assert workspace.names("clips", ".parquet") == ["a", "b"]
    assert workspace.names("nowhere") == []


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "", "a\\b", "a\nb"])
def test_names_never_climb_out(tmp_path: Path, name: str) -> None:
    workspace = Workspace.open(tmp_path)
    with pytest.raises(ValueError, match="not a name inside"):
        workspace.write(name, b"")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.write("clips/a.parquet", b"half a fi")
    with pytest.raises(WorkspaceError, match=r"a\.parquet"):
        workspace.read_table("clips/a.parquet")
    workspace.write("manifests/train.json", b"{")
    with pytest.raises(WorkspaceError, match=r"train\.json"):
        workspace.manifest("train")
    with pytest.raises(WorkspaceError, match="no such file"):
        workspace.read("clips/absent.parquet")


def test_removing_is_harmless_twice(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.write("quarantine/attempts/x", b"")
    for _ in range(2):
        workspace.remove("quarantine/attempts")
    assert not workspace.has("quarantine/attempts/x")


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    write_file_atomically(target, b"one")
    write_file_atomically(target, b"two")
    assert target.read_bytes() == b"two"


def test_another_filesystem_works_the_same(clip: PortraitClip) -> None:
    """pyarrow's in-memory filesystem stands for an object store: whatever is not local takes that path."""
    workspace = Workspace.open("mock:///bucket/me")
    assert not workspace.is_local
    archive.save_clip(workspace, "c", clip)
    workspace.commit("animate", {"clips": ["c"]})
    assert workspace.names("clips", ".parquet") == ["c"]
    assert (archive.load_clip(workspace, "c").alphas == clip.alphas).all()
    assert workspace.manifest("animate") == {"clips": ["c"]}
    workspace.remove("clips/c.parquet")
    assert workspace.names("clips") == []
    with pytest.raises(WorkspaceError, match="not a local folder"):
        _ = workspace.path

"""What is damaged is found and removed, what is whole is left alone, and no workspace is a dead end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray_fakes import FakeSupply, fake_studio, small_portrait
from test_ray_manifests import rewritten

from perse.data import archive
from perse.data.folder_records import DAMAGED
from perse.data.images import encode_image
from perse.data.keys import identity_of
from perse.data.workspace import MARKER, PHOTOGRAPH, Workspace
from perse.errors import DamagedFile, StageError, WorkspaceError
from perse.training.checkpoint import Checkpoint
from perse_ray.build.inspection import check, mend_noted, repair, sizes
from perse_ray.build.manifests import StageManifests
from perse_ray.build.products import Depth
from perse_ray.build.stages import Synthesize
from perse_ray.build.values import synthesis_to_json
from perse_ray.commands.workspace import run as command
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows import in_process
from perse_ray.synthesis.prompt_supply import ListSupply
from perse_ray.synthesis.synthesize import Synthesis, synthesize


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One with a finished stage of one file, a checkpoint and a loose clip."""
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, small_portrait())
    manifests = StageManifests(workspace, print)
    workspace.write("report/page", b"content")
    manifests.run("report", manifests.digest("report", ()), dict, lambda _: ["report/page"])
    for step in (5, 10):
        CheckpointFolder(workspace, "train").save(Checkpoint(step, {"state.json": b"{}"}))
    return workspace


def named(workspace: Workspace, depth: Depth = Depth.CHANGED) -> set[str]:
    return {finding.name for finding in check(workspace, depth)}


def test_a_sound_workspace_has_no_findings_and_repair_leaves_it_alone(workspace: Workspace) -> None:
    before = sorted(workspace.walk())
    assert check(workspace, Depth.ALL) == [] == repair(workspace, Depth.ALL)
    assert sorted(workspace.walk()) == before


def test_every_kind_of_damage_is_found_and_gone_after_repair(workspace: Workspace) -> None:
    rewritten(workspace, "page", b"c0ntent", unseen=True)
    workspace.write("quarantine/a.parquet", b"PAR1 nonsense")
    workspace.write("edits/verdicts/b.parquet", b"")
    workspace.write("clips/c.parquet", b"PAR1 nonsense")
    workspace.write("manifests/encode.json", b'{"inputs"')
    workspace.write("checkpoints/train/step-00000010/state.json", b"}{")
    workspace.write("checkpoints/train/step-00000015.tmp/state.json", b"{}")
    workspace.write("checkpoints/ray-train-1/x/y", b"")
    workspace.write("quarantine/attempts/0123/edit/k/1", b"{}")
    (workspace.path / "clips" / ".part-0123").write_bytes(b"half")
    (workspace.path / MARKER).write_bytes(b"")
    quick = {
        "quarantine/a.parquet", "edits/verdicts/b.parquet", "manifests/encode.json", "clips/.part-0123", MARKER,
        "checkpoints/train/step-00000015.tmp", "checkpoints/ray-train-1", "quarantine/attempts",
    }  # fmt: skip
    assert named(workspace) == quick
    whole = quick | {"report/page", "clips/c.parquet", "checkpoints/train/step-00000010"}
    assert named(workspace, Depth.ALL) == whole
    again = Workspace.open(workspace.location)
    repair(again, Depth.ALL)
    assert named(again, Depth.ALL) == set()
    assert again.manifest("report") is None, "its page is gone"
    loaded = CheckpointFolder(again, "train").load()
    assert loaded is not None and loaded.step == 5


def test_what_could_not_be_read_is_noted_and_gone_at_the_next_start(workspace: Workspace) -> None:
    assert mend_noted(workspace) == []
    workspace.write("clips/c.parquet", b"PAR1 nonsense")
    with pytest.raises(DamagedFile, match=r"c\.parquet is damaged .* run the same command again"):
        archive.load_clip(workspace, "c")
    assert [finding.name for finding in mend_noted(workspace)] == ["clips/c.parquet"]
    assert not workspace.has("clips/c.parquet") and workspace.names(DAMAGED) == []


def test_a_file_that_reads_well_the_second_time_is_kept(workspace: Workspace) -> None:
    workspace.damaged("portrait/tracked.parquet", "a network that hiccuped")
    assert mend_noted(workspace) == [] and workspace.names(DAMAGED) == []
    assert archive.load_portrait(workspace).key == small_portrait().key


def test_a_flipped_bit_in_the_pixels_of_an_edit_is_noticed_when_it_is_read(workspace: Workspace) -> None:
    made = _made(workspace)
    name = f"edits/{made.subjects[0].edit}.parquet"
    content = bytearray(workspace.read(name))
    about = pq.ParquetFile(pa.BufferReader(bytes(content))).metadata.row_group(0)
    image = next(about.column(i) for i in range(about.num_columns) if about.column(i).path_in_schema == "image")
    content[image.data_page_offset + image.total_compressed_size - 8] ^= 1
    workspace.write(name, bytes(content))
    with pytest.raises(DamagedFile):
        archive.load_edit(workspace, made.subjects[0].edit)


DAMAGES = {"truncated": lambda content: content[: len(content) // 2], "empty": lambda _: b""}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("folder", ["edits", "edits/verdicts", "quarantine"])
def test_no_damaged_row_is_a_dead_end(workspace: Workspace, folder: str, kind: str) -> None:
    """A first run may end with a sentence; after it, the same command comes through with the same result."""
    before = _made(workspace)
    for name in workspace.names(folder, ".parquet"):
        path = f"{folder}/{name}.parquet"
        workspace.write(path, DAMAGES[kind](workspace.read(path)))
    for clip in before.subjects:  # or nobody would look at the edits
        workspace.remove(f"clips/{clip.clip}.parquet")
    for _ in range(2 if folder != "edits" else 3):
        mend_noted(workspace)
        try:
            assert _made(workspace) == before
            return
        except (StageError, WorkspaceError) as error:
            assert "run the same command again" in str(error)
    pytest.fail("it never came through")


@pytest.mark.parametrize("folder", ["edits", "edits/verdicts"])
def test_a_row_that_lost_what_its_clip_was_made_of_is_made_whole(workspace: Workspace, folder: str) -> None:
    before = _made(workspace)
    names = [f"{folder}/{name}.parquet" for name in workspace.names(folder, ".parquet")]
    content = {name: workspace.read(name) for name in names}
    clips = {name: workspace.look(f"clips/{name}") for name in workspace.names("clips")}
    for name in names:
        workspace.remove(name)
    assert _made(workspace) == before
    assert {name: workspace.read(name) for name in names} == content and names
    assert {name: workspace.look(f"clips/{name}") for name in clips} == clips, "nothing is filmed twice"


def test_a_manifest_names_all_that_a_synthesis_left(workspace: Workspace) -> None:
    """Of edits that were refused and prompts that failed, too; each file is there, and none is left out."""
    made = _made(workspace)
    run = SimpleNamespace(synthesis_config=fake_studio(workspace.path.parent / "j"), portrait=small_portrait())
    named = Synthesize().products(run, synthesis_to_json(made))  # type: ignore[arg-type]
    left = {name for name, _ in workspace.walk() if name.startswith(("edits/", "clips/", "prompts/", "quarantine/"))}
    assert made.rejected and made.quarantined
    assert set(named) == left and len(named) == len(left)


def _made(workspace: Workspace) -> Synthesis:
    prompts = tuple(FakeSupply(2, (("hat-0001", "reject"), ("nose-0001", "raise"))).plan())
    studio = fake_studio(workspace.path.parent / "j")
    return synthesize(workspace, studio, ListSupply(prompts), execute=in_process.run, show=lambda _: None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", None])
def test_a_damaged_marker_is_written_again_with_the_identity_of_the_photograph(
    workspace: Workspace, content: bytes | None
) -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    workspace.write(PHOTOGRAPH, encode_image(photograph))
    workspace.claim(identity_of(photograph))
    (workspace.path / MARKER).unlink()
    if content is not None:
        (workspace.path / MARKER).write_bytes(content)
    again = Workspace.open(workspace.location)
    again.claim(identity_of(photograph))
    with pytest.raises(WorkspaceError, match="another portrait"):
        again.claim(identity_of(photograph[::-1]))


@pytest.mark.parametrize(
    "content", [b'{"format": "perse-workspace", "version": 1, "identity": "ab"}', b'{"formaT": "perse-workspace"}']
)
def test_a_marker_of_somebody_else_is_found_and_does_not_lock_the_owner_out(
    workspace: Workspace, content: bytes
) -> None:
    """One flipped bit of the identity: no damage was found, and every build was refused."""
    photograph = np.zeros((8, 8, 3), np.uint8)
    workspace.write(PHOTOGRAPH, encode_image(photograph))
    workspace.write(MARKER, content)
    assert MARKER in named(workspace)
    Workspace.open(workspace.location).claim(identity_of(photograph))
    assert MARKER not in named(workspace) and workspace.owner() == identity_of(photograph)
    with pytest.raises(WorkspaceError, match="another portrait"):
        workspace.claim("ab")


def test_after_one_repair_there_is_nothing_left_to_repair(workspace: Workspace) -> None:
    """A checkpoint that had lost its damaged file was found again as a whole."""
    manifests, step = StageManifests(workspace, print), "checkpoints/train/step-00000010"
    manifests.run("train", manifests.digest("train", ()), dict, lambda _: [f"{step}/state.json"])
    workspace.write(f"{step}/state.json", b'{"step": 10}')
    assert {f"{step}/state.json", step} <= {one.name for one in repair(workspace, Depth.CHANGED)}
    assert named(workspace) == set() and CheckpointFolder(workspace, "train").load() is not None


@pytest.mark.parametrize("taken", ["report", "report/page", "checkpoints/train", MARKER, "manifests/report.json"])
def test_a_name_that_something_else_has_taken_is_no_dead_end(workspace: Workspace, taken: str) -> None:
    """A file where a folder of ours should be, a folder where a file should."""
    was_folder = (workspace.path / taken).is_dir()
    workspace.remove(taken)
    if was_folder:
        (workspace.path / taken).write_bytes(b"a file")
    else:
        (workspace.path / taken / "x").mkdir(parents=True)
    again = Workspace.open(workspace.location)
    repair(again, Depth.CHANGED)
    manifests = StageManifests(again, lambda _: None)
    made: list[str] = []
    work = lambda: made.append("it") or again.write("report/page", b"content") or {}  # noqa: E731
    manifests.run("report", manifests.digest("report", ()), work, lambda _: ["report/page"])
    CheckpointFolder(again, "train").save(Checkpoint(20, {"state.json": b"{}"}))
    assert again.read("report/page") == b"content" and again.has("manifests/report.json")
    assert named(again) == set()


@pytest.mark.parametrize("name", ["mlflow.json", "checkpoints/finetune.json"])
def test_notes_that_no_manifest_names_are_looked_into(workspace: Workspace, name: str) -> None:
    workspace.write(name, b'{"inputs": ')
    assert named(workspace) == {name}


def test_sizes_count_every_byte_once(workspace: Workspace) -> None:
    found = sizes(workspace)
    on_disk = [path for path in workspace.path.rglob("*") if path.is_file()]
    assert sum(files for files, _ in found.values()) == len(on_disk)
    assert sum(size for _, size in found.values()) == sum(path.stat().st_size for path in on_disk)


def test_the_command_says_what_it_finds_and_does(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--workspace", workspace.location]
    assert command(["check", *where]) == 0 and "all is well" in capsys.readouterr().out
    workspace.write("quarantine/a.parquet", b"")
    before = sorted(workspace.walk())
    assert command(["check", *where]) == 1
    assert "quarantine/a.parquet is empty" in capsys.readouterr().out
    assert sorted(workspace.walk()) == before, "check changes nothing"
    assert command(["repair", *where]) == 0 and command(["check", *where]) == 0
    assert "removed" in capsys.readouterr().out
    assert command(["size", *where]) == 0 and "checkpoints" in capsys.readouterr().out
    assert command(["check", "--workspace", f"{workspace.location}-no"]) == 2
    assert "there is no workspace" in capsys.readouterr().err
    assert not Path(f"{workspace.location}-no").exists()

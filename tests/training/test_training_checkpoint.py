"""Checkpoints: whatever is killed or damaged, a verified one remains."""

from __future__ import annotations

import pytest

from perse.errors import WorkspaceError
from perse.training.checkpoint import MANIFEST, Checkpoint, load_checkpoint, save_checkpoint


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"a.bin": bytes([step]) * 1000, "b.json": b"{}"})


def test_what_was_saved_is_loaded_and_the_newest_first(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert load_checkpoint(tmp_path / "nothing") is None
    for step in (9, 10, 100):
        save_checkpoint(tmp_path, checkpoint(step))
    assert load_checkpoint(tmp_path) == checkpoint(100)


def test_two_are_kept_at_least(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for step in range(5):
        save_checkpoint(tmp_path, checkpoint(step), keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "no manifest", "missing file", "empty manifest"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage: str) -> None:  # type: ignore[no-untyped-def]
    save_checkpoint(tmp_path, checkpoint(1))
    newest = save_checkpoint(tmp_path, checkpoint(2))
    file = newest / "a.bin"
    if damage == "flipped":
        file.write_bytes(b"\x00" + file.read_bytes()[1:])
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:10])
    elif damage == "no manifest":
        (newest / MANIFEST).unlink()
    elif damage == "missing file":
        file.unlink()
    else:
        (newest / MANIFEST).write_bytes(b"")
    assert load_checkpoint(tmp_path) == checkpoint(1)


def test_an_unfinished_checkpoint_does_not_count_and_is_cleared_away(tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_checkpoint(tmp_path, checkpoint(1))
    unfinished = tmp_path / "step-00000002.tmp"
    unfinished.mkdir()
    (unfinished / "a.bin").write_bytes(b"half")
    assert load_checkpoint(tmp_path) == checkpoint(1)
    save_checkpoint(tmp_path, checkpoint(3))
    assert not unfinished.exists()


def test_saving_a_step_again_replaces_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_checkpoint(tmp_path, checkpoint(1))
    save_checkpoint(tmp_path, Checkpoint(1, {"a.bin": b"new"}))
    assert load_checkpoint(tmp_path) == Checkpoint(1, {"a.bin": b"new"})


def test_an_unwritable_place_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(WorkspaceError, match="could not be written"):
        save_checkpoint(blocked / "checkpoints", checkpoint(1))

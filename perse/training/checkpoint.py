"""Checkpoints that survive a kill at any moment.

::

    step-00001200.tmp/   files written and fsynced
                         manifest.json with their sha256, written last, fsynced
    step-00001200/       the folder renamed, its parent fsynced: only now does the checkpoint exist

Loading takes the newest folder whose manifest verifies, and passes over damaged ones. Files are bytes to this module:
what is in them is the trainer's business.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perse.data.durable_files import make_folders, move_folder, remove, write_synced
from perse.errors import WorkspaceError

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
UNFINISHED = ".tmp"
"""End of the name of a folder that is being written."""
_PREFIX = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes:
        step: number of finished steps.
        files: contents by name.
    """

    step: int
    files: Mapping[str, bytes]


def save_checkpoint(directory: Path, checkpoint: Checkpoint, *, keep: int = 2) -> Path:
    """Write a checkpoint and drop all but the newest `keep` (at least 2, lest the only good one be lost).

    Returns:
        the checkpoint's folder.

    Raises:
        WorkspaceError: the folder cannot be written (permissions, full disk). Older checkpoints are untouched.
    """
    final = directory / checkpoint_name(checkpoint.step)
    working = final.with_name(final.name + UNFINISHED)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(checkpoint.files.items())}
    try:
        make_folders(directory)
        for leftover in directory.glob(f"{_PREFIX}*{UNFINISHED}"):
            remove(leftover)
        if _holds(final, digests):  # a step done twice: replacing it would leave none for a moment
            return final
        make_folders(working)
        for name, content in checkpoint.files.items():
            write_synced(working / name, content)
        write_synced(working / MANIFEST, json.dumps({"step": checkpoint.step, "sha256": digests}, indent=1).encode())
        remove(final)
        move_folder(working, final)
    except OSError as error:
        raise WorkspaceError(
            f"the checkpoint of step {checkpoint.step} could not be written to {directory} ({error.strerror}); "
            "free some space or choose another workspace, then run again: training resumes"
        ) from error
    for old in _finished(directory)[max(keep, 2) :]:
        remove(old)
    return final


def _holds(folder: Path, digests: Mapping[str, str]) -> bool:
    """Whether a checkpoint of exactly these files lies there."""
    try:
        found = _verified(folder).files
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(found.items())} == dict(digests)


def load_checkpoint(directory: Path) -> Checkpoint | None:
    """The newest checkpoint that verifies, or None if there is none."""
    for folder in _finished(directory) if directory.is_dir() else []:
        try:
            return _verified(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("checkpoint %s is damaged (%s); trying the one before it", folder.name, error)
    return None


def checkpoint_steps(directory: Path) -> list[int]:
    """Steps of the complete checkpoints that are there, newest first; whether they verify is not looked at."""
    return [int(folder.name.removeprefix(_PREFIX)) for folder in _finished(directory)]


def checkpoint_name(step: int) -> str:
    """Name of a checkpoint's folder."""
    return f"{_PREFIX}{step:08d}"


def _verified(folder: Path) -> Checkpoint:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    files = {name: (folder / name).read_bytes() for name in manifest["sha256"]}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
            raise ValueError(f"{name} does not have the content that was written")
    return Checkpoint(int(manifest["step"]), files)


def _finished(directory: Path) -> list[Path]:
    """Folders of complete checkpoints, newest first."""
    folders = [p for p in directory.glob(f"{_PREFIX}*") if p.is_dir() and not p.name.endswith(UNFINISHED)]
    return sorted(folders, reverse=True)

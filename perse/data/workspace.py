"""Workspace: everything that one identity's avatar is made of, on any pyarrow filesystem.

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

Files carry their content key as their name, so writing one twice is harmless.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from perse.data.durable_files import TEMPORARY, make_folders
from perse.data.folder_files import is_temporary, written_out
from perse.data.folder_records import FolderRecords
from perse.data.keys import identity_of
from perse.data.tables.codecs import png_to_picture
from perse.errors import WorkspaceError

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

MARKER = "workspace.json"
ABOUT_RUNS = (MARKER, "mlflow.json", "locks/", "tracking/")
"""Files, and folders of files, that hold nothing of a person."""
PHOTOGRAPH = "portrait/photograph.png"
FORMAT = "perse-workspace"
VERSION = 1


@dataclass(frozen=True)
class Workspace(FolderRecords):
    """A folder of one person's avatar: whose it is, and which stages are finished."""

    @classmethod
    def open(cls, location: str | Path) -> Workspace:
        """Workspace at a place, made if there is none.

        Raises:
            WorkspaceError: the place cannot be written, or holds something that is not a workspace.
        """
        text = str(location)
        workspace = cls(written_out(text))
        with workspace._explained("open"):
            workspace._found()
        return workspace

    @classmethod
    def existing(cls, location: str | Path) -> Workspace:
        """Workspace at a place, as it is; nothing is written.

        Raises:
            WorkspaceError: there is none.
        """
        workspace = cls(written_out(str(location)))
        with workspace._explained("open"):
            if not (workspace.has(MARKER) or workspace._is_one_without_marker()):
                raise WorkspaceError(f"there is no workspace at {workspace.location}")
        return workspace

    def commit(self, stage: str, manifest: Mapping[str, Any]) -> None:
        """Declare a stage finished. Written last; whoever finds it may trust everything it names."""
        self.write_json(f"manifests/{stage}.json", manifest)

    def manifest(self, stage: str) -> dict[str, Any] | None:
        """Manifest of a finished stage: what it wrote. None while it is not finished."""
        name = f"manifests/{stage}.json"
        return self.read_json(name) if self.has(name) else None

    def owner(self) -> str | None:
        """Identity that the workspace is tied to; None for a new one."""
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

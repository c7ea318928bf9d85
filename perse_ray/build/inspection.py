"""Inspection and repair of a workspace: what is damaged is removed, and the next build makes it again.

Nothing that is finished and whole is touched. A stage whose files are gone is no longer finished; those behind it are
made again only if it comes out otherwise than before (`manifests`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from perse.data import consent
from perse.data.file_check import unreadable
from perse.data.folder_files import is_temporary
from perse.data.folder_records import DAMAGED
from perse.data.workspace import MARKER, Workspace
from perse.errors import WorkspaceError
from perse_ray.build.products import Depth, damaged
from perse_ray.registry.checkpoints import broken_checkpoints

SMALL = ("quarantine/", "edits/verdicts/", "features/", "measurements/", "prompts/", *consent.KEPT)
"""Folders of small files, and small files, which are always read."""

LARGE = ("edits/", "clips/", "morphs/", "adapters/")
"""Folders of files that are read only when everything is."""

NOTE = re.compile(r"(?:(?:checkpoints|tracking|report)/)?(?!workspace\.)[^/]+\.json")
"""What runs write down for the next, beside what they make."""

LITTER = ("checkpoints/ray-train-", "quarantine/attempts/")
"""What a run that was killed leaves behind."""


@dataclass(frozen=True)
class WorkspaceFinding:
    """Fault of a workspace: something that is not as it should be.

    Attributes:
        name: of a file or folder of the workspace.
        what: is wrong with it.
        stage: that named it as finished; empty if none did.
    """

    name: str
    what: str
    stage: str = ""

    def __str__(self) -> str:
        of = f" (stage {self.stage})" if self.stage else ""
        return f"{self.name} {self.what}{of}"


def check(workspace: Workspace, depth: Depth) -> list[WorkspaceFinding]:
    """Findings: everything that is wrong, each file once."""
    found: dict[str, WorkspaceFinding] = {}
    for finding in (*_marker(workspace), *_committed(workspace, depth), *_noted(workspace), *_loose(workspace, depth)):
        found.setdefault(finding.name, finding)
    return list(found.values())


def repair(workspace: Workspace, depth: Depth) -> list[WorkspaceFinding]:
    """Put right what `check` finds; returns what that was. The workspace must be locked."""
    done: dict[str, WorkspaceFinding] = {}
    while found := [one for one in check(workspace, depth) if one.name not in done]:
        for finding in found:  # a checkpoint that has lost a file is found as a whole afterwards
            done[finding.name] = finding
            workspace.remove(finding.name)
            if finding.stage:
                workspace.remove(f"manifests/{finding.stage}.json")
        workspace.mark_again()
    workspace.remove(DAMAGED)
    return list(done.values())


def mend_noted(workspace: Workspace) -> list[WorkspaceFinding]:
    """The part of `repair` for what earlier runs stumbled over. Costs nothing where there was nothing."""
    found = list(_noted(workspace))
    for finding in found:
        workspace.remove(finding.name)
    workspace.remove(DAMAGED)
    return found


def sizes(workspace: Workspace) -> dict[str, tuple[int, int]]:
    """Files and bytes by top folder, the largest first."""
    found: dict[str, tuple[int, int]] = {}
    for name, size in workspace.walk():
        folder = PurePosixPath(name).parts[0] if "/" in name else "."
        files, total = found.get(folder, (0, 0))
        found[folder] = (files + 1, total + size)
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def _marker(workspace: Workspace) -> Iterator[WorkspaceFinding]:
    problem = unreadable(workspace, MARKER) or ("" if workspace.is_marked_rightly() else "is not of this photograph")
    if problem:
        yield WorkspaceFinding(MARKER, problem)


def _committed(workspace: Workspace, depth: Depth) -> Iterator[WorkspaceFinding]:
    for stage in workspace.names("manifests", ".json"):
        manifest = _manifest(workspace, stage)
        if manifest is None:
            yield WorkspaceFinding(f"manifests/{stage}.json", "is damaged")
            continue
        try:
            for name, reason in damaged(workspace, manifest, depth):
                yield WorkspaceFinding(name, reason, stage)
        except (TypeError, ValueError, AttributeError):
            yield WorkspaceFinding(f"manifests/{stage}.json", "is damaged")


def _manifest(workspace: Workspace, stage: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(workspace.read(f"manifests/{stage}.json"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "inputs" in found else None


def _noted(workspace: Workspace) -> Iterator[WorkspaceFinding]:
    """Files that a run could not read, and that cannot be read now either; with the small ones beside them, since what
    damages one file rarely stops there."""
    suspects: set[str] = set()
    for note in workspace.names(DAMAGED, ".json"):
        try:
            name = str(json.loads(workspace.read(f"{DAMAGED}/{note}.json"))["name"])
            suspects.add(name)
            folder = str(PurePosixPath(name).parent)
        except (WorkspaceError, ValueError, KeyError, TypeError):
            continue
        if name.startswith(SMALL):
            suspects |= {f"{folder}/{other}" for other in workspace.names(folder)}
    for name in sorted(suspects):
        problem = unreadable(workspace, name)
        if problem and workspace.has(name):
            yield WorkspaceFinding(name, problem)


def _loose(workspace: Workspace, depth: Depth) -> Iterator[WorkspaceFinding]:
    """Files that no manifest names, and litter."""
    reads = SMALL + (LARGE if depth is Depth.ALL else ())
    for name, size in workspace.walk():
        if is_temporary(name):
            yield WorkspaceFinding(name, "is left over from a write that was interrupted")
        elif name.startswith(LITTER):
            yield WorkspaceFinding("/".join(name.split("/")[:2]), "is left over from a run that was interrupted")
        elif name.startswith(SMALL + LARGE) and not size:
            yield WorkspaceFinding(name, "is empty")
        elif (name.startswith(reads) or NOTE.fullmatch(name)) and (problem := unreadable(workspace, name)):
            yield WorkspaceFinding(name, problem)
    for name, problem in broken_checkpoints(workspace, content=depth is Depth.ALL):
        yield WorkspaceFinding(name, problem)

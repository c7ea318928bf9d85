"""Rows that failed, and letting them be tried again."""

from __future__ import annotations

from collections.abc import Sequence

from perse.data import archive
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.errors import InputError

STAGES = ("synthesize", "adapt")
"""Stages of a build that send rows to quarantine; they are not finished once their rows are to be tried again."""


def chosen(workspace: Workspace, words: Sequence[str]) -> list[QuarantinedRow]:
    """Rows in quarantine whose name, or beginning of their key, is among the words; all without words.

    Raises:
        InputError: a word names none, or a beginning names several.
    """
    rows = archive.load_quarantined(workspace)
    if not words:
        return rows
    found = []
    for word in words:
        named = [row for row in rows if word == row.name or row.key.startswith(word)]
        if len(named) != 1:
            raise InputError(f"{word!r} names {len(named)} rows in quarantine, expected one; see perse quarantine list")
        found += named
    return found


def forget(workspace: Workspace, rows: Sequence[QuarantinedRow] | None = None) -> int:
    """Let rows (all by default) be tried again by the next build; returns how many."""
    rows = archive.load_quarantined(workspace) if rows is None else rows
    for row in rows:
        workspace.remove(f"quarantine/{row.key}.parquet")
    for stage in STAGES if rows else ():
        workspace.remove(f"manifests/{stage}.json")
    return len(rows)

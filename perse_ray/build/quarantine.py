"""Quarantine: rows that failed, and letting them be tried again."""

from __future__ import annotations

from collections.abc import Sequence

from perse.data import archive
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse_ray.training.morph_work import STAGE as MORPH

UNFINISHED = ("manifests/synthesize.json", "manifests/adapt.json", "manifests/edit.json")
"""Of stages that send rows to quarantine: they are not finished once their rows are to be tried again."""

FINE_TUNING = ("manifests/finetune.json", "checkpoints/finetune.json")
"""Of a fine-tuning, which begins again from the trained avatar once a morph is to be tried again: a target that it had
to do without is in all weights since."""


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


def lost_morphs(workspace: Workspace) -> str:
    """What people should know of the morphs that fine-tuning had to do without; empty where there are none."""
    count = sum(row.stage == MORPH for row in archive.load_quarantined(workspace))
    if not count:
        return ""
    return (
        f"{count} morph{'s' * (count > 1)} could not be made, cross-fades stand in: perse quarantine list says why, "
        "perse quarantine retry lets the next build try again"
    )


def forget(workspace: Workspace, rows: Sequence[QuarantinedRow] | None = None) -> int:
    """Let rows (all by default) be tried again by the next build; returns how many."""
    rows = archive.load_quarantined(workspace) if rows is None else rows
    for row in rows:
        workspace.remove(f"quarantine/{row.key}.parquet")
    morphs = any(row.stage == MORPH for row in rows)
    for name in (*(UNFINISHED if rows else ()), *(FINE_TUNING if morphs else ())):
        workspace.remove(name)
    return len(rows)

"""Places of records in a workspace: one short function for each, so that no other file builds a path."""

from __future__ import annotations

from collections.abc import Sequence

from perse.data.clip import PortraitClip
from perse.data.clip_file import ClipFile
from perse.data.portrait import EditedPortrait, TrackedPortrait
from perse.data.prompt import AttributePrompt
from perse.data.tables import (
    QuarantinedRow,
    clip_to_table,
    edit_to_table,
    prompts_to_table,
    quarantine_to_table,
    table_to_clip,
    table_to_edit,
    table_to_prompts,
    table_to_quarantine,
    table_to_tracked,
    table_to_verdict,
    tracked_to_table,
    verdict_to_table,
)
from perse.data.tables.clips import REPEATED, rows_per_group
from perse.data.verdict import Verdict
from perse.data.workspace import Workspace

PORTRAIT = "portrait/tracked.parquet"
PROMPTS = "prompts/prompts.parquet"


def save_portrait(workspace: Workspace, portrait: TrackedPortrait) -> None:
    workspace.write_table(PORTRAIT, tracked_to_table(portrait))


def has_portrait(workspace: Workspace) -> bool:
    return workspace.has(PORTRAIT)


def load_portrait(workspace: Workspace) -> TrackedPortrait:
    return table_to_tracked(workspace.read_table(PORTRAIT))


def save_prompts(workspace: Workspace, prompts: Sequence[AttributePrompt]) -> None:
    workspace.write_table(PROMPTS, prompts_to_table(prompts))


def load_prompts(workspace: Workspace) -> list[AttributePrompt]:
    return table_to_prompts(workspace.read_table(PROMPTS))


def save_edit(workspace: Workspace, edited: EditedPortrait) -> None:
    workspace.write_table(f"edits/{edited.key}.parquet", edit_to_table(edited))


def has_edit(workspace: Workspace, key: str) -> bool:
    return workspace.has(f"edits/{key}.parquet")


def load_edit(workspace: Workspace, key: str) -> EditedPortrait:
    return table_to_edit(workspace.read_table(f"edits/{key}.parquet"))


def save_verdict(workspace: Workspace, key: str, edit: str, verdict: Verdict) -> None:
    """Keep the verdict of that key on the edit of the other key."""
    workspace.write_table(f"edits/verdicts/{key}.parquet", verdict_to_table(edit, verdict))


def load_verdict(workspace: Workspace, key: str) -> Verdict:
    return table_to_verdict(workspace.read_table(f"edits/verdicts/{key}.parquet"))


def save_clip(workspace: Workspace, key: str, clip: PortraitClip) -> None:
    """Keep a clip under its own content key (`clip.key` names the subject, not how it was filmed)."""
    table = clip_to_table(clip)
    workspace.write_table(_clip(key), table, REPEATED, rows_per_group=rows_per_group(table))


def load_clip(workspace: Workspace, key: str) -> PortraitClip:
    """A clip with all its pictures decoded."""
    return table_to_clip(workspace.read_table(_clip(key)))


def open_clip(workspace: Workspace, key: str) -> ClipFile:
    """A clip whose pictures stay in the file and are decoded one by one."""
    return ClipFile.open(workspace, _clip(key))


def _clip(key: str) -> str:
    return f"clips/{key}.parquet"


def save_quarantined(workspace: Workspace, row: QuarantinedRow) -> None:
    workspace.write_table(f"quarantine/{row.key}.parquet", quarantine_to_table([row]))


def load_quarantined(workspace: Workspace) -> list[QuarantinedRow]:
    """Every row that ever failed here and has not succeeded since, sorted by key."""
    names = workspace.names("quarantine", ".parquet")
    return [row for name in names for row in table_to_quarantine(workspace.read_table(f"quarantine/{name}.parquet"))]

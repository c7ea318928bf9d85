"""Records as Parquet tables and back, without pickle."""

from perse.data.tables.clips import clip_to_table, table_to_clip
from perse.data.tables.portraits import edit_to_table, table_to_edit, table_to_tracked, tracked_to_table
from perse.data.tables.prompts import (
    QuarantinedRow,
    prompt_to_row,
    prompts_to_table,
    quarantine_to_table,
    row_to_prompt,
    table_to_prompts,
    table_to_quarantine,
    table_to_verdict,
    verdict_to_table,
)

__all__ = [
    "QuarantinedRow",
    "clip_to_table",
    "edit_to_table",
    "prompt_to_row",
    "prompts_to_table",
    "quarantine_to_table",
    "row_to_prompt",
    "table_to_clip",
    "table_to_edit",
    "table_to_prompts",
    "table_to_quarantine",
    "table_to_tracked",
    "table_to_verdict",
    "tracked_to_table",
    "verdict_to_table",
]

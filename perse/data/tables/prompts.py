"""Prompts, verdicts and quarantined rows as Parquet tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from perse.attributes import Category
from perse.data.prompt import AttributePrompt
from perse.data.verdict import Verdict

PAIRS = pa.map_(pa.string(), pa.string())

PROMPT_FIELDS = (
    pa.field("prompt", pa.string(), nullable=False),
    pa.field("category", pa.string(), nullable=False),
    pa.field("attributes", PAIRS, nullable=False),
    pa.field("text", pa.string(), nullable=False),
    pa.field("seed", pa.int64(), nullable=False),
)
"""A prompt's columns; `prompt` is its key in the stream, such as "hat-0003"."""

PROMPTS = pa.schema(PROMPT_FIELDS)

VERDICTS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("accepted", pa.bool_(), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("scores", pa.map_(pa.string(), pa.float64()), nullable=False),
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("traceback", pa.string(), nullable=False),
        pa.field("attempts", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that could not be finished.

    Attributes:
        key: content key of what it should have become.
        name: for people: the prompt's key, or "reference".
        stage: where it failed.
        error: one line.
        traceback: as much as is known; a killed process leaves the stack of its last moment, or nothing.
        attempts: how often it was started.
    """

    key: str
    name: str
    stage: str
    error: str
    traceback: str
    attempts: int


def prompt_to_row(prompt: AttributePrompt) -> dict[str, object]:
    """A prompt's columns as a plain dictionary; attributes become (slot, value) pairs."""
    return {
        "prompt": prompt.key,
        "category": prompt.category.value,
        "attributes": list(prompt.attributes),
        "text": prompt.text,
        "seed": prompt.seed,
    }


def row_to_prompt(row: dict[str, object]) -> AttributePrompt:
    """The inverse of `prompt_to_row`, also for rows read from a table."""
    pairs = row["attributes"]
    assert isinstance(pairs, Sequence)
    return AttributePrompt(
        key=str(row["prompt"]),
        category=Category(str(row["category"])),
        attributes=tuple((str(slot), str(value)) for slot, value in pairs),
        text=str(row["text"]),
        seed=int(str(row["seed"])),
    )


def prompts_to_table(prompts: Iterable[AttributePrompt]) -> pa.Table:
    """Prompts as a table, one row each, in order."""
    return pa.Table.from_pylist([prompt_to_row(prompt) for prompt in prompts], PROMPTS)


def table_to_prompts(table: pa.Table) -> list[AttributePrompt]:
    """The inverse of `prompts_to_table`."""
    return [row_to_prompt(row) for row in table.select(PROMPTS.names).to_pylist()]


def verdict_to_table(key: str, verdict: Verdict) -> pa.Table:
    """The screen's verdict on the edit of that key, as one row."""
    row = {"key": key, "accepted": verdict.accepted, "reasons": list(verdict.reasons), "scores": list(verdict.scores)}
    return pa.Table.from_pylist([row], VERDICTS)


def table_to_verdict(table: pa.Table) -> Verdict:
    """The inverse of `verdict_to_table`."""
    row = table.to_pylist()[0]
    scores = tuple((str(name), float(value)) for name, value in row["scores"])
    return Verdict(bool(row["accepted"]), tuple(row["reasons"]), scores)


def quarantine_to_table(rows: Iterable[QuarantinedRow]) -> pa.Table:
    """Quarantined rows as a table, one row a failure."""
    return pa.Table.from_pylist([vars(row) for row in rows], QUARANTINE)


def table_to_quarantine(table: pa.Table) -> list[QuarantinedRow]:
    """The inverse of `quarantine_to_table`."""
    return [QuarantinedRow(**row) for row in table.to_pylist()]

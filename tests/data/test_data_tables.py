"""Records survive Parquet bit for bit, and reading them runs no code."""

from __future__ import annotations

import io
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from perse.data import AttributePrompt, EditedPortrait, PortraitClip, TrackedPortrait, Verdict
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
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays, picture_to_png, png_to_picture


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, types included."""
    if type(a) is not type(b):
        return False
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, np.ndarray | torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def through_parquet(table: Any) -> Any:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return pq.read_table(buffer)


def test_prompts_return(prompt: AttributePrompt) -> None:
    free_text = AttributePrompt("mine", prompt.category, (), "whatever I like", 0)
    assert table_to_prompts(through_parquet(prompts_to_table([prompt, free_text]))) == [prompt, free_text]
    assert table_to_prompts(through_parquet(prompts_to_table([]))) == []


def test_a_tracked_portrait_returns(tracked: TrackedPortrait) -> None:
    assert same(table_to_tracked(through_parquet(tracked_to_table(tracked))), tracked)


def test_an_edit_returns_with_and_without_attachments(edited: EditedPortrait) -> None:
    assert same(table_to_edit(through_parquet(edit_to_table(edited))), edited)
    flat = replace(edited, attachments=(), underlay=None)
    assert same(table_to_edit(through_parquet(edit_to_table(flat))), flat)


def test_a_clip_returns_one_row_a_frame(clip: PortraitClip) -> None:
    table = through_parquet(clip_to_table(clip))
    assert table.num_rows == len(clip)
    assert same(table_to_clip(table), clip)


def test_verdicts_and_quarantine_return() -> None:
    verdict = Verdict(False, ("another face",), (("identity", 0.71), ("leak", 0.0)))
    assert table_to_verdict(through_parquet(verdict_to_table("key", verdict))) == verdict
    row = QuarantinedRow("key", "hat-0001", "edit", "boom", "Traceback …", 3)
    assert table_to_quarantine(through_parquet(quarantine_to_table([row, row]))) == [row, row]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_pictures_keep_their_channels_in_order(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert (png_to_picture(picture_to_png(picture)) == picture).all()


def test_pickled_objects_are_refused() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, bad=np.array([{"a": 1}], object))
    with pytest.raises(ValueError, match="pickle"):
        npz_to_arrays(buffer.getvalue())
    with pytest.raises(ValueError, match="picture"):
        picture_to_png(np.zeros((2, 2), np.float32))  # type: ignore[arg-type]


def test_npz_keeps_dtypes() -> None:
    arrays = {"a": np.arange(3, dtype=np.int16), "b": np.zeros((0, 3), np.float64)}
    back = npz_to_arrays(arrays_to_npz(arrays))
    assert all(back[name].dtype == value.dtype and back[name].shape == value.shape for name, value in arrays.items())

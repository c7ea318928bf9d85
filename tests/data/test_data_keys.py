"""Content keys: equal for equal values, different for any difference, the same in every process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perse.data import AttributePrompt
from perse.data.keys import KEY_LENGTH, clip_key, content_key, edit_key, verdict_key

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class _Config:
    strength: float = 0.5
    names: tuple[str, ...] = ("a",)


@dataclass(frozen=True)
class _Other:
    strength: float = 0.5
    names: tuple[str, ...] = ("a",)


@settings(max_examples=200, deadline=None)
@given(PLAIN, PLAIN)
def test_keys_are_equal_exactly_where_typed_values_are(a: Any, b: Any) -> None:
    assert (content_key(a) == content_key(b)) == (repr(_sorted(a)) == repr(_sorted(b)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=repr)}
    return tuple(_sorted(item) for item in value) if isinstance(value, tuple) else value


def test_every_kind_of_difference_shows() -> None:
    values = [
        1, 1.0, True, "1", b"1", None, (1,), ((1,),), (1, 1), {"a": 1}, {"a": 2}, {"b": 1}, _Config(), _Other(),
        _Config(strength=0.25), _Config(names=("a", "b")), np.zeros(2), np.zeros(2, np.float32), np.zeros((2, 1)),
        torch.ones(3),
    ]  # fmt: skip
    keys = [content_key(value) for value in values]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == KEY_LENGTH and set(key) <= set("0123456789abcdef") for key in keys)


def test_moving_a_boundary_between_values_changes_the_key() -> None:
    assert content_key("ab", "c") != content_key("a", "bc")


def test_the_order_of_a_mapping_does_not_matter_and_layout_in_memory_neither() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    grid = np.arange(12).reshape(3, 4)
    assert content_key(grid.T) == content_key(np.ascontiguousarray(grid.T))
    assert content_key(torch.from_numpy(grid)) == content_key(grid)


def test_a_path_counts_by_its_last_name() -> None:
    assert content_key(Path("/home/me/weights/a.safetensors")) == content_key(Path("/data/a.safetensors"))
    assert content_key(Path("/data/a.safetensors")) != content_key(Path("/data/b.safetensors"))
    assert content_key(Path("a")) != content_key("a")


def test_a_live_object_is_refused() -> None:
    with pytest.raises(TypeError, match="no stable content key"):
        content_key(object())


def test_a_key_is_the_same_in_another_process() -> None:
    program = "from perse.data.keys import content_key; print(content_key({'a': (1, .5)}, frozenset('xyz')))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == content_key({"a": (1, 0.5)}, frozenset("xyz"))


def test_each_ingredient_of_a_stage_key_counts(prompt: AttributePrompt) -> None:
    keys = {
        edit_key("me", prompt, _Config()),
        edit_key("you", prompt, _Config()),
        edit_key("me", replace(prompt, seed=1), _Config()),
        edit_key("me", prompt, _Config(strength=1.0)),
        edit_key("me", prompt, _Config(), made_with="sha256:1"),
        verdict_key("me", _Config(), made_with="code:2"),
        verdict_key("me", _Config()),
        clip_key("me", _Config(), (range(3), 64)),
        clip_key("me", _Config(), (range(3), 96)),
        clip_key("me", _Config(), (range(4), 64)),
    }
    assert len(keys) == 10

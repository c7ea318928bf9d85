"""FLAME's pickles are read as data: what they would run, crash or allocate stays words."""

from __future__ import annotations

import codecs
import os
import pickle
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from perse.errors import HeadModelError
from perse.head.flame_pickle import NEEDED, arrays_of_flame_pickle
from perse.head.pickle_data import MAX_OPCODES, PickleDataError, parse_pickle
from perse_ray.commands import models

NUMBERS = np.arange(6.0).reshape(2, 3)


class Raw:
    """Pickles to a call of one's choice."""

    def __init__(self, of: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (of, arguments) if state is None else (of, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def model_with(value: object, protocol: int = 2) -> bytes:
    return pickle.dumps(dict.fromkeys(NEEDED, NUMBERS) | {"v_template": value}, protocol)


def raw_array(shape: object, dtype: object, content: object) -> Raw:
    return Raw(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b", state=(1, shape, dtype, False, content))


def raw_dtype(name: str, *state: object) -> Raw:
    return Raw(np.dtype, name, False, True, state=state or None)


FLOAT4 = ("f4", 3, "<", None, None, None, -1, -1, 0)
OBJECTS = raw_dtype("O8", 3, "|", None, None, None, -1, -1, 63)
SPARSE_STATE = {"_shape": (5, 4), "format": "csc", "data": np.ones(1), "indices": np.zeros(1, int)}

HOSTILE = {
    # In the unpickler these segfaulted, asked for 298 GiB, or ended in tracebacks.
    "flags of a dtype": raw_array(
        (4,),
        raw_dtype("V8", 3, "|", None, ("a",), {"a": (OBJECTS, 0)}, 8, 1, 0),
        bytes(32),
    ),
    "object flags": raw_array((1,), OBJECTS, [1]),
    "object bytes": raw_array((1,), OBJECTS, b"A" * 8),
    "subarray": raw_array((1,), raw_dtype("V8", 3, "|", (np.dtype("f4"), (2,)), None, None, 8, 1, 0), bytes(8)),
    "allocation": Raw(np.ndarray, (300_000_000_000,), "u1"),
    "shape beyond the bytes": raw_array((300_000_000_000,), raw_dtype(*FLOAT4), bytes(8)),
    "negative shape": raw_array((-1, -2), raw_dtype(*FLOAT4), bytes(8)),
    "zero and huge": raw_array((0, 2**62), raw_dtype(*FLOAT4), b""),
    "70 dimensions": raw_array((1,) * 70, raw_dtype(*FLOAT4), bytes(4)),
    "big integers": raw_array((10**4000,), raw_dtype(*FLOAT4), bytes(4)),
    "long type": raw_array((1,), raw_dtype("f4," * 10_000), bytes(4)),
    "scalar of objects": Raw(np._core.multiarray.scalar, np.dtype("O"), NUMBERS),
    "sparse call": Raw(scipy.sparse.csc_matrix, (200_000, 200_000)),
    "sparse bomb": Raw(
        scipy.sparse.csc_matrix,
        state={"_shape": (3, 10**9), "data": np.ones(1), "indices": np.zeros(1, int), "indptr": np.array([0, 1])},
    ),
    "sparse outside": Raw(
        scipy.sparse.csc_matrix, state=SPARSE_STATE | {"indices": np.array([9]), "indptr": np.array([0, 1, 1, 1, 1])}
    ),
    "sparse unordered": Raw(scipy.sparse.csc_matrix, state=SPARSE_STATE | {"indptr": np.array([0, 5, -3, 1, 1])}),
    "sparse without lines": Raw(scipy.sparse.csc_matrix, state=SPARSE_STATE),
    "text": "v_template",
    "encoded otherwise": raw_array((1,), raw_dtype(*FLOAT4), Raw(codecs.encode, "0001", "utf-16")),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_arrays_end_in_one_line_and_little_memory(case: str, protocol: int) -> None:
    data = model_with(HOSTILE[case], protocol)
    tracemalloc.start()
    with pytest.raises(HeadModelError) as caught:
        arrays_of_flame_pickle(data)
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command that a user types; also where the call stands in a part that no head needs."""
    marker, path = tmp_path / "owned", tmp_path / "model.pkl"
    call = Raw(os.system, f"touch {marker}")
    for protocol in (0, 2, 4):
        for content in ({"v_template": call}, dict.fromkeys(NEEDED, NUMBERS) | {"more": [{"deep": (call,)}]}, call):
            path.write_bytes(pickle.dumps(content, protocol))
            assert models.run(["convert", str(path)]) == 2
            error = capsys.readouterr().err
            assert "wants to run" in error and "system" in error and error.count("\n") == 1
    assert not marker.exists() and not path.with_suffix(".safetensors").exists()
    pickle.loads(path.read_bytes())
    assert marker.exists(), "the bomb is a real one"


@settings(max_examples=60, deadline=None)
@given(
    array=arrays_of.arrays(
        st.sampled_from(["<f8", ">f4", "<i2", "|u1", ">u8", "<f2", "|b1", "<i8"]),
        arrays_of.array_shapes(max_dims=4, max_side=5),
    ),
    protocol=st.integers(0, 5),
    column_major=st.booleans(),
)
def test_arrays_are_what_pickle_itself_would_make(array: np.ndarray, protocol: int, column_major: bool) -> None:
    array = np.asfortranarray(array) if column_major else array
    found = arrays_of_flame_pickle(model_with(array, protocol))["v_template"]
    assert found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
def test_sparse_matrices_are_written_out(layout: str, protocol: int) -> None:
    sparse = scipy.sparse.random(7, 5, 0.4, layout, rng=np.random.default_rng(1))
    found = arrays_of_flame_pickle(model_with(sparse, protocol))["v_template"]
    np.testing.assert_array_equal(found, sparse.toarray())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"0.",
        b"N" * 10 + b".",
        b"(" * 200 + b".",
        b"N" * (MAX_OPCODES + 1) + b".",
        b"h\x05.",
        b"}NNs" * 3 + b"e.",
        b"cos\nsystem\nNR.",
        b"Pid\n.",
        b"ios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06systemNN\x93.",
        b"L" + b"9" * 5000 + b"L\n.",
        b"]" + b"a" * 10 + b".",
    ],
)
def test_what_is_no_pickle_says_so(data: bytes) -> None:
    with pytest.raises(PickleDataError):
        parse_pickle(data)


def test_shared_parts_cost_no_more_than_the_file(tmp_path: Path) -> None:
    """A dictionary that doubles at every step is 2⁴⁰ values for who copies."""
    value: object = [1]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(HeadModelError):
        arrays_of_flame_pickle(model_with(value))


def test_no_mutation_of_a_model_gets_past_the_message() -> None:
    generator = random.Random(0)
    matrix = scipy.sparse.csc_matrix(NUMBERS)
    whole = [model_with(matrix, protocol) for protocol in (0, 2, 4)]
    refused = 0
    for _ in range(3000):
        data = bytearray(generator.choice(whole))
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            arrays_of_flame_pickle(bytes(data))
        except HeadModelError:
            refused += 1
    assert refused > 1000

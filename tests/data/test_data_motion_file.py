"""Motion files: what is written comes back, what is hostile is refused with a sentence."""

from __future__ import annotations

import io
import json
import random
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from perse.data.motion_file import MAX_FRAMES, Motion, parse_motion, read_motion, write_motion
from perse.errors import InputError
from perse.synthesis.motion import load_motion

TINY = {
    "format": "perse-motion",
    "version": 1,
    "fps": 25,
    "expressions": {"jawOpen": [0.0, 0.5]},
    "joints": {"neck": [[0, 0.1, 0], [0, 0.2, 0]]},
}


def changed(**changes: object) -> bytes:
    return json.dumps({**TINY, **changes}).encode()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_the_shared_motion_survives_a_file(tmp_path: Path, suffix: str, head_model) -> None:  # type: ignore[no-untyped-def]
    motion = load_motion(head_model)
    names = head_model.expression_names, head_model.joint_names
    path = tmp_path / f"motion{suffix}"
    write_motion(path, Motion.of_parameters(motion, *names, fps=25.0))
    back = read_motion(path)
    assert back.fps == 25.0 and len(back) == 513 and "global" not in back.joints
    parameters = back.parameters(*names)
    assert (parameters.pose - motion.pose).abs().max() < 1e-5  # a JSON file holds five digits
    assert (parameters.expression - motion.expression).abs().max() < 1e-5  # a JSON file holds five digits


def test_names_that_the_head_lacks_are_told() -> None:
    motion = parse_motion(json.dumps(TINY).encode())
    with pytest.raises(InputError, match="jawOpen"):
        motion.parameters(["smile"], ["neck"])


def test_a_motion_that_never_moves_still_has_its_length() -> None:
    still = parse_motion(changed(expressions={}, joints={"neck": [[0, 0, 0]] * 7})).parameters(["smile"], ["neck"])
    assert len(Motion.of_parameters(still, ["smile"], ["neck"], 25)) == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 nothing",
        b"[" * 200_000,
        b'{"format": "perse-motion", "version": 1, "fps": NaN}',
        changed(version=2),
        changed(fps=0),
        changed(fps="25"),
        changed(fps=1e9),
        changed(expressions={}, joints={}),
        changed(expressions=[1]),
        changed(expressions={"jawOpen": [0.0]}),
        changed(expressions={"jawOpen": [0.0, 1e300]}),
        changed(expressions={"jawOpen": [0.0, 10**400]}),
        changed(expressions={"jawOpen": [0.0, "1"]}),
        changed(expressions={"jawOpen": [0.0, True]}),
        changed(expressions={"jawOpen": {"0": 1}}),
        changed(expressions={"../../etc": [0, 0]}),
        changed(joints={"neck": [[0, 0], [0, 0]]}),
        changed(joints={"neck": [[0, 0, 100], [0, 0, 0]]}),
        changed(expressions={"jawOpen": [0] * (MAX_FRAMES + 1)}),
        changed(expressions={f"e{i}": [0, 0] for i in range(300)}),
        npz(fps=np.float64(25)),
        npz(fps=np.float64(25), other=np.zeros(3)),
        npz(fps=np.float64(np.nan), **{"expression:a": np.zeros(3)}),
        npz(fps=np.float64(25), **{"expression:a": np.full(3, np.inf)}),
        npz(fps=np.float64(25), **{"expression:a": np.array(["x", "y"])}),
        npz(fps=np.float64(25), **{"expression:a": np.array([{}, {}], object)}),
        npz(fps=np.float64(25), **{"expression:a": np.zeros((2, 2))}),
        npz(fps=np.float64(25), **{"expression:a": np.zeros(40_000_000, np.uint8)}),
    ],
)
def test_hostile_files_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        parse_motion(data)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_an_array_that_claims_more_than_it_holds_is_refused() -> None:
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(claim, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("expression:a.npy", claim.getvalue())
    with pytest.raises(InputError):
        parse_motion(buffer.getvalue())


def archive_of(header: bytes, body: bytes = bytes(8), method: int = zipfile.ZIP_STORED) -> bytes:
    """An npz whose one array has a header of one's choice."""
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body
    fps = io.BytesIO()
    np.save(fps, 25.0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("fps.npy", fps.getvalue())
        archive.writestr("expression:a.npy", npy)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        b"\x27\x27\x27{'descr'",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1" + b", 1" * 69 + b"), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4611686018427387904), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1" + b"0" * 900 + b",), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n",
        b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': ((((((((((1,),),),),),),),),),), }\n",
        b"{'descr': '<f8'}",
        b"\xff\x00",
    ],
    ids=["token error", "70 dimensions", "zero and huge", "a long number", "negative", "object", "record", "nested",
         "half", "no text"],
)  # fmt: skip
def test_headers_that_made_numpy_stumble_are_refused(header: bytes) -> None:
    """The first was a TokenError; numpy's reader parses a header as Python."""
    with pytest.raises(InputError, match="npz"):
        parse_motion(archive_of(header))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_only_what_numpy_writes_is_unpacked(method: int) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n"
    assert len(parse_motion(archive_of(header))) == 1
    with pytest.raises(InputError, match="packed"):
        parse_motion(archive_of(header, method=method))


def test_no_mutation_of_an_archive_gets_past_the_sentence() -> None:
    """697 of 4,000 such mutations ended in LZMAError, TokenError and others."""
    generator = random.Random(0)
    whole = npz(fps=np.float64(25), **{"expression:a": np.zeros(9), "joint:neck": np.zeros((9, 3))})
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with suppress(InputError):
            parse_motion(bytes(data))


@pytest.mark.parametrize("cut", [10, 60, 200])
def test_truncated_and_damaged_archives_are_refused(cut: int) -> None:
    whole = npz(fps=np.float64(25), **{"expression:a": np.random.default_rng(0).normal(size=100)})
    with pytest.raises(InputError):
        parse_motion(whole[:-cut])
    damaged = bytearray(whole)
    damaged[cut : cut + 40] = bytes(40)
    with pytest.raises(InputError):
        parse_motion(bytes(damaged))

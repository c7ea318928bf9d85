"""Weights come from files that cannot run code."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from perse.data.tensor_files import PICKLES, converted, load_tensors
from perse.errors import MissingWeightsError


class Bomb:
    """Opening its pickle touches a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3.0)}, tmp_path / "a.safetensors")
    assert torch.equal(load_tensors(tmp_path / "a.safetensors")["a"], torch.arange(3.0))


@pytest.mark.parametrize("suffix", [*PICKLES, ".PT"])
def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    torch.save({"a": torch.zeros(1)}, file)
    with pytest.raises(MissingWeightsError) as caught:
        load_tensors(file)
    assert "\n" not in str(caught.value) and f"perse models convert {file}" in str(caught.value)


def test_neither_a_name_nor_a_conversion_makes_code_run(tmp_path: Path) -> None:
    exploded = tmp_path / "exploded"
    for name in ("disguised.safetensors", "w.pt"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": Bomb(exploded)}))
    torch.save({"a": Bomb(exploded)}, tmp_path / "zip.pt")
    with pytest.raises(MissingWeightsError, match="no safetensors"):
        load_tensors(tmp_path / "disguised.safetensors")
    for name in ("w.pt", "zip.pt"):
        with pytest.raises(MissingWeightsError, match="may be code"):
            converted(tmp_path / name)
        assert not (tmp_path / name).with_suffix(".safetensors").exists()
    assert not exploded.exists()
    pickle.loads((tmp_path / "w.pt").read_bytes())
    assert exploded.exists(), "the bomb is a real one"


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"state_dict": t, "epoch": 3}, lambda t: {"model": t}])
def test_a_conversion_keeps_every_tensor(tmp_path: Path, wrap) -> None:  # type: ignore[no-untyped-def]
    whole = torch.randn(4, 6)
    tensors = {"a": whole, "view": whole[:2], "turned": whole.T, "half": whole.half()}
    torch.save(wrap(tensors), tmp_path / "w.pth")
    found = load_file(converted(tmp_path / "w.pth"))
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in tensors.items())


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, torch.zeros(2)])
def test_what_holds_no_tensors_by_name_says_so(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(MissingWeightsError, match="holds"):
        converted(tmp_path / "w.pt")
    with pytest.raises(MissingWeightsError, match="no file"):
        converted(tmp_path / "absent.pt")


@pytest.mark.filterwarnings("ignore")  # torch's about its older kinds of tensors
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: torch.zeros(2, device="meta"), "without data"),
        (lambda: torch.eye(2).to_sparse(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantised"),
        (lambda: torch.ones(2, dtype=torch.complex128), "complex128"),
        (lambda: torch.ones(1).expand(10**12), "larger than the file"),
    ],
    ids=["meta", "sparse", "quantised", "complex", "broadcast"],
)
def test_tensors_that_safetensors_cannot_hold_are_named(
    tmp_path: Path, make: Callable[[], torch.Tensor], says: str
) -> None:
    """Each was a traceback; the last asked for 4 TB."""
    torch.save({"fine": torch.zeros(2), "odd\n../x": make()}, tmp_path / "w.pt")
    with pytest.raises(MissingWeightsError, match=says) as caught:
        converted(tmp_path / "w.pt")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pt"]


@pytest.mark.parametrize("where", ["data", "padding"])
def test_a_flipped_byte_is_not_accepted(tmp_path: Path, where: str) -> None:
    file = tmp_path / "w.pt"
    torch.save({"a": torch.full((2,), 1.0)}, file)
    content = bytearray(file.read_bytes())
    content[content.index(struct.pack("<2f", 1, 1)) if where == "data" else content.index(b"ZZZZ") + 2] ^= 255
    file.write_bytes(content)
    with pytest.raises(MissingWeightsError, match="damaged"):
        converted(file)


def test_a_compressed_archive_is_not_inflated(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(100)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(MissingWeightsError, match="compressed"):
        converted(file)


@pytest.mark.parametrize("modern", [True, False])
def test_a_name_without_end_is_refused_before_torch_searches_it(tmp_path: Path, modern: bool) -> None:
    """Found by fuzzing: 16 kB that torch thought about for 14 seconds."""
    file = tmp_path / "w.pt"
    endless = b"\x80\x02c" + b"a.b " * 5000 + b"\nx\n."
    if modern:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("w/data.pkl", endless)
    else:
        file.write_bytes(endless)
    with pytest.raises(MissingWeightsError, match="no checkpoint"):
        converted(file)


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x96", b"\x8d"], ids=["bytes", "bytearray", "text"])
@pytest.mark.parametrize("claimed", [1 << 44, 1 << 62])
def test_a_length_that_a_pickle_claims_makes_no_room(tmp_path: Path, opcode: bytes, claimed: int) -> None:
    """Found by fuzzing: a MemoryError of 54 bytes that claim to hold more than any machine has."""
    file = tmp_path / "w.pt"
    file.write_bytes(b"\x80\x04" + opcode + struct.pack("<Q", claimed) + b"short")
    with pytest.raises(MissingWeightsError, match="damaged"):
        converted(file)

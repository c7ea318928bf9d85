"""Weights come from files that cannot run code."""

from __future__ import annotations

import pickle
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

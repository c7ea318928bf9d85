"""Weights from files that cannot run code: safetensors. A pickle is refused, and can be converted once."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from perse.errors import MissingWeightsError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Suffixes of formats that can carry code."""

_NESTED = ("state_dict", "model_state_dict", "model", "params")
"""Where training programs put the tensors of a model among other things."""


def load_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        MissingWeightsError: no such file, a pickle, or something else under that name.
    """
    if not file.is_file():
        raise MissingWeightsError(f"there is no file {file}")
    refuse_pickle(file)
    try:
        return load_file(file)
    except SafetensorError as error:
        raise MissingWeightsError(f"{file} is no safetensors file, whatever its name says ({error})") from error


def refuse_pickle(file: Path) -> None:
    """
    Raises:
        MissingWeightsError: the file's name is that of a pickled checkpoint; says how to convert it.
    """
    if file.suffix.lower() in PICKLES:
        raise MissingWeightsError(
            f"{file} is a pickled checkpoint, which can run code when it is opened; only safetensors are loaded. "
            f"Convert it once (its tensors alone are read): python jobs/models.py convert {file}"
        )


def converted(file: Path) -> Path:
    """Write the tensors of a pickled checkpoint as safetensors beside it, and return where.

    The pickle goes through torch's restricted reader, which builds tensors and plain containers and calls nothing.

    Raises:
        MissingWeightsError: no such file, it holds code or other objects, or no tensors.
    """
    tensors = tensors_of_pickle(file)
    target = file.with_suffix(".safetensors")
    # A copy each: tensors may be views of one storage, which safetensors does not write.
    save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, target)
    return target


def tensors_of_pickle(file: Path) -> dict[str, Tensor]:
    """The tensors in a pickled checkpoint that holds nothing else but plain values; see `converted`."""
    if not file.is_file():
        raise MissingWeightsError(f"there is no file {file}")
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise MissingWeightsError(
            f"{file} holds more than tensors and plain values, which may be code, or is damaged: it is not opened; get "
            "safetensors from its authors"
        ) from error
    nested = next((content[name] for name in _NESTED if isinstance(content, Mapping) and name in content), content)
    if not isinstance(nested, Mapping):
        raise MissingWeightsError(f"{file} holds a {type(nested).__name__}, expected tensors by name")
    tensors = {str(name): value for name, value in nested.items() if isinstance(value, Tensor)}
    tensors = tensors or _of_several_models(nested)
    if not tensors:
        raise MissingWeightsError(f"{file} holds no tensors")
    return tensors


def _of_several_models(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Tensors of a file that holds several models by name, as ``<model>.<tensor>``."""
    models = {str(name): inner for name, inner in content.items() if isinstance(inner, Mapping)}
    return {
        f"{name}.{key}": value
        for name, inner in models.items()
        for key, value in inner.items()
        if isinstance(value, Tensor)
    }

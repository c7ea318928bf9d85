"""Weights from files that cannot run code: safetensors. A pickle is refused, and can be converted once."""

from __future__ import annotations

import io
import os
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from perse.errors import MissingWeightsError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Suffixes of formats that can carry code."""

_DAMAGED_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip

_MAX_NAME = 500
_PICKLES_BEFORE_1_6 = 4
"""One after another: a number, a version, the system, the tensors."""

_PADDING = b"FB"
"""The zip field with which torch aligns its tensors."""

MAX_GROWTH = 4
"""How much larger than the file its tensors may be together: several may be views of one storage."""
MIN_ROOM_BYTES = 1 << 20

KNOWN_DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
    torch.bool, torch.complex64,
)  # fmt: skip
"""What safetensors writes."""

_NESTED = ("state_dict", "model_state_dict", "model", "params")
"""Where training programs put the tensors of a model among other things."""


def load_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        MissingWeightsError: no such file, a pickle, or something else under that name.
    """
    with _opened(file):
        return load_file(file)


def shapes_of_tensors(file: Path) -> dict[str, Tensor]:
    """Names and shapes of the tensors, on the meta device: from the file's head, in no time, without a number.

    Raises:
        MissingWeightsError: as `load_tensors`.
    """
    with _opened(file), safe_open(file, "pt") as head:
        return {name: torch.empty(head.get_slice(name).get_shape(), device="meta") for name in head.keys()}  # noqa: SIM118


@contextmanager
def _opened(file: Path) -> Iterator[None]:
    if not file.is_file():
        raise MissingWeightsError(f"there is no file {file}")
    refuse_pickle(file)
    try:
        yield
    except SafetensorError as error:
        raise MissingWeightsError(f"{file} is no safetensors file, whatever its name says ({error})") from error


def refuse_pickle(file: Path) -> None:
    """Refuse a file that its name calls a pickled checkpoint.

    Raises:
        MissingWeightsError: the file's name is that of a pickled checkpoint; says how to convert it.
    """
    if file.suffix.lower() in PICKLES:
        raise MissingWeightsError(
            f"{file} is a pickled checkpoint, which can run code when it is opened; only safetensors are loaded. "
            f"Convert it once (its tensors alone are read): perse models convert {file}"
        )


def converted(file: Path) -> Path:
    """Write the tensors of a pickled checkpoint as safetensors beside it, and return where.

    The pickle goes through torch's restricted reader, which builds tensors and plain containers and calls nothing.

    Raises:
        MissingWeightsError: no such file, damaged, it holds code or other objects, or tensors that safetensors lacks.
    """
    tensors = tensors_of_pickle(file)
    target = file.with_suffix(".safetensors")
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        # A copy each: tensors may be views of one storage, which safetensors does not write.
        save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, unfinished)
        os.replace(unfinished, target)
    except (SafetensorError, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise MissingWeightsError(f"{target} cannot be written ({error})") from error
    return target


def tensors_of_pickle(file: Path) -> dict[str, Tensor]:
    """The tensors in a pickled checkpoint that holds nothing else but plain values; see `converted`."""
    if not file.is_file():
        raise MissingWeightsError(f"there is no file {file}")
    _refuse_damaged_archive(file)
    _refuse_long_names(file)
    try:
        with warnings.catch_warnings(action="ignore"):  # of old kinds of tensors, which are refused below
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes lead it into
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
    _refuse_other_tensors(file, tensors)
    return tensors


def _refuse_damaged_archive(file: Path) -> None:
    """torch compares no checksums: one flipped bit became one wrong weight."""
    try:
        if not zipfile.is_zipfile(file):
            return  # torch's format before 1.6, which has no checksums
        with zipfile.ZipFile(file) as archive:
            packed = [one.filename for one in archive.infolist() if one.compress_type != zipfile.ZIP_STORED]
            if packed or sum(one.file_size for one in archive.infolist()) > file.stat().st_size:
                raise MissingWeightsError(f"{file} is a compressed archive, which torch does not write")
            wrong = archive.testzip() or _wrong_padding(file, archive)
    except _DAMAGED_ARCHIVE as error:
        raise MissingWeightsError(f"{file} is damaged, its archive cannot be read: get it again ({error})") from error
    if wrong is not None:
        raise MissingWeightsError(f"{file} is damaged: {wrong} has not its checksum; get the file again")


def _refuse_long_names(file: Path) -> None:
    """torch searches its own error's text with patterns that take the square of its length: 14 s for a name of 9 kB."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                pickles = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
            longest = max((_longest_name(io.BytesIO(content)) for content in pickles), default=0)
        else:
            # A map reads no more than there is; a file makes room first for whatever a length in the pickle claims.
            with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as stream:
                longest = max(_longest_name(stream) for _ in range(_PICKLES_BEFORE_1_6))
    except _DAMAGED_ARCHIVE as error:
        raise MissingWeightsError(f"{file} is damaged, its archive cannot be read: get it again ({error})") from error
    if longest > _MAX_NAME:
        raise MissingWeightsError(f"{file} names something with {longest} characters: it is no checkpoint of tensors")


def _longest_name(stream: IO[bytes] | mmap) -> int:
    """Of what the next pickle would import; 0 where there is no pickle."""
    longest = 0
    try:
        # A map reads as a file does, which the library's types do not know.
        for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", stream)):
            if opcode.name in ("GLOBAL", "INST"):
                longest = max(longest, len(str(argument)))
    except (ValueError, IndexError, OverflowError):  # torch will say what is wrong
        pass
    return longest


def _wrong_padding(file: Path, archive: zipfile.ZipFile) -> str | None:
    """The member in front of which torch's filling, nothing but Z, is something else; no checksum covers it."""
    with file.open("rb") as raw:
        for member in archive.infolist():
            raw.seek(member.header_offset + 26)
            name_length, extra_length = struct.unpack("<HH", raw.read(4))
            raw.seek(name_length, os.SEEK_CUR)
            extra = raw.read(extra_length)
            while len(extra) >= 4:
                kind, length = extra[:2], int.from_bytes(extra[2:4], "little")
                if kind == _PADDING and extra[4 : 4 + length].strip(b"Z"):
                    return member.filename
                extra = extra[4 + length :]
    return None


def _refuse_other_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Tensors without data, sparse or quantised ones, and few bytes that say that they are many."""
    for name, value in tensors.items():
        kind = _unknown_kind(value)
        if kind:
            raise MissingWeightsError(f"{file}: {name[:80]!r} is {kind}, which safetensors cannot hold")
    size = file.stat().st_size
    if sum(value.numel() * value.element_size() for value in tensors.values()) > MAX_GROWTH * size + MIN_ROOM_BYTES:
        raise MissingWeightsError(f"{file}: its tensors claim to be far larger than the file: damaged, or a trap")


def _unknown_kind(value: Tensor) -> str:
    if value.is_meta:
        return "a tensor without data (meta)"
    if value.layout != torch.strided:
        return f"a sparse tensor ({value.layout})"
    if value.is_quantized:
        return f"a quantised tensor ({value.dtype})"
    if value.is_nested:
        return "a nested tensor"
    return "" if value.dtype in KNOWN_DTYPES else f"of type {value.dtype}"


def _of_several_models(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Tensors of a file that holds several models by name, as ``<model>.<tensor>``."""
    models = {str(name): inner for name, inner in content.items() if isinstance(inner, Mapping)}
    return {
        f"{name}.{key}": value
        for name, inner in models.items()
        for key, value in inner.items()
        if isinstance(value, Tensor)
    }

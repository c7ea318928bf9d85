"""Content keys: hashes of everything that made a thing, used as its name.

Two runs that would make the same thing give it the same key, so finished work is found again and never made twice;
change any ingredient and the key changes with it. Equality is by value: types are tagged, so ``1``, ``1.0`` and
``"1"`` differ, and field names are part of a configuration's value. A path counts by its last name alone: weights may
lie elsewhere on another machine. What is in the file is an ingredient of its own (`perse.data.file_digests`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath

import numpy as np
import torch

from perse.data.prompt import AttributePrompt
from perse.shapes import Picture

KEY_LENGTH = 32
"""Hexadecimal digits of a key: 128 bits, far beyond any chance of two things meeting."""


def content_key(*ingredients: object) -> str:
    """Hash of any nesting of plain values, enums, frozen dataclasses, mappings, arrays and tensors: 32 hex digits.

    Fields that do not make two records different (`compare=False`) have no say, such as a folder for by-products.

    Raises:
        TypeError: for a value without a stable meaning of its own (a function, an open file, a live object).
    """
    digest = hashlib.sha256()
    for chunk in _chunks(ingredients):
        digest.update(chunk)
    return digest.hexdigest()[:KEY_LENGTH]


def identity_of(photograph: Picture) -> str:
    """Key of the person in a photograph [h, w, 3]: what a workspace belongs to."""
    return content_key("photograph", photograph)[:16]


def edit_key(identity: str, prompt: AttributePrompt, editor: object, made_with: str = "") -> str:
    """Key of an edited portrait.

    Args:
        identity: the portrait's key.
        prompt: with its seed.
        editor: its configuration, and the head's.
        made_with: fingerprint of the editor's code and of its weights.
    """
    return content_key("edit", identity, prompt, editor, made_with)


def verdict_key(edit: str, screen: object, made_with: str = "") -> str:
    """Key of the screen's verdict on an edit; a changed threshold asks again without editing again."""
    return content_key("verdict", edit, screen, made_with)


def clip_key(subject: str, animator: object, filming: object, made_with: str = "") -> str:
    """Key of a clip: the edited portrait's key (or the identity's, for the reference), who films it, and what."""
    return content_key("clip", subject, animator, filming, made_with)


def _chunks(value: object) -> Iterator[bytes]:
    """Unambiguous bytes of a value: a tag, a length where one is needed, the content."""
    if value is None or isinstance(value, bool | int | float | np.bool | np.integer | np.floating):
        plain = value.item() if isinstance(value, np.generic) else value
        yield f"{type(plain).__name__}:{plain!r};".encode()
    elif isinstance(value, Enum):
        yield f"enum:{type(value).__name__}.{value.name};".encode()
    elif isinstance(value, str):
        yield from _counted("str", value.encode())
    elif isinstance(value, PurePath):
        yield from _counted("path", value.name.encode())
    elif isinstance(value, bytes):
        yield from _counted("bytes", value)
    elif isinstance(value, torch.Tensor):
        yield from _chunks(value.detach().cpu().numpy())
    elif isinstance(value, np.ndarray):
        if value.dtype == object:
            raise TypeError("an array of Python objects has no stable content key; use a tuple")
        yield from _counted(f"array:{value.dtype.str}:{value.shape}", np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        pairs = {f.name: getattr(value, f.name) for f in fields(value) if f.compare}
        yield f"record:{type(value).__name__};".encode()
        yield from _chunks(pairs)
    elif isinstance(value, Mapping):
        yield f"map:{len(value)};".encode()
        for name in sorted(value, key=repr):
            yield from _chunks(name)
            yield from _chunks(value[name])
    elif isinstance(value, list | tuple | range):
        yield f"list:{len(value)};".encode()
        for item in value:
            yield from _chunks(item)
    elif isinstance(value, set | frozenset):
        yield from _chunks(sorted(content_key(item) for item in value))
    else:
        raise TypeError(f"{type(value).__name__} has no stable content key; pass plain values, records or arrays")


def _counted(tag: str, content: bytes) -> Iterator[bytes]:
    yield f"{tag}:{len(content)};".encode()
    yield content

"""Fingerprint of a configuration: the code behind it, and the files that it names, which its value does not tell.

Part of every content key and of the stages' digests, so that a changed editor or a replaced weight file makes its
edits anew, and what is made of them, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from perse.data.code_version import code_version
from perse.data.file_digests import file_digest
from perse.data.keys import content_key
from perse.synthesis.production.model_store import Weights, weight_files


def fingerprint(*makers: object) -> str:
    """Fingerprint of the code and the files of configurations, with everything that they hold."""
    modules = {type(record).__module__ for maker in makers for record in _records(maker)}
    return content_key({name: code_version(name) for name in modules}, files_fingerprint(*makers))


def files_fingerprint(*makers: object) -> str:
    """Fingerprint of the files alone: for a training, which newer code may continue.

    Files that are not there count as absent: whoever needs them will say so.
    """
    named = {(name, path) for maker in makers for record in _records(maker) for name, path in _files(record)}
    return content_key(sorted((name, file_digest(path)) for name, path in named if path.is_file()))


def _records(value: Any) -> Iterator[Any]:
    """Every dataclass instance in nested records, sequences and mappings, the outer ones first."""
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in fields(value):
            yield from _records(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _records(item)
    elif isinstance(value, dict):
        yield from _records(list(value.values()))


def _files(record: Any) -> Iterator[tuple[str, Path]]:
    """Files that a record names in its own fields, each with a name that does not tell where on a disk it lies."""
    if isinstance(record, Weights):
        folder = record.place()
        yield from ((f"{record.name}/{path.relative_to(folder).as_posix()}", path) for path in weight_files(folder))
        return
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Path):
            yield f"{field.name}/{value.name}", value

"""Products of a stage: its files as its manifest names them, and whether they are still what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from perse.data.file_check import unreadable
from perse.data.folder_files import FileLook
from perse.data.keys import content_key
from perse.data.workspace import Workspace

DIGESTED_BYTES = 2 * 2**30
"""Of one stage. Where its files are more than this together, those that workers wrote are known by their size and the
checksums inside them: the driver does not read a cluster's clips again."""

WRITTEN_BY_WORKERS = ("clips/", "edits/")
"""Parquet, one file a row, with a checksum for every page."""


class Depth(Enum):
    """Depth of a check of a product."""

    CHANGED = "sizes, and the content of files that were touched since"
    ALL = "sizes and content"


@dataclass(frozen=True)
class Product:
    """File that a stage made.

    Attributes:
        size: bytes.
        sha256: hexadecimal; empty where only the size is known.
        stamp: inode and time of change when its content was last known to be right.
    """

    size: int
    sha256: str = ""
    stamp: str = ""


def products_of(workspace: Workspace, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Files that were made a moment ago, for a manifest."""
    looks = workspace.looks(list(names))
    found = {}
    small = sum(look.size for look in looks.values() if look is not None) <= DIGESTED_BYTES
    for name, look in looks.items():
        assert look is not None, f"{name} was made a moment ago"
        by_size = name.startswith(WRITTEN_BY_WORKERS) and not small
        found[name] = vars(Product(look.size, "" if by_size else _sha256(workspace, name), look.stamp))
    return found


def outputs_key(manifest: Mapping[str, Any]) -> str:
    """Key of what a stage has made: equal exactly when its files are."""
    products = {name: Product(**values) for name, values in manifest.get("products", {}).items()}
    return content_key({name: (one.size, one.sha256) for name, one in products.items()})


def damaged(workspace: Workspace, manifest: Mapping[str, Any], depth: Depth) -> list[tuple[str, str]]:
    """Files of a manifest that are not what it says, each with what is wrong with it."""
    found = []
    products = manifest.get("products", {})
    looks = workspace.looks(list(products))
    for name, values in products.items():
        reason = _wrong(workspace, name, looks[name], Product(**values), depth)
        if reason:
            found.append((name, reason))
    return found


def _wrong(workspace: Workspace, name: str, look: FileLook | None, wanted: Product, depth: Depth) -> str:
    if look is None:
        return "is missing"
    if look.size != wanted.size:
        return f"has {look.size} bytes instead of {wanted.size}"
    if look.stamp == wanted.stamp and depth is Depth.CHANGED:
        return ""
    if wanted.sha256:
        return "" if _sha256(workspace, name) == wanted.sha256 else "is damaged"
    return unreadable(workspace, name) if depth is Depth.ALL else ""


def _sha256(workspace: Workspace, name: str) -> str:
    return hashlib.sha256(workspace.read(name)).hexdigest()

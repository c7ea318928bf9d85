"""Digest of the code that makes something, so that what changed code would make is never taken from a cache.

Read are the module that a configuration's class is written in and what that imports, directly or not, of the method:
for the procedural editor everything it paints, warps and attaches with. Left out are the layers below, records,
geometry and rasterizers: their tests hold them to what they mean, and a line changed there must not cost a cluster a
week. Comments, docstrings and formatting do not count. Data files beside a module do, where its code names them: others
are somebody's prompts or results that happen to lie there.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOUNDATIONS = ("perse.attributes", "perse.data", "perse.errors", "perse.gaussians", "perse.geometry", "perse.render")
"""Below the method; see above."""

DATA_SUFFIXES = (".csv", ".json", ".npz")


@dataclass(frozen=True)
class _Source:
    """What counts of a module's file: full names in its imports, its syntax tree as text without remarks, and the texts
    in it."""

    imports: tuple[str, ...]
    code: str
    texts: frozenset[str]


@cache
def code_version(module: str) -> str:
    """Digest of a module's code and of what it imports of its own top-level package: 16 hexadecimal digits.

    A module without a file (typed into a console) has the empty digest.
    """
    digest = hashlib.sha256()
    found = sorted(_reached(module))
    for name in found:
        digest.update(f"{name}\0{_source(name).code}\0".encode())
    for file in sorted({data for name in found for data in _data_beside(name)}):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16] if found else ""


def _reached(module: str) -> set[str]:
    """The module and what it imports, as far as it has files and is no foundation."""
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in reached and _file_of(name) is not None:
            reached.add(name)
            waiting += [other for other in _source(name).imports if _is_method(other, module)]
    return reached


def _is_method(name: str, of: str) -> bool:
    own = name.partition(".")[0] == of.partition(".")[0]
    return own and not any(name == low or name.startswith(low + ".") for low in FOUNDATIONS)


@cache
def _source(module: str) -> _Source:
    file = _file_of(module)
    assert file is not None, "only modules with files are read"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    imports = tuple(dict.fromkeys(_imports(tree, package)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [one for one in body if not _is_remark(one)]
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return _Source(imports, ast.dump(tree, annotate_fields=False), frozenset(texts))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Full names of the modules in a file's imports, wherever in the file they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:  # a module of that name, or something that the package itself offers
                inner = f"{base}.{alias.name}"
                yield inner if _file_of(inner) is not None else base


def _is_remark(node: ast.AST) -> bool:
    """A docstring, of a module, a function, a class or a field."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _file_of(module: str) -> Path | None:
    """Where a module's source is, without importing it; None where there is none."""
    top, *inner = module.split(".")
    origin = getattr(sys.modules.get(top), "__file__", None)
    if origin is None:
        return None
    here = Path(origin)
    if not inner:
        return here if here.suffix == ".py" else None
    place = here.parent.joinpath(*inner)
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in candidates if here.name == "__init__.py" and file.is_file()), None)


def _data_beside(module: str) -> list[Path]:
    """The data files that the module's code names."""
    file = _file_of(module)
    assert file is not None, "only modules with files are read"
    named = {text.rpartition("/")[2] for text in _source(module).texts if text.endswith(DATA_SUFFIXES)}
    places = (folder / name for folder in (file.parent, file.parent / "data") for name in named)
    return [place for place in places if place.is_file()]

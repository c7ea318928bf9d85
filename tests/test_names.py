"""One name, one thing: no two public classes of the project share a name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("perse", "perse_ray", "client", "jobs", "benchmarks", "cluster", "examples")

SHARED = {
    "Arguments": "what a command's own module reads from its command line; no module imports another's",
    "Description": "client/ is a distribution of its own and cannot import the request that it makes",
    "EditSpace": "client/, as above: the answer that it reads",
    "Orbit": "client/, as above: the camera that it asks for",
    "Subject": "client/, as above: an edit that it may ask for",
}
"""Names that several classes may have, and why."""


def classes_by_name(root: Path) -> dict[str, list[str]]:
    """Where the public classes of each name stand, those within classes and functions included."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(file for folder in FOLDERS for file in (root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(f"{file.relative_to(root)}:{node.lineno}")
    return found


def shared_names(root: Path) -> dict[str, list[str]]:
    """Of them those that stand at several places."""
    return {name: places for name, places in classes_by_name(root).items() if len(places) > 1}


def test_no_two_public_classes_share_a_name() -> None:
    unexplained = {name: places for name, places in shared_names(ROOT).items() if name not in SHARED}
    assert not unexplained, f"one name, several things: {unexplained}"


def test_every_exception_is_still_needed() -> None:
    assert set(SHARED) == set(SHARED) & set(shared_names(ROOT))


def test_a_second_class_of_a_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "perse").mkdir()
    (tmp_path / "perse_ray").mkdir()
    (tmp_path / "perse" / "one.py").write_text("class Frame: ...\nclass _Own: ...\n")
    (tmp_path / "perse_ray" / "other.py").write_text("def make():\n    class Frame: ...\nclass _Own: ...\n")
    assert shared_names(tmp_path) == {"Frame": ["perse/one.py:1", "perse_ray/other.py:2"]}

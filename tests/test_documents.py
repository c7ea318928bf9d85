"""Every citation in the code leads somewhere inside the repository, and the documents name what exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("perse", "perse_ray", "jobs", "benchmarks", "client") for path in (ROOT / folder).rglob("*.py")
)
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
METHOD = (ROOT / "docs" / "method.md").read_text()


@cache
def anchors(path: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    plain = [re.sub(r"[`*\[\]]|\(.*?\.md\)", "", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@cache
def names(path: Path) -> set[str]:
    """What a module defines: functions, classes, and methods as ``Class.method``."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return found


def equations(text: str) -> set[int]:
    """Numbers in ``Eq. 4``, ``Eq. 4 and 5``, ``Eq. 18–20, 23``."""
    found: set[int] = set()
    for listed in re.findall(r"Eq\. ?(\d+(?:(?:\s*[–-]\s*|\s*,\s*|\s+and\s+|\s+or\s+)\d+)*)", text):
        for part in re.split(r",|and|or", listed):
            ends = [int(number) for number in re.findall(r"\d+", part)]
            found |= set(range(ends[0], ends[-1] + 1))
    return found


def rows() -> list[tuple[set[int], str]]:
    """Rows of method.md: the equations in the first cell, and the cell that says where they are."""
    found = re.findall(r"^\| ([\d–, ]+) \| [^|]+ \| ([^|]+) \|", METHOD, re.MULTILINE)
    return [(equations(f"Eq. {numbers};"), place) for numbers, place in found]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_citations_in_code_resolve(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"REFERENCE(?:\.md)? ?(?:§|:)", text), "cite docs/reference.md#heading"
    for file, anchor in re.findall(r"(docs/[\w/.-]+?\.md)(?:#([\w-]+))?", text):
        assert (ROOT / file).is_file(), file
        assert not anchor or anchor in anchors(ROOT / file), f"{file} has no heading #{anchor}"
    for number in re.findall(r"\(decision (\d{3})\)", text):
        assert list((ROOT / "docs" / "decisions").glob(f"{number}-*.md")), f"decision {number}"
    cited = re.sub(r"(DiffMorpher|Inria|MagicMan)[^.\n]*Eq\. ?\d+", "", text)
    listed = set().union(*(numbers for numbers, _ in rows()))
    assert equations(cited) <= listed, f"no row in docs/method.md: {equations(cited) - listed}"


def test_the_marks_have_a_legend() -> None:
    legend = (ROOT / "docs" / "reference.md").read_text()
    for mark in ("`P`", "`Eq. 13`", "`C`", "`D`", "`[M]`"):
        assert f"| {mark} |" in legend


def test_the_method_names_functions_that_exist() -> None:
    cited = re.findall(r"`((?:perse|perse_ray)/[\w/]+\.py):([\w.]+)`", METHOD)
    assert len(cited) > 40
    for file, name in cited:
        assert (ROOT / file).is_file(), file
        assert name in names(ROOT / file), f"{file} has no {name}"


def test_every_equation_has_one_row_with_a_function_or_says_that_there_is_none() -> None:
    listed = sorted(number for numbers, _ in rows() for number in numbers)
    assert listed == list(range(1, 45))
    for numbers, place in rows():
        assert re.search(r"`(perse|perse_ray)/[\w/]+\.py:[\w.]+`", place) or place.startswith("not implemented"), (
            numbers
        )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_resolve(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", path.read_text()):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{path.name} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}: there are {sorted(anchors(there))}"


def test_modules_that_documents_name_exist() -> None:
    for path in DOCUMENTS:
        if path.parent.name == "decisions":
            continue  # they tell what was true when they were written
        for file in re.findall(
            r"`((?:perse|perse_ray|tests|benchmarks|jobs|client)/[\w/]+\.(?:py|js|html))", path.read_text()
        ):
            assert (ROOT / file).exists(), f"{path.name} names {file}"


def test_the_picture_of_the_house_has_every_room() -> None:
    drawn = (ROOT / "docs" / "pictures" / "architecture.svg").read_text()
    for package in ("perse", "perse_ray"):
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert not {room for room in rooms if f">{room}<" not in drawn}

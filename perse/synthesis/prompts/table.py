"""Table of a user's own prompts, from a CSV file."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from pathlib import Path

from perse.attributes import CATEGORIES, Category
from perse.data import AttributePrompt
from perse.errors import PromptError
from perse.synthesis.prompts.sentences import sentence
from perse.synthesis.prompts.stream import stable_hash
from perse.synthesis.prompts.vocabulary import as_attributes, complete, vocabulary

_MAX_BYTES = 16 * 2**20
_MAX_LENGTH = 2000
"""Characters of a cell; no text encoder reads as many."""
_SEED = re.compile(r"[0-9]{1,19}")
_UNREADABLE = ("Cc", "Cs", "Co", "Cn")
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Unicode's directional controls: what is shown is not what is read."""
_RESERVED = ("category", "text", "seed")


def read_prompts_csv(path: Path) -> list[AttributePrompt]:
    """Prompts from a UTF-8 CSV file with a header line, one prompt a row.

    Columns: `category` (required), `text` and `seed` (optional), and any slots of the vocabulary, empty where a row's
    category has no such slot. Slots that a row leaves out take their usual value; a row with a text and no slot at
    all is free text, for editors that read text. Without a `seed`, one is derived from the row's content and number.

    Raises:
        PromptError: naming file, line and column, what came and what is allowed.
    """
    rows = _rows(path)
    header = _header(path, rows)
    numbers: Counter[Category] = Counter()
    prompts = []
    for line, cells in rows[1:]:
        if any(cell.strip() for cell in cells):
            prompt = _prompt(f"{path}, line {line}", header, cells, numbers)
            numbers[prompt.category] += 1
            prompts.append(prompt)
    if not prompts:
        raise PromptError(f"{path} has a header but no prompts; add a row such as '{CATEGORIES[5].value},…'")
    return prompts


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise PromptError(f"{path} is larger than {_MAX_BYTES >> 20} MiB; expected a CSV file of prompts")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            return [(reader.line_num, cells) for cells in reader]
    except OSError as error:
        raise PromptError(f"cannot read the prompt file {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PromptError(f"{path} is not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise PromptError(f"{path} is not a valid CSV file: {error}") from error


def _header(path: Path, rows: list[tuple[int, list[str]]]) -> list[str]:
    if not rows:
        raise PromptError(f"{path} is empty; expected a header line with the column 'category'")
    header = [name.strip().lower() for name in rows[0][1]]
    slots = sorted({slot for category in CATEGORIES for slot in vocabulary(category)})
    if "category" not in header:
        raise PromptError(f"{path}, line 1: no column 'category'; columns found: {', '.join(map(_brief, header[:20]))}")
    for name, times in Counter(header).items():
        if times > 1:
            raise PromptError(f"{path}, line 1: column {_brief(name)} appears {times} times; keep one of them")
        if name not in _RESERVED and name not in slots:
            allowed = ", ".join((*_RESERVED, *slots))
            raise PromptError(f"{path}, line 1: unknown column {_brief(name)}; allowed: {allowed}")
    return header


def _prompt(where: str, header: list[str], cells: list[str], numbers: Counter[Category]) -> AttributePrompt:
    if len(cells) > len(header):
        raise PromptError(f"{where}: {len(cells)} cells for {len(header)} columns; quote cells that contain commas")
    row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
    for name, cell in row.items():
        _check_characters(f"{where}, column '{name}'", cell)
    category = _category(where, row.get("category", ""))
    text = row.get("text", "")
    slots = {name: value.lower() for name, value in row.items() if value and name not in _RESERVED}
    _check_slots(where, category, slots)
    if not slots and not text:
        raise PromptError(
            f"{where}: neither a slot nor a text; fill in one of: {', '.join((*vocabulary(category), 'text'))}"
        )
    try:
        combination = complete(category, slots) if slots else {}
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from error
    number = numbers[category]
    return AttributePrompt(
        key=f"{category.value}-csv-{number:04d}",
        category=category,
        attributes=as_attributes(combination),
        text=text or sentence(category, combination),
        seed=_seed(where, row.get("seed", ""), stable_hash("csv", category.value, number, text, sorted(slots.items()))),
    )


def _category(where: str, name: str) -> Category:
    try:
        return Category(name.lower())
    except ValueError:
        allowed = ", ".join(category.value for category in CATEGORIES)
        raise PromptError(f"{where}, column 'category': {_brief(name)} is none of: {allowed}") from None


def _check_slots(where: str, category: Category, slots: dict[str, str]) -> None:
    known = vocabulary(category)
    for name, value in slots.items():
        if name not in known:
            raise PromptError(
                f"{where}, column '{name}': {category.value} has no such slot, leave the cell empty; "
                f"{category.value} has: {', '.join(known)}"
            )
        if value not in known[name]:
            raise PromptError(f"{where}, column '{name}': {_brief(value)} is none of: {', '.join(known[name])}")


def _seed(where: str, cell: str, default: int) -> int:
    if not cell:
        return default
    if _SEED.fullmatch(cell) is None or int(cell) >= 2**63:
        raise PromptError(f"{where}, column 'seed': {_brief(cell)} is not a whole number from 0 to 2^63 - 1")
    return int(cell)


def _check_characters(where: str, cell: str) -> None:
    """Text that a person can read: what cannot be seen, or turns what follows around, is in no prompt on purpose."""
    if len(cell) > _MAX_LENGTH:
        raise PromptError(f"{where}: {len(cell)} characters; at most {_MAX_LENGTH} are read")
    for character in cell:
        if character not in "\n\r\t" and (unicodedata.category(character) in _UNREADABLE or character in _TURNING):
            raise PromptError(f"{where}: the character U+{ord(character):04X} cannot be read; remove it")


def _brief(cell: str) -> str:
    """A stranger's cell, short and on one line."""
    return ascii(cell) if len(cell) <= 60 else f"{cell[:50]!a}…"

"""User study as the paper's (P Fig. 21): a page that asks which of two pictures is better, and what its votes say.

The page is one file without a server: pairs in random order, sides at random, answers by tap or arrow keys, and a file
of votes to send back. It fetches nothing and sends nothing.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from perse.data.keys import content_key
from perse.data.strangers_json import value_of_json
from perse.errors import InputError

TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
"""Endings of pictures, and how a page names their kind."""

MOST_BYTES = 100 * 1024 * 1024
"""Of all pictures: what a page on a telephone can hold."""

_GAP = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Study:
    """Questions of a study.

    Attributes:
        title: of the page; questions: of every pair.
        a, b: names of the two sides, which the page does not show.
        pairs: by item, the two pictures' files.
    """

    title: str
    questions: tuple[str, ...]
    a: str
    b: str
    pairs: Mapping[str, tuple[Path, Path]]

    @property
    def key(self) -> str:
        """Key that changes with everything that a voter sees."""
        pictures = {item: [content_key(file.read_bytes().hex()) for file in pair] for item, pair in self.pairs.items()}
        return content_key("study", self.title, self.questions, self.a, self.b, pictures)[:16]


@dataclass(frozen=True)
class Share:
    """Share of the voters who prefer a side, for one question.

    Attributes:
        question: asked.
        of_a: share of the votes for side a, in [0, 1]; low, high: its 95 % interval (Wilson 1927).
        votes, voters: how many.
    """

    question: str
    of_a: float
    low: float
    high: float
    votes: int
    voters: int


def paired(a: Path, b: Path) -> dict[str, tuple[Path, Path]]:
    """Pictures of two folders that have the same name, by that name.

    Raises:
        InputError: a folder is missing, a picture has no partner, or there is none.
    """
    found = []
    for folder in (a, b):
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}; give two folders with pictures of the same names")
        found.append({path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in TYPES})
    alone = sorted(found[0].keys() ^ found[1].keys())
    if alone:
        raise InputError(f"{alone[0]!r} is in one of {a} and {b} only; every picture needs a partner of the same name")
    if not found[0]:
        raise InputError(f"there is no picture in {a}; expected files that end in {', '.join(TYPES)}")
    return {name: (path, found[1][name]) for name, path in found[0].items()}


def study_page(study: Study) -> bytes:
    """The page.

    Raises:
        InputError: the pictures are too large for a page.
    """
    size = sum(file.stat().st_size for pair in study.pairs.values() for file in pair)
    if size > MOST_BYTES:
        raise InputError(
            f"the pictures have {size / 2**20:.0f} MiB, a page should hold {MOST_BYTES / 2**20:.0f}: take fewer or "
            "smaller ones"
        )
    content = {
        "key": study.key,
        "questions": list(study.questions),
        "a": study.a,
        "b": study.b,
        "pairs": [{"item": item, "a": _embedded(a), "b": _embedded(b)} for item, (a, b) in study.pairs.items()],
    }
    filling = {
        "title": html.escape(study.title),
        "study": json.dumps(content).replace("<", "\\u003c"),  # nothing in it can end the script
    }
    page = resources.files("perse.report").joinpath("study.html").read_text(encoding="utf-8")
    return _GAP.sub(lambda gap: filling[gap[1]], page).encode()


def _embedded(file: Path) -> str:
    return f"data:{TYPES[file.suffix.lower()]};base64,{base64.b64encode(file.read_bytes()).decode()}"


def tally(files: Sequence[Path]) -> tuple[tuple[str, str], list[Share]]:
    """Names of the two sides, and a share for each question. A voter who sent twice counts once, with the longer file.

    Raises:
        InputError: a file holds no votes, or those of another study.
    """
    by_voter: dict[str, list[dict[str, str]]] = {}
    studies: dict[str, Path] = {}
    for file in files:
        content = _votes(file)
        studies.setdefault(content["study"], file)
        if len(studies) > 1:
            one, other = list(studies.values())[:2]
            raise InputError(f"{one} and {other} answer different studies; tally one at a time")
        if len(content["votes"]) >= len(by_voter.get(content["voter"], [])):
            by_voter[content["voter"]] = content["votes"]
    votes = [vote for one in by_voter.values() for vote in one]
    sides = sorted({vote["chosen"] for vote in votes})
    if not votes or len(sides) > 2:
        raise InputError(f"the files hold {len(votes)} votes for {len(sides)} sides; expected votes for two sides")
    a, b = (*sides, "the other")[:2]
    shares = []
    for question in dict.fromkeys(vote["question"] for vote in votes):
        chosen = [vote["chosen"] == a for vote in votes if vote["question"] == question]
        voters = sum(any(vote["question"] == question for vote in one) for one in by_voter.values())
        low, high = wilson(sum(chosen), len(chosen))
        shares.append(Share(question, sum(chosen) / len(chosen), low, high, len(chosen), voters))
    return (a, b), shares


def _votes(file: Path) -> Any:
    try:
        content = value_of_json(file.read_bytes())
        assert content["format"] == "perse-votes" and isinstance(content["voter"], str)
        assert isinstance(content["study"], str)
        assert all(isinstance(vote[name], str) for vote in content["votes"] for name in ("question", "item", "chosen"))
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise InputError(f"{file} holds no votes; expected a file that the study's page saved") from error
    return content


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Interval of 95 % of a share (Wilson 1927)."""
    z, share = 1.959964, successes / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half

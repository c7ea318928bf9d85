"""Acceptance of edits by category: how many came off, and why the others did not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from perse.attributes import CATEGORIES
from perse_ray.synthesis.synthesize import REFERENCE, Synthesis

_NUMBER = re.compile(r"(?<![A-Za-z\d])[-+]?\d+(?:[.,]\d+)*(?:\s?%)?")
"""Numbers of their own; "bfloat16" is a word."""

_SHOWN_REASONS, _SHOWN_LETTERS = 3, 100
"""Of the summary's line."""


def acceptance(found: Synthesis) -> dict[str, dict[str, Any]]:
    """Counts for each category that was asked for: accepted, rejected, quarantined, and the reasons with their counts.

    Reasons are counted without their numbers: "another person: descriptor distance 0.71" and "… 0.65" are one reason.
    An edit with several reasons counts for each.
    """
    accepted = Counter(subject.prompt.category.value for subject in found.subjects)
    rejected = Counter(one.prompt.category.value for one in found.rejected)
    quarantined = Counter(_category_of(row.name) for row in found.quarantined if row.name != REFERENCE)
    reasons: dict[str, Counter[str]] = {}
    for category, reason in _reasons(found):
        reasons.setdefault(category, Counter())[_NUMBER.sub("…", reason)] += 1
    asked = [c.value for c in CATEGORIES if accepted[c.value] + rejected[c.value] + quarantined[c.value]]
    return {
        category: {
            "accepted": accepted[category],
            "rejected": rejected[category],
            "quarantined": quarantined[category],
            "reasons": dict(reasons.get(category, Counter()).most_common()),
        }
        for category in asked
    }


def outcome_line(rates: Mapping[str, Mapping[str, Any]]) -> str:
    """Last line of a build: what became of all the prompts that were tried."""
    done, quarantined, rejected = (
        sum(int(one[name]) for one in rates.values()) for name in ("accepted", "quarantined", "rejected")
    )
    return f"{done} done, {quarantined} quarantined, {rejected} rejected"


def summarise(rates: Mapping[str, Mapping[str, Any]]) -> str:
    """Line that tells how many edits did not come off, and the most frequent reasons; empty when all did."""
    rejected = sum(int(one["rejected"]) for one in rates.values())
    quarantined = sum(int(one["quarantined"]) for one in rates.values())
    if not rejected + quarantined:
        return ""
    reasons: Counter[str] = Counter()
    for one in rates.values():
        reasons.update(one["reasons"])
    why = [f"{count} × {_short(reason)}" for reason, count in reasons.most_common(_SHOWN_REASONS)]
    more = len(reasons) - len(why)
    why += [f"{more} more reasons in report/metrics.json"] if more > 0 else []
    return f"{rejected} edits rejected, {quarantined} in quarantine: {'; '.join(why)}"


def _short(reason: str) -> str:
    return reason if len(reason) <= _SHOWN_LETTERS else reason[: _SHOWN_LETTERS - 1].rstrip() + "…"


def _reasons(found: Synthesis) -> Iterator[tuple[str, str]]:
    for one in found.rejected:
        for reason in one.reasons:
            yield one.prompt.category.value, reason
    for row in found.quarantined:
        yield _category_of(row.name), f"{row.stage}: {row.error}"


def _category_of(name: str) -> str:
    """The category in a prompt's name ("hat-0003"); prompts of one's own may be called otherwise."""
    word = name.partition("-")[0]
    return word if word in {category.value for category in CATEGORIES} else ""

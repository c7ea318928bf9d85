"""Verdict of the screen about an edit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Decision whether an edit may be trained on.

    Attributes:
        accepted: whether it may become a subject.
        reasons: why not; empty when accepted.
        scores: sorted (name, value) pairs, for the report.
    """

    accepted: bool
    reasons: tuple[str, ...]
    scores: tuple[tuple[str, float], ...]

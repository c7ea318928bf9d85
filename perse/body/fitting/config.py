"""Configuration of fitting a person."""

from __future__ import annotations

from dataclasses import dataclass, field

from perse.body.fitting.fit import BodyFitConfig


@dataclass(frozen=True, kw_only=True)
class PersonFitConfig:
    """Configuration of fitting a person: everything that decides how."""

    fit: BodyFitConfig = field(default_factory=BodyFitConfig)
    """Weights of the pose fit."""
    longest_edge_m: float = 0.009
    """Of the dressed surface; its vertices are the avatar's Gaussians."""
    head_edges: float = 0.5
    """Longest edges on the head, which is looked at most, relative to the others."""
    hair_edges: float = 0.42
    """The same of hair: a lock is a centimetre wide."""
    mouth_edges: float = 0.3
    """The same within the mouth: a smile is open by a centimetre, and points behind the lips are not photographed."""
    border_edges: float = 0.28
    """The same where one cover ends and another begins."""

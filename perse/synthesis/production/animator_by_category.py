"""Several animators in one run: hats by portrait-Champ, noses by LivePortrait, as the recipe says (P Table 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perse.attributes import Category
from perse.data import EditedPortrait, PortraitClip, TrackedPortrait
from perse.errors import RecipeError
from perse.head import HeadModel
from perse.synthesis.seams import AnimatorConfig, PortraitAnimator, Shot

VOLUMINOUS = (Category.BEARD, Category.EARRINGS, Category.HAIR, Category.HAT, Category.HEADPHONES)
"""What the paper films with portrait-Champ, since LivePortrait stretches it; the rest is its own (P Table 4)."""


@dataclass(frozen=True, kw_only=True)
class AnimatorByCategoryConfig:
    """Animators by category."""

    default: AnimatorConfig
    """Films the reference, and the edits of every category that is not named below."""
    by_category: tuple[tuple[Category, AnimatorConfig], ...] = ()
    """Exceptions. A configuration that appears several times is built once."""

    def __post_init__(self) -> None:
        named = [category for category, _ in self.by_category]
        if len(set(named)) < len(named):
            raise RecipeError(f"each category can have one animator, got {', '.join(c.value for c in named)}")

    def of(self, category: Category | None) -> AnimatorConfig:
        """Who films edits of a category; None is the reference."""
        return dict(self.by_category).get(category, self.default) if category is not None else self.default

    def build(self, head: HeadModel) -> PortraitAnimator:
        """
        Raises:
            MissingWeightsError: one of the animators lacks weights.
        """
        return AnimatorByCategory(self, head)


class AnimatorByCategory:
    """See `AnimatorByCategoryConfig`."""

    def __init__(self, config: AnimatorByCategoryConfig, head: HeadModel) -> None:
        built: list[tuple[Any, PortraitAnimator]] = []
        self._animators: dict[Category | None, PortraitAnimator] = {}
        for category in (None, *Category):
            one = config.of(category)
            known = next((animator for other, animator in built if other == one), None)
            if known is None:
                known = one.build(head)
                built.append((one, known))
            self._animators[category] = known

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        """By the animator of the edit's category; see `PortraitAnimator.animate`."""
        category = edited.prompt.category if edited is not None else None
        return self._animators[category].animate(portrait, edited, shot)

"""Animators by category in one run: hats by portrait-Champ, noses by LivePortrait, as the recipe says (P Table 4).

An animator whose weights are lost or damaged after the run's own check costs the edits of its categories, one line each
in quarantine, and nobody else's: the files' digests are in the clips' keys, so repaired ones are tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perse.attributes import Category
from perse.data import EditedPortrait, PortraitClip, TrackedPortrait
from perse.errors import GenerationError, MissingWeightsError, RecipeError
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
        """Animator of edits of a category; None is the reference."""
        return dict(self.by_category).get(category, self.default) if category is not None else self.default

    def build(self, head: HeadModel) -> PortraitAnimator:
        """Animator that asks the one of each category.

        Raises:
            MissingWeightsError: the default animator lacks weights, without which there is no reference.
        """
        return AnimatorByCategory(self, head)


class AnimatorByCategory:
    """Animator that asks the one of the edit's category; see `AnimatorByCategoryConfig`."""

    def __init__(self, config: AnimatorByCategoryConfig, head: HeadModel) -> None:
        self._default = config.default.build(head)
        built: list[tuple[Any, PortraitAnimator | str]] = [(config.default, self._default)]
        self._animators: dict[Category, PortraitAnimator | str] = {}
        for category in Category:
            one = config.of(category)
            known = next((animator for other, animator in built if other == one), None)
            if known is None:
                known = _built(one, head)
                built.append((one, known))
            self._animators[category] = known

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        """Clip by the animator of the edit's category; see `PortraitAnimator.animate`.

        Raises:
            GenerationError: that one has no weights, or what it raises itself.
        """
        animator = self._default if edited is None else self._animators[edited.prompt.category]
        if isinstance(animator, str):
            raise GenerationError(animator)
        return animator.animate(portrait, edited, shot)


def _built(config: AnimatorConfig, head: HeadModel) -> PortraitAnimator | str:
    """An animator, or why there is none."""
    try:
        return config.build(head)
    except MissingWeightsError as error:
        return f"its animator cannot be built: {error}"

"""Editors by category in one run: hair by FLUX, noses by the procedural one, as the recipe says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perse.attributes import Category
from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait
from perse.errors import PerseError, RecipeError
from perse.head import HeadModel
from perse.synthesis.seams import BatchEditor, EditorConfig, PortraitEditor


@dataclass(frozen=True, kw_only=True)
class EditorByCategoryConfig:
    """Editors by category."""

    default: EditorConfig
    """Edits every category that is not named below."""
    by_category: tuple[tuple[Category, EditorConfig], ...] = ()
    """Exceptions. A configuration that appears several times is built once."""

    def __post_init__(self) -> None:
        named = [category for category, _ in self.by_category]
        if len(set(named)) < len(named):
            raise RecipeError(f"each category can have one editor, got {', '.join(c.value for c in named)}")

    def of(self, category: Category) -> EditorConfig:
        """Editor of a category."""
        return dict(self.by_category).get(category, self.default)

    def build(self, head: HeadModel) -> PortraitEditor:
        """Editor that asks the one of each category.

        Raises:
            MissingWeightsError: one of the editors lacks weights.
        """
        return EditorByCategory(self, head)


class EditorByCategory:
    """Editor that asks the one of the prompt's category; see `EditorByCategoryConfig`."""

    def __init__(self, config: EditorByCategoryConfig, head: HeadModel) -> None:
        built: list[tuple[Any, PortraitEditor]] = []
        self._editors: dict[Category, PortraitEditor] = {}
        for category in Category:
            one = config.of(category)
            known = next((editor for other, editor in built if other == one), None)
            if known is None:
                known = one.build(head)
                built.append((one, known))
            self._editors[category] = known

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        """Edit by the editor of the prompt's category; see `PortraitEditor.edit`."""
        return self._editors[prompt.category].edit(portrait, prompt)

    def edit_many(
        self, portrait: TrackedPortrait, prompts: Sequence[AttributePrompt]
    ) -> list[EditedPortrait | PerseError]:
        """Edits of several prompts; those of one editor go to it together."""
        outcomes: dict[int, EditedPortrait | PerseError] = {}
        for editor in {id(one): one for one in self._editors.values()}.values():
            rows = [i for i, prompt in enumerate(prompts) if self._editors[prompt.category] is editor]
            found = edit_many(editor, portrait, [prompts[i] for i in rows]) if rows else []
            outcomes.update(zip(rows, found, strict=True))
        return [outcomes[i] for i in range(len(prompts))]


def edit_many(
    editor: PortraitEditor, portrait: TrackedPortrait, prompts: Sequence[AttributePrompt]
) -> list[EditedPortrait | PerseError]:
    """Edits by any editor: together by a `BatchEditor`, one by one otherwise.

    Only expected errors become outcomes; anything else is raised.
    """
    if isinstance(editor, BatchEditor):
        return editor.edit_many(portrait, prompts)
    return [_outcome(editor, portrait, prompt) for prompt in prompts]


def _outcome(editor: PortraitEditor, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait | PerseError:
    try:
        return editor.edit(portrait, prompt)
    except PerseError as error:
        return error

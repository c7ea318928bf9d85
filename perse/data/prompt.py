"""A prompt: one attribute edit, as a structured record and as a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from perse.attributes import Category


@dataclass(frozen=True)
class AttributePrompt:
    """Prompt of one edit: its category, its words and a seed.

    Attributes:
        key: stable identifier inside one stream, such as "hat-0003".
        category: what is edited.
        attributes: sorted (slot, value) pairs such as (("color", "red"), ("shape", "beanie")); the procedural editor
            reads these. Empty for a free-text prompt of the user's own.
        text: the sentence, which a diffusion editor and the text encoder read.
        seed: drives everything random about this edit.
    """

    key: str
    category: Category
    attributes: tuple[tuple[str, str], ...]
    text: str
    seed: int

    def get(self, slot: str, default: str = "") -> str:
        """Value of a slot, or the default where the prompt does not mention it."""
        return dict(self.attributes).get(slot, default)

"""Procedural editor: one structured prompt in, one edited portrait out (the paper's Eq. 6–9 without weights)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perse.attributes import Category
from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait
from perse.data.code_version import code_version
from perse.data.keys import edit_key
from perse.errors import PromptError
from perse.head import HeadModel
from perse.synthesis.procedural.editing.beard import paint_beard
from perse.synthesis.procedural.editing.clothes import paint_clothes
from perse.synthesis.procedural.editing.eyebrows import paint_eyebrows
from perse.synthesis.procedural.editing.mouth import paint_mouth
from perse.synthesis.procedural.editing.nose import paint_nose
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.synthesis.prompts.vocabulary import as_attributes, complete, vocabulary

_PAINTERS = {
    Category.BEARD: paint_beard,
    Category.CLOTHES: paint_clothes,
    Category.EYEBROWS: paint_eyebrows,
    Category.MOUTH: paint_mouth,
    Category.NOSE: paint_nose,
}
"""Categories that are painted; the others are worn or grown in 3D."""


@dataclass(frozen=True, kw_only=True)
class ProceduralEditorConfig:
    """Configuration of the procedural editor."""

    complete_prompts: bool = True
    """Fill slots that a prompt leaves out with their usual values; otherwise such a prompt is refused."""

    def build(self, head: HeadModel) -> ProceduralEditor:
        return ProceduralEditor(self, head)


class ProceduralEditor:
    """Editor by painting and by 3D attachments. Deterministic in (portrait, prompt); see `PortraitEditor`."""

    def __init__(self, config: ProceduralEditorConfig, head_model: HeadModel) -> None:
        self._config = config
        self._head_model = head_model

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        """The portrait with the prompt's attribute.

        Raises:
            PromptError: free text without slots, or a slot or value that is not in the vocabulary.
        """
        understood = replace(prompt, attributes=self._understand(prompt))
        edit = self._apply(portrait, understood)
        return EditedPortrait(
            key=edit_key(portrait.key, prompt, self._config, code_version(__name__)),
            prompt=prompt,
            image=edit.image,
            masks=edit.masks,
            edit_mask=edit.edit_mask,
            attachments=edit.attachments,
            underlay=edit.underlay,
            provenance=_provenance(prompt),
        )

    def _understand(self, prompt: AttributePrompt) -> tuple[tuple[str, str], ...]:
        known = vocabulary(prompt.category)
        if not prompt.attributes:
            listed = "; ".join(f"{slot}: {', '.join(values)}" for slot, values in known.items())
            raise PromptError(
                f"prompt {prompt.key} has no structured attributes and the procedural editor does not read free text; "
                f"{prompt.category.value} knows {listed}"
            )
        try:
            full = complete(prompt.category, dict(prompt.attributes))
        except PromptError as error:
            raise PromptError(f"prompt {prompt.key}: {error}") from error
        missing = full.keys() - dict(prompt.attributes).keys()
        if missing and not self._config.complete_prompts:
            raise PromptError(f"prompt {prompt.key} leaves out {', '.join(sorted(missing))}; name all slots")
        return as_attributes(full)

    def _apply(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> PaintedEdit:
        if prompt.category in _PAINTERS:
            return _PAINTERS[prompt.category](portrait, prompt)
        # The 3D part pulls in the mesh renderer; whoever only paints need not load it.
        if prompt.category is Category.HAIR:
            from perse.synthesis.procedural.editing.hair import style_hair

            return style_hair(portrait, prompt, self._head_model)
        from perse.synthesis.procedural.editing.worn import wear_earrings, wear_hat, wear_headphones

        wear = {
            Category.HAT: wear_hat,
            Category.HEADPHONES: wear_headphones,
            Category.EARRINGS: wear_earrings,
        }[prompt.category]
        return wear(portrait, prompt, self._head_model)


def _provenance(prompt: AttributePrompt) -> tuple[tuple[str, str], ...]:
    return (
        ("backend", "procedural"),
        ("code", code_version(__name__)),
        ("licence", "no third-party weights"),
        ("seed", str(prompt.seed)),
        ("weights", "none"),
    )

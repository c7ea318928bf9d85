"""Building of hair on a head: from a prompt to a row of `HAIR_STYLES`, and that grown layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from perse.data import Attachment, AttributePrompt
from perse.errors import PromptError
from perse.synthesis.procedural.attachments.hair_colors import hair_color
from perse.synthesis.procedural.attachments.hair_layers import Growth
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_styles import HAIR_STYLES
from perse.synthesis.procedural.attachments.skull import Skull

_TEXTURES = ("straight", "wavy", "curly")
_PARTINGS_DEG = {"middle": 4.0, "side": 27.0}


def build_hair(skull: Skull, prompt: AttributePrompt) -> tuple[Attachment, ...]:
    """Hair as a prompt describes it, on a head whose own hair is gone.

    Args:
        skull: the fitted head.
        prompt: of category hair, with a `style` other than "natural"; slots that it leaves out take their usual value.

    Returns:
        Attachments in the head's rest space, inner layers first; none for a bald head. The same arguments give the
        same arrays, bit for bit.

    Raises:
        PromptError: a slot's value is unknown.
    """
    name = prompt.get("style", "loose")
    style = HAIR_STYLES[_known(prompt, "style", name, HAIR_STYLES)]
    texture = _known(prompt, "texture", prompt.get("texture", "straight"), _TEXTURES)
    usual = next(iter(style.lengths))
    length = _known(prompt, "length", prompt.get("length", usual), style.lengths) if usual else usual
    # Which side a parting is on is left to chance: the prompt does not say.
    side = 1 if prompt.seed % 2 else -1
    growth = Growth(
        scalp=Scalp.of(skull),
        color=hair_color(prompt.get("color", "brown")),
        strands=style.strands.get(texture, style.strands["straight"]),
        parting=side * _PARTINGS_DEG.get(prompt.get("parting"), _PARTINGS_DEG["middle"]),
        rng=np.random.default_rng(prompt.seed),
    )
    return tuple(made for layer in style.lengths[length] for made in growth.grown(layer))


def _known(prompt: AttributePrompt, slot: str, value: str, known: Iterable[str]) -> str:
    if value not in known:
        raise PromptError(f"{prompt.key}: unknown hair {slot} {value!r}: choose one of {', '.join(known)}")
    return value

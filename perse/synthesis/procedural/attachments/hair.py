"""Build hair for a head: from a prompt to shells, locks and a painted scalp.

Loose hair is three nested shells per side, thinner outwards, with single locks over them; hair on the skull (cropped,
combed back, afro) is a stack of caps. Underneath lies a scalp in the hair's colour, because no shell is quite dense.
"""

from __future__ import annotations

from collections.abc import Callable

from perse.data import Attachment, AttributePrompt
from perse.synthesis.procedural.attachments.hair_afro import afro
from perse.synthesis.procedural.attachments.hair_loose import loose_hair
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_short import buzz_cut, cropped_hair
from perse.synthesis.procedural.attachments.hair_styles import HairRequest, hair_request
from perse.synthesis.procedural.attachments.hair_updo import bun, ponytail
from perse.synthesis.procedural.attachments.skull import Skull

_BUILDERS: dict[str, Callable[[Scalp, HairRequest], list[Attachment]]] = {
    "loose": loose_hair,
    "bob": loose_hair,
    "fringe": loose_hair,
    "afro": afro,
    "ponytail": ponytail,
    "bun": bun,
    "cropped": cropped_hair,
    "buzz": buzz_cut,
}


def build_hair(skull: Skull, prompt: AttributePrompt) -> tuple[Attachment, ...]:
    """Hair as a prompt describes it, on a head whose own hair is gone.

    Args:
        skull: the fitted head.
        prompt: of category hair, with a `style` other than "natural"; see `HairRequest`.

    Returns:
        Attachments in the head's rest space, inner layers first; none for a bald head. The same arguments give the
        same arrays, bit for bit.

    Raises:
        PromptError: a slot's value is unknown.
    """
    request = hair_request(prompt)
    if request.style == "bald":
        return ()
    return tuple(_BUILDERS[request.style](Scalp.of(skull), request))

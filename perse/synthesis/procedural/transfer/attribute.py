"""The person with an attribute of a stranger's photograph: an `EditedPortrait` like any other (P A.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from perse.attributes import Category, Part
from perse.curves import smoothstep
from perse.data import AttributePrompt, EditedPortrait, PartMasks, TrackedPortrait
from perse.data.code_version import code_version
from perse.data.keys import content_key, edit_key
from perse.data.presence import area_share, least_share
from perse.errors import InputError
from perse.head import HeadModel
from perse.shapes import Colors, Field
from perse.synthesis.compositing import put_part
from perse.synthesis.procedural.animator import ProceduralAnimator
from perse.synthesis.procedural.animator.fill import push_pull
from perse.synthesis.procedural.editing.canvas import as_field
from perse.synthesis.procedural.transfer.making_room import ON_SKIN, make_room
from perse.synthesis.procedural.transfer.repose import repose

TRANSFERABLE: dict[Category, Part] = {
    Category.BEARD: Part.BEARD,
    Category.CLOTHES: Part.CLOTHES,
    Category.EARRINGS: Part.EARRINGS,
    Category.EYEBROWS: Part.BROWS,
    Category.HAIR: Part.HAIR,
    Category.HAT: Part.HEADWEAR,
    Category.HEADPHONES: Part.HEADPHONES,
}
"""What can be taken from a photograph. Nose and mouth are shapes of the person's own head: painting somebody else's
skin on them would change little and look wrong."""

_RIM = (0.5, 0.9)
"""Shares of a pixel between which the part begins to count."""
_LEAST_PIECE = 0.05
"""Pieces of a part count from this share of the largest one's area: pairs of brows and earrings do, crumbs do not."""
_REACH_WIDTHS = 0.02
"""Soft edges reach this far around a piece, face widths."""

_CERTAIN = 0.9
"""Share of a pixel from which its colour is the part's own."""
_DENSE = 0.9
"""Share of a pixel from which hair on skin counts as dense."""
_WISP_WIDTHS = 0.0125
"""Half the width of wisps that are left out, face widths."""
_HAIRY_WIDTHS = 0.006
"""Softness of the edge of hair on skin, face widths."""

LEAST_REPOSED = 0.65
"""Of the area that a part has in the stranger's picture, so much must be left on the person's head."""
LEAST_ON_SKIN = 0.4
"""The same of hair on skin: on a smile a moustache is wide and thin."""


@dataclass(frozen=True)
class AttributeSource:
    """Source of an attribute: a stranger's photograph.

    Attributes:
        stranger: the tracked photograph.
        category: which attribute.
        name: what it will be called, such as "navy cap".
    """

    stranger: TrackedPortrait
    category: Category
    name: str

    def __post_init__(self) -> None:
        if self.category not in TRANSFERABLE:
            raise InputError(
                f"a {self.category.value} is a shape of the face and cannot be taken from a picture; choose one of "
                f"{', '.join(category.value for category in TRANSFERABLE)}"
            )
        part = TRANSFERABLE[self.category]
        if self.category is Category.HAIR and area_share(self.stranger, Part.HEADWEAR) > least_share(Category.HAT):
            raise InputError("the hair in the picture is hidden by a hat; give a picture that shows all of it")
        found = area_share(self.stranger, part)
        if found < least_share(self.category):
            raise InputError(
                f"no {self.category.value} is found in the picture ({found:.1%} of the face's square, at least "
                f"{least_share(self.category):.1%} is needed); give a picture that shows it, or mark it: "
                "perse track --portrait PICTURE --parts parts.png writes what is found, to be corrected"
            )

    @property
    def prompt(self) -> AttributePrompt:
        verb = "with" if self.category in (Category.BEARD, Category.EYEBROWS, Category.HAIR) else "wearing"
        article = "" if self.category in (Category.CLOTHES, Category.EYEBROWS, Category.HAIR) else "a "
        return AttributePrompt(
            key=f"transfer-{self.stranger.key[:8]}",
            category=self.category,
            attributes=(),
            text=f"A person {verb} {article}{self.name}",
            seed=0,
        )


def put_on_attribute(
    person: TrackedPortrait, source: AttributeSource, animator: ProceduralAnimator, head_model: HeadModel
) -> EditedPortrait:
    """The person with the attribute.

    Args:
        animator: lifts the stranger's picture.

    Raises:
        InputError: hardly anything of the part lies on the person's head, as of a veil that hangs beside it.
    """
    part = TRANSFERABLE[source.category]
    stranger = _without_wisps(source.stranger, part) if source.category in ON_SKIN else source.stranger
    drawn = repose(stranger, animator.lift(stranger), person)
    coverage = _firm(drawn.shares[part], person.face_width_px)
    if source.category in ON_SKIN:
        coverage = as_field(cv2.GaussianBlur(coverage, (0, 0), _HAIRY_WIDTHS * person.face_width_px))
    least = LEAST_ON_SKIN if source.category in ON_SKIN else LEAST_REPOSED
    if coverage.sum() < least * float(stranger.masks[part].sum()):
        raise InputError(
            f"the {source.category.value} in the picture cannot be put on the person: most of it does not lie on the "
            "head; give a picture that is seen more from the front"
        )
    below = make_room(person, source.category, coverage, head_model)
    alpha = coverage[..., None]
    rgb = _own_colors(drawn.rgb, drawn.shares[part])
    image = np.round(below.image * (1 - alpha) + rgb * alpha).clip(0, 255).astype(np.uint8)
    edit_mask = np.maximum(below.edit_mask, np.ceil(255 * coverage).astype(np.uint8))
    return EditedPortrait(
        key=edit_key(person.key, source.prompt, source.stranger.key, code_version(__name__)),
        prompt=source.prompt,
        image=np.where((edit_mask > 0)[..., None], image, person.image),
        masks=_with_part(below.masks, part, coverage),
        edit_mask=edit_mask,
        attachments=(),
        underlay=None,
        provenance=(
            ("backend", "procedural attribute transfer"),
            ("code", code_version(__name__)),
            ("licence", "no third-party weights; the rights in the picture are its owner's"),
            ("picture", source.stranger.key),
            ("weights", "none"),
        ),
    )


def _without_wisps(stranger: TrackedPortrait, part: Part) -> TrackedPortrait:
    """The stranger with a part that lies on skin only at its dense core and close around: shadows at its ends pass for
    hair in the picture, and would be drawn out into sticks on a face with another expression."""
    share = stranger.masks[part]
    size = 2 * max(1, round(_WISP_WIDTHS * stranger.face_width_px)) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    core = cv2.morphologyEx((share > _DENSE).astype(np.uint8), cv2.MORPH_OPEN, brush)
    lost = share * (1 - cv2.dilate(core, brush))
    key = content_key("dense", stranger.key, part)
    return replace(stranger, key=key, masks=put_part(stranger.masks, Part.SKIN, as_field(lost > 0), (part,)))


def _own_colors(rgb: Colors, share: Field) -> Colors:
    """The part's colours [h, w, 3], continued to where the stranger's picture shows something else."""
    certain = (share > _CERTAIN).astype(np.float32)
    return np.where(certain[..., None] > 0, rgb, push_pull(rgb, np.maximum(certain, 1e-5)))


def _firm(share: Field, face_width_px: float) -> Field:
    """The part's share [h, w] without its faint rim, whose colours are half of what was behind it in the stranger's
    picture, and without crumbs that hang together with nothing."""
    coverage = smoothstep(share, *_RIM)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((coverage > 0.5).astype(np.uint8))
    if count < 2:
        return coverage
    sizes = stats[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.nonzero(sizes >= _LEAST_PIECE * sizes.max())[0]
    reach = np.ones((2 * max(1, round(_REACH_WIDTHS * face_width_px)) + 1,) * 2, np.uint8)
    return coverage * cv2.dilate(np.isin(pieces, kept).astype(np.uint8), reach)


def _with_part(masks: PartMasks, part: Part, coverage: Field) -> PartMasks:
    """Masks with the part laid over all others; they sum to what they summed to."""
    soft = masks.soft.astype(np.float32) * (1 - coverage)
    soft[part] += 255 * coverage
    rounded = np.round(soft).clip(0, 255).astype(np.uint8)
    person = np.maximum(masks.person, np.round(255 * coverage).astype(np.uint8))
    return PartMasks(rounded, person)

"""Mask logic of Eq. 6–9 as pure functions: the pixels that an edit may change.

::

    I_text     = generate(keypoints(I_input), T)                         Eq. 7   (`mask_portrait`)
    M_text     = parse(I_text)[part of the category]
    M_edit     = M_text                                                  Eq. 6
    I_shortcut = inpaint(I_input, SHORTCUT_PROMPT, M_hair)               Eq. 8   hair and hat only
    M_edit     = M_shortcut ∪ M_text                                     Eq. 9   hair and hat only
    I_edit     = inpaint(I_input or I_shortcut, T, M_edit)               Eq. 6

M_shortcut is the hair that I_shortcut still shows, so that the new hair or hat is not drawn around old stubble.

Masks are float32 [h, w] in [0, 1]; lengths are in face widths, so that they mean the same at any size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from perse.attributes import CATEGORY_PARTS, Category, Part
from perse.curves import smoothstep
from perse.data import PartMasks
from perse.errors import GenerationError
from perse.shapes import ByteMask, Picture, SoftMask

SHORTCUT_PROMPT = "A person with very shortcut hair"
"""P Eq. 8, in the paper's words."""

SHORTCUT_CATEGORIES = (Category.HAIR, Category.HAT)
"""Old hair is taken off before new hair or a hat is put on (P 4.2)."""

_FEATURES = (Part.EYES, Part.BROWS, Part.NOSE, Part.MOUTH)


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Numbers by which a parsed part becomes the region of an edit."""

    dilation: float = 0.06
    """Growth of the part, face widths: an inpainter needs room for shadow and rim."""
    feather: float = 0.03
    """Width of the soft border outside the grown part, face widths."""
    threshold: float = 0.5
    """How much of a pixel must be the part."""
    min_area: float = 0.004
    """A part smaller than this in a mask portrait was not drawn; squared face widths."""
    with_own: tuple[Category, ...] = (Category.BEARD, Category.CLOTHES, Category.EYEBROWS)
    """Categories whose region also covers what the photograph shows of the part, else the old one looks out."""


def part_mask(masks: PartMasks, parts: Iterable[Part]) -> SoftMask:
    """Mask of how much of each pixel belongs to any of the parts."""
    return np.clip(masks.soft[list(parts)].astype(np.float32).sum(0) / 255, 0, 1).astype(np.float32)


def category_mask(masks: PartMasks, category: Category) -> SoftMask:
    """Mask of how much of each pixel shows the category. A hat's own mask is headwear alone, without the hair it
    covers."""
    parts = (Part.HEADWEAR,) if category is Category.HAT else CATEGORY_PARTS[category]
    return part_mask(masks, parts)


def text_mask(text: PartMasks, category: Category, face_width_px: float, config: MaskConfig) -> SoftMask:
    """Hard mask M_text of Eq. 7.

    Raises:
        GenerationError: the mask portrait does not show the part.
    """
    shown = (category_mask(text, category) >= config.threshold).astype(np.float32)
    area = float(shown.sum()) / face_width_px**2
    if area < config.min_area:
        raise GenerationError(
            f"the mask portrait shows no {category.value}: {area:.4f} squared face widths were found, at least "
            f"{config.min_area} are needed; another seed or prompt may show it"
        )
    return shown


def edit_region(
    category: Category,
    portrait: PartMasks,
    text: SoftMask,
    face_width_px: float,
    config: MaskConfig,
    *,
    shortcut: PartMasks | None = None,
) -> SoftMask:
    """Region M_edit of Eq. 6 and 9: what the inpainter repaints, grown and feathered.

    Args:
        portrait: parts of the photograph.
        text: M_text.
        shortcut: parts of I_shortcut; required for hair and hat, meaningless otherwise.
    """
    if (shortcut is not None) != (category in SHORTCUT_CATEGORIES):
        raise ValueError(f"a shortcut picture belongs to hair and hat, and to nothing else; category {category.value}")
    region = text
    if shortcut is not None:
        old = part_mask(shortcut, (Part.HAIR, Part.HEADWEAR))
        region = union(region, (old >= config.threshold).astype(np.float32))
    if category in config.with_own:
        region = union(region, (category_mask(portrait, category) >= config.threshold).astype(np.float32))
    soft = feathered(dilated(region, config.dilation * face_width_px), config.feather * face_width_px)
    # Where the text itself asks for a part nothing is protected: a fringe may fall over a brow.
    return (soft * (1 - np.clip(protected(portrait, category) - region, 0, 1))).astype(np.float32)


def shortcut_region(portrait: PartMasks, face_width_px: float, config: MaskConfig) -> SoftMask:
    """Region M_hair of Eq. 8: hair and headwear of the photograph, grown and feathered, without the face's features."""
    hair = (part_mask(portrait, (Part.HAIR, Part.HEADWEAR)) >= config.threshold).astype(np.float32)
    soft = feathered(dilated(hair, config.dilation * face_width_px), config.feather * face_width_px)
    return (soft * (1 - part_mask(portrait, _FEATURES))).astype(np.float32)


def protected(portrait: PartMasks, category: Category) -> SoftMask:
    """Features that growth and feathering must not reach: eyes, brows, nose and mouth, but for the edited one."""
    own = CATEGORY_PARTS[category]
    return part_mask(portrait, (part for part in _FEATURES if part not in own))


def union(a: SoftMask, b: SoftMask) -> SoftMask:
    """Union a ∪ b of soft masks."""
    return np.maximum(a, b)


def dilated(mask: SoftMask, radius_px: float) -> SoftMask:
    """The mask grown by a disc; radius below half a pixel leaves it."""
    radius = round(radius_px)
    if radius < 1:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, disc), np.float32)


def feathered(mask: SoftMask, width_px: float) -> SoftMask:
    """A border that falls from 1 to 0 within a width outside the mask; inside nothing is lost."""
    if width_px < 0.5 or not (mask > 0.5).any():
        return mask
    distance = cv2.distanceTransform((mask <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return np.maximum(mask, smoothstep(1 - distance / np.float32(width_px)))


def composite(below: Picture, above: Picture, mask: SoftMask) -> tuple[Picture, ByteMask]:
    """The generated picture inside the mask, the photograph outside to the pixel, and the mask in bytes."""
    alpha = np.where(mask < 0.5 / 255, 0, mask).astype(np.float32).clip(0, 1)
    mixed = below + (above.astype(np.float32) - below) * alpha[..., None]
    image = np.round(mixed).clip(0, 255).astype(np.uint8)
    edit_mask = np.ceil(alpha * 255).astype(np.uint8)
    image[edit_mask == 0] = below[edit_mask == 0]
    return image, edit_mask


def merged_masks(portrait: PartMasks, edited: PartMasks, edit_mask: ByteMask) -> PartMasks:
    """The edited picture's parts where it may differ, the photograph's own elsewhere."""
    inside = edit_mask > 0
    soft = np.where(inside[None], edited.soft, portrait.soft)
    return PartMasks(soft, np.where(inside, edited.person, portrait.person))

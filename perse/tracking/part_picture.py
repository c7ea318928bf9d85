"""Part masks as a picture: a palette to see them by, and to correct them with in any paint program."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int16, UInt8
from PIL import Image as Pillow

from perse.attributes import Part
from perse.data import PartMasks, TrackedPortrait
from perse.errors import InputError
from perse.shapes import Picture

PALETTE: dict[Part, tuple[int, int, int]] = {
    Part.BACKGROUND: (0, 0, 0),
    Part.SKIN: (255, 200, 160),
    Part.BROWS: (130, 70, 20),
    Part.EYES: (0, 200, 255),
    Part.NOSE: (255, 140, 90),
    Part.MOUTH: (230, 30, 60),
    Part.EARS: (255, 160, 220),
    Part.NECK: (190, 130, 100),
    Part.HAIR: (90, 60, 200),
    Part.BEARD: (0, 110, 60),
    Part.CLOTHES: (60, 160, 255),
    Part.HEADWEAR: (255, 220, 0),
    Part.HEADPHONES: (150, 255, 0),
    Part.EARRINGS: (255, 0, 255),
}
"""Colours, RGB. Any two differ by at least 45 levels in one channel, so that a blurred brush is still understood."""

_NEAREST = 24.0
"""Largest distance of a painted colour from the palette's, levels of any one channel."""

MAX_SIDE_PX = 4096
"""Larger parts are not opened."""


def draw_parts(masks: PartMasks) -> Picture:
    """The strongest part of every pixel in the palette's colours: [h, w, 3]."""
    colors = np.array([PALETTE[part] for part in Part], np.uint8)
    return colors[masks.labels]


def overlay_parts(image: Picture, masks: PartMasks, strength: float = 0.55) -> Picture:
    """Picture [h, w, 3] tinted by its parts, with a line around each: for the eye."""
    labels = masks.labels
    inside = (labels != Part.BACKGROUND)[..., None]
    tinted = (1 - strength) * image + strength * draw_parts(masks)
    picture = np.where(inside, tinted, 0.6 * image + 0.4 * 255)
    line = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    picture[line] = 20
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def open_parts(path: Path) -> UInt8[np.ndarray, "h w 4"]:
    """A painted PNG from outside: [h, w, 4] RGBA, not yet looked at.

    Raises:
        InputError: missing, not a PNG, damaged or huge.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise InputError(f"the parts {path} cannot be read; give a PNG") from None
    return parts_of_bytes(content, name=f"the parts {path}")


def parts_of_bytes(content: bytes, *, name: str = "the parts") -> UInt8[np.ndarray, "h w 4"]:
    """`open_parts` for bytes that arrived some other way; `name` is used in messages."""
    try:
        with Pillow.open(io.BytesIO(content), formats=("PNG",)) as picture:
            if max(picture.size) > MAX_SIDE_PX:
                raise InputError(f"{name} are larger than {MAX_SIDE_PX} px; give a PNG of the crop's size")
            return np.array(picture.convert("RGBA"))
    except (OSError, SyntaxError, ValueError, EOFError, Pillow.DecompressionBombError):
        raise InputError(f"{name} are not a PNG that can be read; save them as PNG") from None


def corrected(portrait: TrackedPortrait, picture: UInt8[np.ndarray, "a b c"]) -> TrackedPortrait:
    """Portrait with the parts that were painted, and a key of its own.

    Pixels that are painted as what they were keep their soft edges.

    Args:
        picture: see `read_parts`.

    Raises:
        InputError: see `read_parts`.
    """
    masks = portrait.masks
    painted = read_parts(picture, masks.person.shape)  # type: ignore[arg-type]
    changed = (painted >= 0) & (painted != masks.labels)
    if not changed.any():
        return portrait
    soft, person = masks.soft.copy(), masks.person.copy()
    person[changed] = np.where(painted == Part.BACKGROUND, 0, np.where(person > 127, person, 255))[changed]
    soft[:, changed] = 0
    rows, columns = np.nonzero(changed)
    soft[painted[changed], rows, columns] = np.where(painted[changed] == Part.BACKGROUND, 255, person[changed])
    rest = (painted != Part.BACKGROUND) & changed
    soft[Part.BACKGROUND][rest] = 255 - person[rest]
    digest = hashlib.sha256(portrait.key.encode() + painted.tobytes()).hexdigest()[:32]
    return replace(portrait, key=digest, masks=PartMasks(soft, person))


def read_parts(picture: UInt8[np.ndarray, "a b c"], shape: tuple[int, int]) -> Int16[np.ndarray, "h w"]:
    """Parts painted in the palette's colours: [h, w], values of `Part`, −1 where nothing is painted.

    Args:
        picture: [h, w, 3] or, with transparency where nothing is painted, [h, w, 4].
        shape: height and width that it must have.

    Raises:
        InputError: another size, or colours that are not the palette's.
    """
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or picture.shape[:2] != shape:
        size = " x ".join(str(n) for n in picture.shape[1::-1])
        raise InputError(
            f"the parts must be a colour picture of {shape[1]} x {shape[0]} px, the crop's size, got {size}; "
            "start from what `perse track --portrait … --parts mask.png` writes"
        )
    painted = picture[..., 3] > 127 if picture.shape[2] == 4 else np.ones(shape, bool)
    colors = np.array([PALETTE[part] for part in Part], np.int16)
    labels = np.full(shape, -1, np.int16)
    best = np.full(shape, 256, np.int16)
    for part, color in zip(Part, colors, strict=True):
        away = np.abs(picture[..., :3].astype(np.int16) - color).max(-1)
        labels = np.where(away < best, np.int16(part), labels)
        best = np.minimum(best, away)
    unknown = painted & (best > _NEAREST)
    if unknown.any():
        row, column = (int(values[0]) for values in np.nonzero(unknown))
        raise InputError(
            f"{int(unknown.sum())} pixels of the parts have no colour of the palette, the first at x = {column}, "
            f"y = {row}: RGB {tuple(int(v) for v in picture[row, column, :3])}; paint without soft edges, in these: "
            + ", ".join(f"{part.name.lower()} {PALETTE[part]}" for part in Part)
        )
    return np.where(painted, labels, np.int16(-1)).astype(np.int16)

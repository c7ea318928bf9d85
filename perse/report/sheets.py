"""Contact sheets: grids of pictures with captions, made to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from perse.shapes import ByteMask, Picture

_INK, _PAPER = (34, 34, 34), (255, 255, 255)
_CAPTION_PX = 15
_GAP_PX = 6


@dataclass(frozen=True)
class Tile:
    """Picture of a sheet.

    Attributes:
        image: [h, w, 3] uint8 RGB.
        caption: a line below it, cut to its width; may be empty.
    """

    image: Picture
    caption: str = ""


def contact_sheet(
    tiles: Sequence[Tile], *, columns: int, tile_px: int = 256, row_titles: Sequence[str] = ()
) -> Picture:
    """Sheet of pictures, row by row.

    Args:
        tiles: pictures of any size; each is resized to fit a square of `tile_px`.
        columns: pictures in a row.
        row_titles: text above each row; empty for none.

    Returns:
        [h, w, 3] uint8 RGB on white.
    """
    if not tiles or columns < 1:
        raise ValueError(f"a sheet needs pictures and at least one column, got {len(tiles)} and {columns}")
    font = ImageFont.load_default(size=_CAPTION_PX)
    caption_px = _CAPTION_PX + 8 if any(tile.caption for tile in tiles) else 0
    title_px = _CAPTION_PX + 14 if row_titles else 0
    cell_w, cell_h = tile_px + _GAP_PX, tile_px + caption_px + title_px + _GAP_PX
    rows = -(-len(tiles) // columns)
    width = min(columns, len(tiles)) * cell_w + _GAP_PX
    sheet = Image.new("RGB", (width, rows * cell_h + _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = _GAP_PX + column * cell_w, _GAP_PX + row * cell_h
        if column == 0 and row < len(row_titles):
            draw.text((left, top + 4), row_titles[row], _INK, font)
        picture = _fit(tile.image, tile_px)
        offset = ((tile_px - picture.width) // 2, (tile_px - picture.height) // 2)
        sheet.paste(picture, (left + offset[0], top + title_px + offset[1]))
        if tile.caption:
            text = _shorten(tile.caption, font, tile_px)
            draw.text((left + 2, top + title_px + tile_px + 2), text, _INK, font)
    return np.asarray(sheet)


def overlay_parts(image: Picture, labels: ByteMask, strength: float = 0.45) -> Picture:
    """Picture [h, w, 3] with every part tinted by its label [h, w]; background stays as it is."""
    tinted = image.astype(np.float32)
    for label in np.unique(labels):
        if label:
            where = labels == label
            tinted[where] = (1 - strength) * tinted[where] + strength * np.asarray(_PART_COLORS[label], np.float32)
    return (tinted + 0.5).astype(np.uint8)


def overlay_points(
    image: Picture, points_px: Float32[np.ndarray, "n _"], color: tuple[int, int, int], radius_px: float = 1.5
) -> Picture:
    """Picture [h, w, 3] with points [n, 2] or [n, 3], of which depth is left out (pixel centres at half-integers)."""
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for x, y in points_px[:, :2] - 0.5:
        draw.ellipse([x - radius_px, y - radius_px, x + radius_px, y + radius_px], fill=color)
    return np.asarray(picture)


def error_map(image: Picture, truth: Picture) -> Picture:
    """Picture of the difference from the truth: white = equal, dark red = a difference of 64 grey levels or more."""
    difference = np.abs(image.astype(np.float32) - truth.astype(np.float32)).mean(-1, keepdims=True)
    fade = np.clip(difference / 64, 0, 1)
    return (255 * (1 - fade) + np.array([140.0, 0.0, 20.0]) * fade + 0.5).astype(np.uint8)


def _fit(image: NDArray[np.uint8], size_px: int) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(image))
    scale = size_px / max(picture.size)
    if scale == 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


# One colour a part, indexed by `Part`; neighbours differ clearly.
_PART_COLORS = [
    (255, 255, 255), (244, 164, 96), (90, 60, 30), (30, 144, 255), (255, 99, 71), (220, 20, 60), (255, 215, 0),
    (222, 184, 135), (128, 0, 128), (46, 139, 87), (70, 90, 180), (0, 128, 128), (60, 60, 60), (255, 105, 180),
]  # fmt: skip

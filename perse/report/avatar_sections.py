"""Sections of the report about the trained avatar. They arrange pictures; the caller renders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.report.page import Section
from perse.report.sheets import Tile, contact_sheet, error_map
from perse.shapes import Picture


@dataclass(frozen=True)
class Pair:
    """A render beside what it should look like.

    Attributes:
        title: what is shown, such as "hat: a red beanie".
        render, truth: [h, w, 3] uint8, on white.
    """

    title: str
    render: Picture
    truth: Picture


def angles_section(pairs: Sequence[Pair]) -> Section:
    """Section with the unedited avatar from several angles, above the training frames at the same angles."""
    tiles = [Tile(p.render, p.title) for p in pairs] + [Tile(p.truth) for p in pairs]
    sheet = contact_sheet(tiles, columns=len(pairs), tile_px=240, row_titles=["avatar", "training frame"])
    return Section(
        "angles", "The avatar", "The reference avatar from several angles; below, what it learned from.", [sheet]
    )


def unseen_section(pairs: Sequence[Pair]) -> Section:
    """Section with renders of poses that were not trained on, beside the truth, with the error."""
    tiles = []
    for pair in pairs:
        tiles += [Tile(pair.render, pair.title), Tile(pair.truth, "truth"), Tile(error_map(pair.render, pair.truth))]
    sheet = contact_sheet(tiles, columns=6, tile_px=220)
    caption = "For each category: the avatar in a pose that it never saw, the truth, and where they differ."
    return Section("unseen", "Unseen poses", caption, [sheet])


def video_section(pairs: Sequence[Pair]) -> Section:
    """Section with frames of the person's own video that were not trained on, the avatar in the same poses, and the
    error."""
    rows = ([p.truth for p in pairs], [p.render for p in pairs], [error_map(p.render, p.truth) for p in pairs])
    tiles = [Tile(picture, pair.title) for pair, picture in zip(pairs, rows[0], strict=True)]
    tiles += [Tile(picture) for row in rows[1:] for picture in row]
    sheet = contact_sheet(tiles, columns=len(pairs), tile_px=240, row_titles=["video, unseen", "avatar", "difference"])
    caption = (
        "The end of the video, which the avatar never saw; below, the avatar doing the same, and where they differ. "
        "What the camera did not record is white in both."
    )
    return Section("video", "Your video", caption, [sheet])


def interpolation_section(rows: Sequence[tuple[str, Sequence[UInt8[NDArray[np.uint8], "_ _ 3"]]]]) -> Section:
    """Section with walks through the latent space from one subject to another, a row each."""
    columns = max(len(images) for _, images in rows)
    tiles = [
        Tile(image, f"{index / (len(images) - 1):.2f}") for _, images in rows for index, image in enumerate(images)
    ]
    sheet = contact_sheet(tiles, columns=columns, tile_px=150, row_titles=[title for title, _ in rows])
    return Section("interpolation", "Interpolations", "Equal steps in the latent space of one category.", [sheet])


def mix_section(title: str, images: Sequence[tuple[str, UInt8[NDArray[np.uint8], "_ _ 3"]]]) -> Section:
    """Section with several edits at once, added one by one."""
    sheet = contact_sheet([Tile(image, name) for name, image in images], columns=len(images), tile_px=240)
    return Section("mix", "A mix of edits", title, [sheet])

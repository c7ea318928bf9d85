"""Cover of a head (hair, a hat, a veil), continued to the back, where no camera ever was.

The clips show a head from the front and turned by some forty degrees. What is seen at its two sides is carried on
around the back: at the same height above the skull, as far down as it hangs on both sides, in colours of the same
height, mirrored from the front half. A head that is bald at the sides stays bald behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64
from scipy.spatial import cKDTree

from perse.avatar.around import CROWN_M, HANGING_REACH_M, SKULL_RADIUS_M, Around, HeadAxis

SIDE = (np.radians(55), np.radians(110))
"""Azimuths of a head's side, where the last of its cover is seen well."""

STEEP_M = 0.09
"""Above this height all of a row counts as both sides: the crown has none."""

ROW_M, ROW_REACH_M = 0.01, 0.015
"""Distance of the rows in which the cover is described, and how far a row looks up and down."""

LEAST_POINTS = 3
"""Points that show that a row is covered."""

LOWEST_M = -0.32
"""Hair is followed down to here, below the middle of the skull."""

NAPE_M = -0.07
"""Where short hair ends at the back."""

CRANIUM_M = (0.02, 0.11)
"""Rows that are covered on whoever has hair at all."""

THICKNESS_SHARE = 0.7
"""Quantile of the points' height above the skull that is the cover's surface."""


@dataclass(frozen=True)
class BareRadius:
    """Radius of a bare head in every direction, from vertices of its mesh."""

    places: Around
    tree: cKDTree

    @staticmethod
    def of(axis: HeadAxis, vertices: Float[np.ndarray, "v 3"]) -> BareRadius:
        """Radius table of a bare head, from its vertices [v, 3] at rest."""
        places = axis.around(vertices)
        return BareRadius(places, cKDTree(_features(places)))

    def radius(self, places: Around) -> Float64[np.ndarray, " n"]:
        """Radius [n] in the directions of places."""
        _, nearest = self.tree.query(_features(places), k=4)
        return np.asarray(self.places.radius[nearest].mean(1))


@dataclass(frozen=True)
class HeadCover:
    """The cover of one head, by rows of height.

    Attributes:
        thickness: [2, r] metres above the skull at the person's right and left; nan where there is none.
    """

    thickness: Float64[np.ndarray, "2 r"]

    def continues(self, heights: Float64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Mask [n] of heights [n] at which the back is covered."""
        both = np.asarray(np.isfinite(self.thickness).all(axis=0))
        return np.asarray(both[_row(heights)])

    def radius(self, skull: BareRadius, places: Around) -> Float64[np.ndarray, " n"]:
        """Radius [n] of the cover's surface at places behind the head: the skull's and a thickness that goes from one
        side's to the other's. What hangs below the nape falls straight from the widest place above it."""
        share = np.mod(places.azimuth, 2 * np.pi)  # π/2 at the left, 3π/2 at the right
        right = np.clip((share - np.pi / 2) / np.pi, 0, 1)
        filled = np.stack([_filled(side) for side in self.thickness])
        rows = _row(places.height)
        thickness = right * filled[0, rows] + (1 - right) * filled[1, rows]
        radius = skull.radius(places) + thickness
        if self.continues(np.array([NAPE_M - 0.03]))[0]:
            top = Around(places.azimuth, np.zeros(len(places)), places.radius)
            level = _row(top.height)
            widest = skull.radius(top) + right * filled[0, level] + (1 - right) * filled[1, level]
            hanging = np.minimum(np.maximum(radius, widest), HANGING_REACH_M)
            radius = np.where(places.height < 0, hanging, radius)
        return radius


def cover_of(skull: BareRadius, seen: Around) -> HeadCover:
    """Cover of a head, read off points of it that are all well seen."""
    rows = np.arange(LOWEST_M, CROWN_M + ROW_M, ROW_M)
    above = seen.radius - skull.radius(seen)
    found = np.full((2, len(rows)), np.nan)
    turned = np.abs(seen.azimuth)
    beside = (turned > SIDE[0]) & (turned < SIDE[1])
    for number, height in enumerate(rows):
        near = np.abs(seen.height - height) < ROW_REACH_M
        for side, sign in enumerate((-1, 1)):
            here = near & ((beside & (np.sign(seen.azimuth) == sign)) | (seen.height > STEEP_M))
            if here.sum() >= LEAST_POINTS:
                found[side, number] = max(np.quantile(above[here], THICKNESS_SHARE), 0.0)
    cranium = (rows >= CRANIUM_M[0]) & (rows <= CRANIUM_M[1])
    if np.isfinite(found[:, cranium]).all(0).mean() >= 0.5:
        hairy = rows >= NAPE_M
        for side in (0, 1):
            found[side, hairy] = _filled(found[side])[hairy]
        short = ~np.isfinite(found).all(0)[rows < NAPE_M]
        if short[-3:].any():  # thin out towards the nape
            thin = np.clip((rows - NAPE_M) / 0.05, 0.1, 1)
            found *= np.where(rows < 0, thin, 1.0)
    return HeadCover(found)


def colors_behind(
    places: Around, seen: Around, colors: Float[np.ndarray, "m 3"], rng: np.random.Generator
) -> Float32[np.ndarray, "n 3"]:
    """Colours [n, 3] for places at the back, from seen points [m] with colours [m, 3]: those at the same height and
    mirrored azimuth, with a little chance, so that strands do not become a fan."""
    wanted = np.pi - np.abs(places.azimuth)
    wanted = np.maximum(wanted, SIDE[0]) + rng.normal(0, 0.15, len(wanted))
    own = _sided(np.abs(seen.azimuth), seen.height, np.sign(seen.azimuth))
    height = places.height + rng.normal(0, 0.004, len(wanted))
    _, nearest = cKDTree(own).query(_sided(wanted, height, np.sign(places.azimuth)), k=min(2, len(own)))
    nearest = nearest.reshape(len(wanted), -1)
    return np.asarray(colors[nearest].mean(1), np.float32)


def _sided(
    turned: Float64[np.ndarray, " n"], height: Float64[np.ndarray, " n"], side: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, "n 3"]:
    """Features of places for colours: height counts most, the side least."""
    return np.stack([0.05 * turned, 2 * height, 0.02 * side], 1)


def _features(places: Around) -> Float64[np.ndarray, "n 3"]:
    """Directions as points between which distances make sense."""
    flat = SKULL_RADIUS_M * np.cos(np.clip(places.height / SKULL_RADIUS_M, 0, np.pi / 2))
    return np.stack([flat * np.sin(places.azimuth), places.height, flat * np.cos(places.azimuth)], 1)


def _row(heights: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    count = len(np.arange(LOWEST_M, CROWN_M + ROW_M, ROW_M))
    return np.asarray(np.clip(np.round((heights - LOWEST_M) / ROW_M), 0, count - 1).astype(np.int64))


def _filled(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """A row of numbers without holes: between known ones in a straight line, beyond them the last."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.zeros(len(values))
    return np.asarray(np.interp(np.arange(len(values)), known, values[known]))

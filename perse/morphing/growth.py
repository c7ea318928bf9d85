"""Growth of a part that only one end has, out of what both have.

A brim that a beanie lacks, the ends of long hair: there is nothing in the other picture for them to correspond to. But
there is where they come from: the *core*, the pixels that show the part in both ends. At growth g a point at distance
d from the core lies at g d, so the whole brim, with its round end and its texture, is pulled out of the core as a
telescope is. For a picture this is read backwards: a pixel at distance d shows what lies at d / g.

Hair on a face is not drawn out of a moustache like that: it would end as an arch under the lip. A beard is *uncovered*
from the core on, softly, as if it grew there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.typing import NDArray

from perse.morphing.correspondence import Field, sampled
from perse.shapes import HardMask

_ROUNDING = 0.012
"""Standard deviation of the blurs that close the core's notches and smooth the directions in which things are pulled,
a share of the picture's width. A jagged core would tear what is pulled out of it."""

_GROWTHS = np.linspace(0, 1, 9)

_FRINGE = 0.08
"""Breadth of the soft edge of what is uncovered, a share of the picture's width: a beard thins out, and ends in no
line."""


@dataclass(frozen=True)
class Core:
    """Core of a part: what both ends show of it.

    Attributes:
        inside: [h, w] in [0, 1], soft.
        away: [h, w, 2] vectors from the nearest point of the core to each pixel, px; zero inside.
        rounding_px: standard deviation of the blurs that made it.
    """

    inside: Float32[NDArray[np.float32], "h w"]
    away: Field
    rounding_px: float

    @classmethod
    def of(cls, first: HardMask, second: HardMask, width_px: int) -> Core | None:
        """The core of two shapes; None where they have nothing in common.

        Args:
            width_px: of the whole picture, of which the shapes may be a window.
        """
        sigma = max(0.7, _ROUNDING * width_px)
        common = first & second
        if not common.any():
            return None
        soft = cv2.GaussianBlur(common.astype(np.float32), (0, 0), sigma)
        core = common | (soft > 0.5)  # all that both show, and the notches in it
        away = cv2.GaussianBlur(_away(core), (0, 0), sigma) * ~core[..., None]
        return cls(np.maximum(soft, common).astype(np.float32), away.astype(np.float32), sigma)

    def pulled(self, growth: float) -> Field:
        """Place in the end of each pixel's content, when that is pulled out so far; growth in (0, 1]."""
        return self.away * np.float32(1 / growth - 1)

    def areas(self, part: Float[NDArray[np.float32], "h w"]) -> Float[NDArray[np.float64], " g"]:
        """Areas of a part [h, w] outside of the core at growths from 0 to 1."""
        outside = (self.away != 0).any(-1) & (part > 0.5)
        grown = [float(sampled(part, self.pulled(growth))[outside].sum()) for growth in _GROWTHS[1:-1]]
        return np.maximum.accumulate([0.0, *grown, float(part[outside].sum())])


@dataclass(frozen=True)
class Uncovering:
    """Order in which a part appears, from the core on and softly.

    Attributes:
        away_px: [h, w] distances from the core.
        fringe_px: breadth of the soft edge.
        edges_px: [e] distances at which it stands, ascending.
        shares: [e], how much of all that will be seen is there by then.
    """

    away_px: Float32[NDArray[np.float32], "h w"]
    fringe_px: float
    edges_px: Float64[NDArray[np.float64], " e"]
    shares: Float64[NDArray[np.float64], " e"]

    @classmethod
    def of(cls, core: Core, seen: Float[NDArray[np.float32], "h w"], width_px: int) -> Uncovering:
        """Of one end's part.

        Args:
            seen: how much each pixel of the part differs from what is under it, 0 outside of the part. The same amount
                appears in the same time: white hair on a black collar is seen more than on a cheek.
            width_px: of the whole picture, of which this may be a window.
        """
        away = np.linalg.norm(core.away, axis=2).astype(np.float32)
        there = (seen > 0) & (away > 0)
        fringe = _FRINGE * width_px
        if not there.any():  # all of it is in the core
            return cls(away, fringe, np.array([0.0, fringe]), np.array([0.0, 1.0]))
        outside, weights = away[there], seen[there]
        edges = np.linspace(-fringe / 2, float(outside.max()) + fringe / 2, 33)
        shares = [float(np.average(_softly(edge, outside, fringe), weights=weights)) for edge in edges]
        return cls(away, fringe, edges, np.asarray(shares))

    def shown(self, share: float) -> Float32[NDArray[np.float32], "h w"]:
        """How much of each pixel is there when a share of all is, [h, w] in [0, 1]."""
        return _softly(float(np.interp(share, self.shares, self.edges_px)), self.away_px, self.fringe_px)


def _softly(edge_px: float, away_px: Float32[NDArray[np.float32], "*s"], fringe_px: float) -> Any:
    return np.clip((edge_px - away_px) / np.float32(fringe_px) + np.float32(0.5), 0, 1)


def growth_of(areas: Float[NDArray[np.float64], " g"], share: float) -> float:
    """The growth at which a share of the area shows: equal areas in equal times."""
    if areas[-1] <= 0:
        return share
    return max(1e-3, float(np.interp(share, areas / areas[-1], _GROWTHS)))


def _away(core: NDArray[np.bool_]) -> Field:
    _, labels = cv2.distanceTransformWithLabels(
        (~core).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    ys, xs = np.nonzero(core)
    places = np.zeros((int(labels.max()) + 1, 2), np.float32)
    places[labels[ys, xs]] = np.stack([xs, ys], 1)
    rows, columns = np.indices(core.shape, np.float32)
    return np.asarray(np.stack([columns, rows], -1) - places[labels], np.float32)

"""Headphones: two cups over the ears and a band over the head. The band follows the head, or the hair on it.

What a kind is made of is a table, `headphone_models`; here is how its shapes sit on a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.synthesis.procedural.attachments.headphone_models import (
    HEADPHONE_MODELS,
    Bar,
    Boom,
    Cup,
    Microphone,
    Shape,
    Yoke,
)
from perse.synthesis.procedural.attachments.pieces import Piece, put_together, slots_of
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.attachments.surfaces import Surface, ball, lathe, sweep, tube, unit

Cover = Callable[[Float[np.ndarray, "*n 3"]], Float[np.ndarray, "*n"]]

_SIDES = (0, 1)


def build_headphones(skull: Skull, prompt: AttributePrompt, cover: Cover | None = None) -> tuple[Attachment, ...]:
    """The headphones that the prompt describes, on this head.

    Args:
        cover: metres from the skull's centre to what the band must clear, by direction [..., 3]: hair, where there is
            some. The bare skull when left out.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    slots = slots_of(prompt, Category.HEADPHONES)
    fit = _Fit.on(skull, cover)

    def surfaces(piece: Piece[Shape]) -> list[Surface]:
        place = piece.place or piece.name
        laid = [enumerate(fit.surfaces(shape)) for shape in piece.shapes]
        return [surface.at(f"{place} {side}") for sides in laid for side, surface in sides]

    return put_together(HEADPHONE_MODELS[slots["kind"]], slots, Part.HEADPHONES, surfaces)


@dataclass(frozen=True)
class _Fit:
    """How headphones sit on a head.

    Attributes:
        mm: one millimetre of an average head, metres.
        cups: [2, 3] where the pads touch, left and right.
        axes: [2, 3] unit, from the head out through the cups.
        band: [n, 3] from the left cup over the head to the right one, on what it must clear.
        outwards: [n, 3] unit, away from the head along the band.
    """

    mm: float
    cups: Float[NDArray[np.float64], "2 3"]
    axes: Float[NDArray[np.float64], "2 3"]
    band: Float[NDArray[np.float64], "n 3"]
    outwards: Float[NDArray[np.float64], "n 3"]

    @classmethod
    def on(cls, skull: Skull, cover: Cover | None) -> _Fit:
        mm = 0.001 * skull.scale
        clear: Cover = skull.radius if cover is None else (lambda d: np.maximum(cover(d), skull.radius(d)))
        canals = skull.canals.mean(0)
        height, depth = canals[1] + 2 * mm, canals[2] + 2 * mm
        cups, axes = [], []
        for sign in (1.0, -1.0):
            towards = np.array([sign * 0.07, height - skull.centre[1], depth - skull.centre[2]])
            pressed = _sideways(clear, skull, towards) - 6 * mm  # pads press hair and ears flat
            bare = _sideways(skull.radius, skull, towards) + 3 * mm
            cups.append([skull.centre[0] + sign * max(pressed, bare), height, depth])
            axes.append(unit(np.array([sign, 0.04, -0.10])))
        band, outwards = _band_path(skull, clear, np.array(cups), depth)
        return cls(mm, np.array(cups), np.array(axes), band, outwards)

    def surfaces(self, shape: Shape) -> list[Surface]:
        """A shape on this head: once, or once on each side."""
        if isinstance(shape, Bar):
            return [self._bar(shape)]
        if isinstance(shape, Boom):
            return [tube(self._boom(), shape.radius * self.mm, segments=10)]
        if isinstance(shape, Microphone):
            long, high, deep = shape.radii
            radii = (long * self.mm, high * self.mm, deep * self.mm)
            return [ball(self._boom()[-1], radii, rings=12, segments=18)]
        return [self._turned(side, shape) if isinstance(shape, Cup) else self._yoke(side, shape) for side in _SIDES]

    def _bar(self, bar: Bar) -> Surface:
        part = slice(*bar.part)
        path = self.band[part] + bar.lift * self.mm * self.outwards[part]
        path = path + np.array([0.0, 0.0, bar.shift * self.mm])
        forward = np.array([0.0, 0.0, 1.0])
        width = np.full(len(path), bar.half_width * self.mm)
        thickness = np.full(len(path), bar.half_thickness * self.mm)
        for ends in (width, thickness):
            ends[[0, -1]] *= 0.05  # closed ends
            ends[[1, -2]] *= 0.8
        return sweep(path, forward, self.outwards[part], width, thickness, segments=18)

    def _turned(self, side: int, cup: Cup) -> Surface:
        return lathe(
            self.cups[side], self.axes[side], cup.profile, segments=44, stretch=cup.stretch, repeat_u=2.0,
            unit_m=self.mm,
        )  # fmt: skip

    def _yoke(self, side: int, yoke: Yoke) -> Surface:
        end = self.band[0 if side == 0 else -1] + 3 * self.mm * self.outwards[0 if side == 0 else -1]
        target = self.cups[side] + self.axes[side] * yoke.out * self.mm
        way = np.linspace(0, 1, 12)[:, None]
        bow = np.sin(np.pi * way) * 3 * self.mm * self.axes[side]
        path = end + (target - end) * way + bow
        sideways = unit(np.cross(np.gradient(path, axis=0), [0.0, 0.0, 1.0]))
        widths = yoke.half_width * self.mm * np.linspace(1.0, 1.25, 12)
        return sweep(path, np.array([0.0, 0.0, 1.0]), sideways, widths, yoke.half_thickness * self.mm, segments=14)

    def _boom(self) -> Float[np.ndarray, "24 3"]:
        """From the left cup forwards and down to the corner of the mouth, clear of the cheek: [24, 3]."""
        start = self.cups[0] + np.array([14.0, -26.0, 22.0]) * self.mm
        end = np.array([0.022 / 0.001 * self.mm, self.cups[0][1] - 52 * self.mm, self.cups[0][2] + 108 * self.mm])
        knee = np.array([self.cups[0][0] - 4 * self.mm, end[1] + 2 * self.mm, end[2] - 34 * self.mm])
        way = np.linspace(0, 1, 24)[:, None]
        return (1 - way) ** 2 * start + 2 * way * (1 - way) * knee + way**2 * end


def _sideways(radius: Cover, skull: Skull, towards: Float[np.ndarray, "3"]) -> float:
    """How far the surface reaches to the side at the cups' height and depth; three rounds suffice."""
    reach = towards.copy()
    for _ in range(3):
        reach[0] = np.sign(reach[0]) * np.sqrt(max(float(radius(reach)) ** 2 - reach[1] ** 2 - reach[2] ** 2, 0.05**2))
    return abs(float(reach[0]))


def _band_path(
    skull: Skull, clear: Cover, cups: Float[np.ndarray, "2 3"], depth: float
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """A smooth arch in the plane of the ears: never under what it must clear, widening towards the cups."""
    angle = np.deg2rad(np.linspace(92, -92, 69))  # from the left ear over the crown to the right one
    origin = np.array([skull.centre[0], skull.centre[1], depth])
    outwards = np.stack([np.sin(angle), np.cos(angle), np.zeros_like(angle)], 1)
    reach = np.full(len(angle), 0.1)
    for _ in range(4):
        offset = origin + outwards * reach[:, None] - skull.centre
        reach *= clear(offset) / np.linalg.norm(offset, axis=1)
    half_width = np.abs(cups[:, 0] - skull.centre[0]).max() + 0.016 * skull.scale
    arch = 1 / np.sqrt((np.sin(angle) / half_width) ** 2 + (np.cos(angle) / (reach[len(angle) // 2] + 0.002)) ** 2)
    # Springy steel spans the hollows of a hairdo: the arch, grown gently where something stands out of it.
    grown = gaussian_filter1d(maximum_filter1d(np.maximum(reach / arch, 1.0), 9, mode="nearest"), 5, mode="nearest")
    return origin + outwards * (arch * grown)[:, None], outwards

"""Headphones: two cups over the ears and a band over the head, in three kinds.

*Studio*: large closed cups, a padded band. *Retro*: a thin steel band with round foam pads, worn on the ear. *Gaming*:
angular cups with a lit ring, a double band and a microphone on a boom. The band follows the head, or the hair on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.errors import PromptError
from perse.synthesis.procedural.attachments import textures
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.attachments.surfaces import Finish, Surface, ball, join, lathe, sweep, tube, unit
from perse.synthesis.procedural.attachments.textures import Rgb
from perse.synthesis.prompts import complete
from perse.synthesis.prompts.palette import FABRIC

FloatArray = NDArray[np.float64]
Cover = Callable[[FloatArray], FloatArray]

_STEEL: Rgb = (118, 122, 130)
_LEATHER: Rgb = (42, 40, 42)
_PLASTIC = Finish(gloss=0.26, exponent=18)
_PADDING = Finish(gloss=0.08, exponent=8)
_METAL = Finish(gloss=0.55, exponent=20)


def build_headphones(skull: Skull, prompt: AttributePrompt, cover: Cover | None = None) -> tuple[Attachment, ...]:
    """The headphones that the prompt describes, on this head.

    Args:
        cover: metres from the skull's centre to what the band must clear, by direction [..., 3]: hair, where there is
            some. The bare skull when left out.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    if prompt.category is not Category.HEADPHONES:
        raise PromptError(f"expected headphones, got a prompt for {prompt.category.value}")
    slots = complete(Category.HEADPHONES, dict(prompt.attributes))
    fit = _Fit.on(skull, cover)
    color, accent = FABRIC[slots["color"]], FABRIC[slots["accent"]]
    build = {"studio": _studio, "retro": _retro, "gaming": _gaming}[slots["kind"]]
    return build(fit, color, accent)


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
    cups: FloatArray
    axes: FloatArray
    band: FloatArray
    outwards: FloatArray

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

    def bar(
        self,
        half_width_mm: float,
        half_thickness_mm: float,
        lift_mm: float,
        part: slice | None = None,
        shift_mm: float = 0.0,
    ) -> Surface:
        """A bar along the band, `lift_mm` above what the band clears and `shift_mm` to the front."""
        part = part or slice(None)
        path = self.band[part] + lift_mm * self.mm * self.outwards[part]
        path = path + np.array([0.0, 0.0, shift_mm * self.mm])
        forward = np.array([0.0, 0.0, 1.0])
        width = np.full(len(path), half_width_mm * self.mm)
        thickness = np.full(len(path), half_thickness_mm * self.mm)
        for ends in (width, thickness):
            ends[[0, -1]] *= 0.05  # closed ends
            ends[[1, -2]] *= 0.8
        return sweep(path, forward, self.outwards[part], width, thickness, segments=18)

    def turned(
        self, side: int, profile: Sequence[tuple[float, float]], stretch: tuple[float, float] = (0.88, 1.06)
    ) -> Surface:
        """A lathed shape on a cup's axis: pairs (millimetres outwards, radius in millimetres)."""
        scaled = [(along * self.mm, radius * self.mm) for along, radius in profile]
        return lathe(self.cups[side], self.axes[side], scaled, segments=44, stretch=stretch, repeat_u=2.0)

    def yoke(self, side: int, out_mm: float, half_width_mm: float, half_thickness_mm: float) -> Surface:
        """From the end of the band down to the outside of a cup."""
        end = self.band[0 if side == 0 else -1] + 3 * self.mm * self.outwards[0 if side == 0 else -1]
        target = self.cups[side] + self.axes[side] * out_mm * self.mm
        way = np.linspace(0, 1, 12)[:, None]
        bow = np.sin(np.pi * way) * 3 * self.mm * self.axes[side]
        path = end + (target - end) * way + bow
        sideways = unit(np.cross(np.gradient(path, axis=0), [0.0, 0.0, 1.0]))
        widths = half_width_mm * self.mm * np.linspace(1.0, 1.25, 12)
        return sweep(path, np.array([0.0, 0.0, 1.0]), sideways, widths, half_thickness_mm * self.mm, segments=14)


def _sideways(radius: Cover, skull: Skull, towards: FloatArray) -> float:
    """How far the surface reaches to the side at the cups' height and depth; three rounds suffice."""
    reach = towards.copy()
    for _ in range(3):
        reach[0] = np.sign(reach[0]) * np.sqrt(max(float(radius(reach)) ** 2 - reach[1] ** 2 - reach[2] ** 2, 0.05**2))
    return abs(float(reach[0]))


def _band_path(skull: Skull, clear: Cover, cups: FloatArray, depth: float) -> tuple[FloatArray, FloatArray]:
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


def _studio(fit: _Fit, color: Rgb, accent: Rgb) -> tuple[Attachment, ...]:
    cushion = [(-2, 18), (-4, 29), (-1, 36), (4, 39.5), (10, 39), (14, 36)]
    shell = [(12, 36), (14, 38.5), (21, 38), (28, 34.5), (31.5, 28.5)]
    plate = [(31, 29.5), (32.3, 27), (31.5, 24.5), (32.5, 20), (33, 0.0)]
    both = (0, 1)
    return (
        join("headband", Part.HEADPHONES, [fit.bar(13, 4.5, 7)], textures.plain(color), _PLASTIC),
        join("headband pad", Part.HEADPHONES, [fit.bar(11, 4, 1.5, slice(14, 55))], textures.plain(_LEATHER), _PADDING),
        join("yokes", Part.HEADPHONES, [fit.yoke(side, 24, 6, 3) for side in both], textures.plain(_STEEL), _METAL),
        join(
            "cushions",
            Part.HEADPHONES,
            [fit.turned(side, cushion) for side in both],
            textures.plain(_LEATHER),
            _PADDING,
        ),
        join("cups", Part.HEADPHONES, [fit.turned(side, shell) for side in both], textures.plain(color), _PLASTIC),
        join("plates", Part.HEADPHONES, [fit.turned(side, plate) for side in both], textures.plain(accent), _PLASTIC),
    )


def _retro(fit: _Fit, color: Rgb, accent: Rgb) -> tuple[Attachment, ...]:
    pad = [(-1, 0.0), (-1, 20), (2, 27), (7, 29.5), (12, 28), (15, 24)]
    cap = [(13, 27), (15, 28.5), (19, 27), (21, 22), (21.4, 0.0)]
    dot = [(21, 12.5), (23.2, 11.5), (23.6, 0.0)]
    both, round_ = (0, 1), (1.0, 1.0)
    return (
        join("headband", Part.HEADPHONES, [fit.bar(6.5, 2.2, 6)], textures.plain(_STEEL), _METAL),
        join("sleeve", Part.HEADPHONES, [fit.bar(9.5, 3.6, 6, slice(22, 47))], textures.plain(accent), _PLASTIC),
        join("yokes", Part.HEADPHONES, [fit.yoke(side, 17, 3.5, 1.6) for side in both], textures.plain(_STEEL), _METAL),
        join("foam", Part.HEADPHONES, [fit.turned(side, pad, round_) for side in both], textures.foam(color), _PADDING),
        join(
            "caps", Part.HEADPHONES, [fit.turned(side, cap, round_) for side in both], textures.plain(color), _PLASTIC
        ),
        join(
            "dots", Part.HEADPHONES, [fit.turned(side, dot, round_) for side in both], textures.plain(accent), _PLASTIC
        ),
    )


def _gaming(fit: _Fit, color: Rgb, accent: Rgb) -> tuple[Attachment, ...]:
    cushion = [(-2, 20), (-4, 32), (0, 40), (7, 42.5), (13, 41)]
    shell = [(12, 40), (13, 43), (20, 43), (28, 38), (30, 31)]
    glow = [(29, 33), (31.5, 32), (31.8, 27), (30.5, 25)]
    centre = [(30, 26), (31, 24), (31, 0.0)]
    both = (0, 1)
    black = textures.plain((34, 34, 38))
    bands = [fit.bar(6, 4, 8, shift_mm=8), fit.bar(6, 4, 8, shift_mm=-8)]
    return (
        join("headband", Part.HEADPHONES, bands, textures.plain(color), _PLASTIC),
        join("headband pad", Part.HEADPHONES, [fit.bar(16, 4, 2.5, slice(6, 63))], textures.plain(_LEATHER), _PADDING),
        join("yokes", Part.HEADPHONES, [fit.yoke(side, 22, 9, 4) for side in both], textures.plain(color), _PLASTIC),
        join(
            "cushions",
            Part.HEADPHONES,
            [fit.turned(side, cushion) for side in both],
            textures.plain(_LEATHER),
            _PADDING,
        ),
        join("cups", Part.HEADPHONES, [fit.turned(side, shell) for side in both], textures.plain(color), _PLASTIC),
        join("rings", Part.HEADPHONES, [fit.turned(side, glow) for side in both], textures.plain(accent), _PLASTIC),
        join("grilles", Part.HEADPHONES, [fit.turned(side, centre) for side in both], black, _PADDING),
        join("boom", Part.HEADPHONES, [tube(_boom_path(fit), 2.4 * fit.mm, segments=10)], black, _PLASTIC),
        join("microphone", Part.HEADPHONES, _microphone(fit), textures.foam((30, 30, 32)), _PADDING),
    )


def _boom_path(fit: _Fit) -> FloatArray:
    """From the left cup forwards and down to the corner of the mouth, clear of the cheek."""
    start = fit.cups[0] + np.array([14.0, -26.0, 22.0]) * fit.mm
    end = np.array([0.022 / 0.001 * fit.mm, fit.cups[0][1] - 52 * fit.mm, fit.cups[0][2] + 108 * fit.mm])
    knee = np.array([fit.cups[0][0] - 4 * fit.mm, end[1] + 2 * fit.mm, end[2] - 34 * fit.mm])
    way = np.linspace(0, 1, 24)[:, None]
    return (1 - way) ** 2 * start + 2 * way * (1 - way) * knee + way**2 * end


def _microphone(fit: _Fit) -> list[Surface]:
    tip = _boom_path(fit)[-1]
    return [ball(tip, (8.5 * fit.mm, 6.5 * fit.mm, 6.5 * fit.mm), rings=12, segments=18)]

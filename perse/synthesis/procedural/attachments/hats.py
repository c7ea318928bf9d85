"""Hats: beanie, baseball cap, wide brim, top hat.

A hat sits on its *rim*, the line in which a plane, tilted backwards, cuts the skull. Crowns rise from the rim either
as domes of the skull's own shape (soft hats) or as the rim's own outline pushed upwards (stiff hats).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from perse.attributes import Category, Part
from perse.data import Attachment, AttributePrompt
from perse.errors import PromptError
from perse.synthesis.procedural.attachments import textures
from perse.synthesis.procedural.attachments.skull import Skull, directions
from perse.synthesis.procedural.attachments.surfaces import Finish, Surface, ball, join, surface, unit
from perse.synthesis.procedural.attachments.textures import Rgb
from perse.synthesis.prompts import complete
from perse.synthesis.prompts.palette import FABRIC

FloatArray = NDArray[np.float64]

_COLUMNS = 121
_WHITE: Rgb = (236, 234, 229)
_STRAW = ("yellow", "brown")
"""Colours that straw has; wide-brimmed hats of other colours are felt."""


@dataclass(frozen=True)
class RimPlane:
    """Where a hat ends: everything of the head above this plane is inside it.

    Attributes:
        front, back: heights at the forehead and at the back of the head, as fractions of the way from eyes to crown.
        cuff_m: how far the hat stands off the head at its rim, on an average head; hair can hide behind that much.
    """

    front: float
    back: float
    cuff_m: float = 0.005

    def height_above(self, skull: Skull, points: FloatArray) -> FloatArray:
        """Metres by which points [..., 3] lie above the plane, measured straight up."""
        height, share = rim_shares(skull, points)
        rise = skull.crown_y - skull.eye_y
        return np.asarray(rise * (height - (self.back + (self.front - self.back) * share)))


def rim_shares(skull: Skull, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of points [..., 3]: height, 0 at the eyes and 1 at the crown, and place, 0 at the back and 1 at the forehead."""
    reach = float(skull.radius(directions(0.0, np.deg2rad(15.0))))
    height = (points[..., 1] - skull.eye_y) / (skull.crown_y - skull.eye_y)
    return height, 0.5 + 0.5 * (points[..., 2] - skull.centre[2]) / reach


RIM_PLANES: dict[str, RimPlane] = {
    "beanie": RimPlane(front=0.47, back=-0.35, cuff_m=0.014),
    "cap": RimPlane(front=0.64, back=0.06),
    "wide brim": RimPlane(front=0.50, back=0.20),
    "top hat": RimPlane(front=0.53, back=0.27),
}


def rim_plane(prompt: AttributePrompt) -> RimPlane:
    """Where the hat of this prompt ends; hair above it has to go.

    Raises:
        PromptError: not a hat that can be built.
    """
    return RIM_PLANES[_slots(prompt)["kind"]]


def build_hat(skull: Skull, prompt: AttributePrompt) -> tuple[Attachment, ...]:
    """The hat that the prompt describes, on this head.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    slots = _slots(prompt)
    rim = _Rim.cut(skull, RIM_PLANES[slots["kind"]])
    color = FABRIC[slots["color"]]
    if slots["kind"] == "beanie":
        return _beanie(rim, color, slots["detail"])
    if slots["kind"] == "cap":
        return _cap(rim, color, slots["detail"])
    if slots["kind"] == "wide brim":
        return _wide_brim(rim, color, FABRIC[slots["band"]], straw=slots["color"] in _STRAW)
    return _top_hat(rim, color, FABRIC[slots["band"]])


def _slots(prompt: AttributePrompt) -> dict[str, str]:
    if prompt.category is not Category.HAT:
        raise PromptError(f"expected a hat, got a prompt for {prompt.category.value}")
    return complete(Category.HAT, dict(prompt.attributes))


@dataclass(frozen=True)
class _Rim:
    """The line on the skull that a hat sits on.

    Attributes:
        azimuth, elevation: [c], from −π to π; the first and last column coincide.
    """

    skull: Skull
    azimuth: FloatArray
    elevation: FloatArray

    @classmethod
    def cut(cls, skull: Skull, plane: RimPlane) -> _Rim:
        azimuth = np.linspace(-np.pi, np.pi, _COLUMNS)
        candidates = np.deg2rad(np.linspace(-60, 75, 271))
        height = plane.height_above(skull, skull.surface(azimuth[None], candidates[:, None]))
        # From above: the lowest direction whose skin is still above the plane.
        below = np.argmax((height < 0)[::-1], 0)
        elevation = candidates[len(candidates) - below - 1]
        elevation[:-1] = gaussian_filter1d(elevation[:-1], 2.5, mode="wrap")
        elevation[-1] = elevation[0]
        return cls(skull, azimuth, elevation)

    @property
    def unit_m(self) -> float:
        """One millimetre of an average head."""
        return 0.001 * self.skull.scale

    def loop(self, lift_mm: float) -> FloatArray:
        """The rim lifted off the skin: [c, 3]."""
        towards = directions(self.azimuth, self.elevation)
        radius = self.skull.radius(towards)
        radius[:-1] = gaussian_filter1d(radius[:-1], 2.5, mode="wrap")
        radius[-1] = radius[0]
        return self.skull.centre + towards * (radius + lift_mm * self.unit_m)[:, None]

    def dome(self, lift_mm: Callable[[FloatArray, FloatArray], FloatArray], rows: int = 30) -> FloatArray:
        """A cap of the skull's shape: [rows, c, 3] from the rim to the crown.

        Args:
            lift_mm: height off the skin as a function of the way up in [0, 1], [rows, 1], and of the azimuth [c].
        """
        way = np.linspace(0, 1, rows)[:, None]
        elevation = self.elevation + (np.pi / 2 - self.elevation) * way
        towards = directions(np.broadcast_to(self.azimuth, elevation.shape), elevation)
        radius = self.skull.radius(towards)
        radius[:, :-1] = gaussian_filter(radius[:, :-1], (1.5, 2), mode=("nearest", "wrap"))
        radius = radius + self.unit_m * lift_mm(way, self.azimuth)
        radius[-1] = radius[-1].mean()
        radius[:, -1] = radius[:, 0]
        return self.skull.centre + towards * radius[..., None]

    def stiff(self, profile: list[tuple[float, float]], lift_mm: float, pinch: FloatArray | None = None) -> FloatArray:
        """The rim's outline pushed up its own axis: [len(profile), c, 3].

        Args:
            profile: pairs (height in millimetres, size relative to the rim).
            pinch: [len(profile), c] millimetres downwards.
        """
        loop = self.loop(lift_mm)
        middle = loop[:-1].mean(0)
        rows = []
        for height, size in profile:
            rows.append(middle + (loop - middle) * size + self.axis * height * self.unit_m)
        points = np.array(rows)
        if pinch is not None:
            points -= self.axis * (pinch * self.unit_m)[..., None]
        return points

    @property
    def axis(self) -> FloatArray:
        """Upwards out of the rim's plane, tilted half as much as the plane: hats do not fall over backwards."""
        loop = self.loop(0.0)
        slope = loop[_COLUMNS // 2] - loop[0]
        normal = unit(np.array([0.0, slope[2], -slope[1]]))
        return unit(normal + np.array([0.0, 1.0, 0.0]))


def _smooth(value: FloatArray | float) -> FloatArray:
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def _beanie(rim: _Rim, color: Rgb, detail: str) -> tuple[Attachment, ...]:
    mm, skull = rim.unit_m, rim.skull

    def lift(way: FloatArray, azimuth: FloatArray) -> FloatArray:
        slack = 11 + 15 * _smooth((way - 0.1) / 0.6) + 5 * _smooth((way - 0.85) / 0.15)
        return slack + 1.0 * np.sin(5 * azimuth + 1) * _smooth(way * 4) * (1 - way)

    dome = rim.dome(lift)
    over = np.clip((dome[..., 1] - skull.centre[1]) / (0.09 * skull.scale), 0, 1.5)
    dome[..., 2] -= 14 * mm * _smooth(over)  # slouches backwards
    stripe = textures.contrasting(color) if detail == "striped" else None
    pieces = [
        join("beanie", Part.HEADWEAR, [surface(dome, skull.centre)], textures.knit(color, stripe=stripe)),
        join("beanie cuff", Part.HEADWEAR, [_cuff(rim)], textures.ribbing(color)),
    ]
    if detail == "pompom":
        pieces += _pompom(dome[-1, 0] + np.array([0.0, 17.0, -2.0]) * mm, 27 * mm, textures.contrasting(color))
    return tuple(pieces)


def _cuff(rim: _Rim) -> Surface:
    """The turned-up edge: out from the skin, up the outside, over the fold and back to the dome."""
    mm, skull = rim.unit_m, rim.skull
    height = np.array([6.0, 1.0, -1.0, 0.0, 4.0, 11.0, 18.0, 25.0, 30.0, 32.5, 32.0, 29.0])
    lift = np.array([2.0, 4.0, 9.0, 14.5, 18.5, 20.5, 21.0, 20.5, 19.0, 16.0, 12.0, 9.0])
    towards = directions(rim.azimuth, rim.elevation)
    reach = skull.radius(towards)
    elevation = rim.elevation + (height * mm)[:, None] / reach
    towards = directions(np.broadcast_to(rim.azimuth, elevation.shape), elevation)
    radius = skull.radius(towards)
    radius[:, :-1] = gaussian_filter(radius[:, :-1], (1, 2), mode=("nearest", "wrap"))
    radius[:, -1] = radius[:, 0]
    points = skull.centre + towards * (radius + (lift * mm)[:, None])[..., None]
    made = surface(points, skull.centre)
    crease = np.where(height > 29, 0.75, 1.0) * np.where(lift < 6, 0.55, 1.0)
    return made.shaded(crease[:, None])


def _pompom(centre: FloatArray, radius: float, color: Rgb) -> list[Attachment]:
    rng = np.random.default_rng(5)
    made = ball(centre, (radius, radius, radius), rings=18, segments=32)
    bumps = 1 + 0.05 * gaussian_filter(rng.standard_normal(made.points.shape[:2]), 1.5, mode="wrap") / 0.19
    bumps[:, -1] = bumps[:, 0]
    bumps[[0, -1]] = 1
    layers = []
    for number, (size, coverage) in enumerate(((0.92, 1.0), (1.0, 0.55), (1.06, 0.25))):
        points = centre + (made.points - centre) * (bumps * size)[..., None]
        shell = surface(points, centre, repeat_u=2.0).shaded(0.90 + 0.05 * number)
        texture = textures.fluff(color, coverage=coverage, seed=20 + number)
        layer = join(f"pompom {number}", Part.HEADWEAR, [shell], texture, casts_shadow=number == 0)
        layers.append(replace(layer, normals=_scattering(layer.normals)))
    return layers


def _scattering(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Wool ends point everywhere and pass light on: their normals lean towards where light usually comes from."""
    return unit(0.55 * normals + np.array([0.0, 0.35, 0.5])).astype(np.float32)


def _cap(rim: _Rim, color: Rgb, detail: str) -> tuple[Attachment, ...]:
    mm, skull = rim.unit_m, rim.skull
    front = _WHITE if detail == "two-tone" else None  # as the prompt's sentence says

    def lift(way: FloatArray, azimuth: FloatArray) -> FloatArray:
        tall_front = 0.55 + 0.45 * np.cos(azimuth)
        return 8 + 18 * _smooth(way / 0.55) * tall_front + 4 * (1 - tall_front)

    dome = rim.dome(lift)
    button = ball(dome[-1, 0] + np.array([0.0, 1.5, 0.0]) * mm, (7 * mm, 3.5 * mm, 7 * mm), rings=8)
    cloth = Finish(gloss=0.05, exponent=14)
    return (
        join("cap", Part.HEADWEAR, [surface(dome, skull.centre)], textures.panels(color, front), cloth),
        join("cap brim", Part.HEADWEAR, [*_visor(rim), button], textures.stitched(color), cloth),
    )


def _visor(rim: _Rim) -> list[Surface]:
    """A curved plate at the front. Its tip is 28 mm below its root: less, and it is edge-on in a frontal portrait."""
    mm, half_angle = rim.unit_m, np.deg2rad(68)
    azimuth = np.linspace(-half_angle, half_angle, 57)
    loop = rim.loop(9.0)
    root = np.stack([np.interp(azimuth, rim.azimuth, loop[:, axis]) for axis in range(3)], 1)
    outline = np.clip(1 - np.abs(azimuth / half_angle) ** 3, 0, 1) ** 0.5
    forward = unit(np.stack([0.30 * np.sin(azimuth), np.zeros_like(azimuth), np.ones_like(azimuth)], 1))
    way = np.linspace(0, 1, 14)[:, None]
    upper = root + way[..., None] * (78 * mm * outline)[:, None] * forward
    drop = 28 * way**0.9 * outline + 15 * (upper[..., 0] / (75 * mm)) ** 2 * np.clip(1.7 * way, 0, 1)
    upper[..., 1] -= drop * mm
    lower = upper - np.array([0.0, 2.6, 0.0]) * mm
    far = np.array([0.0, 1.0, 0.0])
    return [
        surface(upper, root.mean(0) - far).shaded(0.55 + 0.45 * _smooth(way / 0.16)),  # the crease at the crown
        surface(lower, root.mean(0) + far).shaded(0.62),
        surface(np.stack([upper[-1], lower[-1]]), root.mean(0), v_range=(0.9, 1.0)),
    ]


def _wide_brim(rim: _Rim, color: Rgb, band: Rgb, *, straw: bool) -> tuple[Attachment, ...]:
    mm = rim.unit_m
    height, size = _crown_profile(92.0)
    way = np.linspace(0, 1, len(height))[:, None]
    front = np.clip(np.cos(rim.azimuth), 0, 1)
    crease = 16 * _smooth((way - 0.62) / 0.3) * (0.35 + 0.65 * np.abs(np.cos(rim.azimuth)))  # telescope pinch
    crown = rim.stiff(list(zip(height, size, strict=True)), 9.0, pinch=crease * (0.6 + 0.4 * front))
    brim = _brim(
        rim, 88.0, lambda s, azimuth: -16 * s**1.5 + 5 * s * np.sin(3 * azimuth + 0.8) + 3 * s * np.sin(5 * azimuth)
    )
    texture = textures.straw((222, 186, 120) if color[0] > 180 else (168, 118, 70)) if straw else textures.felt(color)
    inside = rim.loop(0.0).mean(0)
    finish = Finish(gloss=0.04, exponent=10)
    return (
        join("hat crown", Part.HEADWEAR, [surface(crown, inside)], texture, finish),
        join("hat brim", Part.HEADWEAR, brim, texture, finish),
        join("hat band", Part.HEADWEAR, [_band(rim, 24.0)], textures.ribbon(band), Finish(gloss=0.12, exponent=18)),
        join("hat bow", Part.HEADWEAR, _bow(rim, 24.0 * mm), textures.ribbon(band), Finish(gloss=0.12, exponent=18)),
    )


def _crown_profile(height_mm: float) -> tuple[FloatArray, FloatArray]:
    """A rounded crown: nearly upright sides, a soft shoulder, a flat top; heights and sizes [24]."""
    turn = np.linspace(0, 1, 24)
    side = turn < 0.55
    height = np.where(side, turn / 0.55 * 0.78, 0.78 + 0.22 * np.sin(np.clip((turn - 0.55) / 0.30, 0, 1) * np.pi / 2))
    shoulder = np.clip((turn - 0.55) / 0.45, 0, 1)
    size = np.where(side, 1.0 - 0.09 * turn / 0.55, 0.91 * np.sqrt(np.clip(1 - shoulder**2.6, 0, 1)))
    return height_mm * height, size


def _brim(
    rim: _Rim, width_mm: float, rise_mm: Callable[[FloatArray, FloatArray], FloatArray], rows: int = 16
) -> list[Surface]:
    """A ring around the rim: upper side, underside, edge. `rise_mm` of the way out [rows, 1] and the azimuth [c]."""
    mm, loop = rim.unit_m, rim.loop(8.0)
    middle = loop[:-1].mean(0)
    outwards = loop - middle
    outwards = unit(outwards - rim.axis * (outwards @ rim.axis)[:, None])
    way = np.linspace(0, 1, rows)[:, None]
    upper = loop + (way * width_mm * mm)[..., None] * outwards
    upper = upper + (rise_mm(way, rim.azimuth) * mm)[..., None] * rim.axis
    lower = upper - 2.4 * mm * rim.axis
    return [
        surface(upper, middle - rim.axis, repeat_u=2.0),
        surface(lower, middle + rim.axis, repeat_u=2.0).shaded(0.72),
        surface(np.stack([upper[-1], lower[-1]]), middle, v_range=(0.93, 1.0)),
    ]


def _band(rim: _Rim, height_mm: float) -> Surface:
    rows = [(0.0, 1.0), (0.5, 1.018), (height_mm * 0.5, 1.010), (height_mm - 0.5, 0.995), (height_mm, 0.97)]
    return surface(rim.stiff(rows, 9.5), rim.loop(0.0).mean(0), repeat_u=4.0)


def _bow(rim: _Rim, height: float) -> list[Surface]:
    """A flat bow on the band at the person's left: two loops and a knot."""
    mm, loop = rim.unit_m, rim.stiff([(12.0, 1.0)], 13.0)[0]
    column = int(np.argmin(np.abs(rim.azimuth - np.deg2rad(62))))
    centre, along = loop[column], unit(loop[column + 3] - loop[column - 3])
    outwards = unit(centre - rim.loop(0.0).mean(0) - rim.axis * ((centre - rim.loop(0.0).mean(0)) @ rim.axis))
    pieces = []
    for side in (-1.0, 1.0):
        way = np.linspace(0, 1, 9)[:, None]
        reach, spread = side * 24 * mm * way, height * (0.22 + 0.36 * way)
        middle = centre + reach * along + (4 * mm * np.sin(np.pi * way)) * outwards
        across = np.linspace(-1, 1, 5)[None, :, None]
        points = middle[:, None] + across * spread[:, None] * rim.axis
        pieces.append(surface(points, centre - outwards))
    pieces.append(ball(centre + 2 * mm * outwards, (5 * mm, 0.32 * height, 5 * mm), rings=8, segments=12))
    return pieces


def _top_hat(rim: _Rim, color: Rgb, band: Rgb) -> tuple[Attachment, ...]:
    tall = 100.0
    way = np.linspace(0, 1, 18)
    waist = 1.0 - 0.055 * np.sin(np.pi * way) + 0.045 * way
    side = rim.stiff(list(zip(tall * way, waist, strict=True)), 9.0)
    lid = rim.stiff([(tall, 1.045), (tall + 1.5, 1.03), (tall + 1.0, 0.97), (tall, 0.6), (tall, 0.0)], 9.0)
    inside = rim.stiff([(tall / 2, 0.0)], 0.0)[0, 0]
    curl = _brim(rim, 38.0, lambda s, azimuth: 26 * s**2 * np.sin(azimuth) ** 2 - 5 * s * np.cos(azimuth) ** 2)
    finish = Finish(gloss=0.30, exponent=9)
    silk = textures.silk(color)
    return (
        join("top hat", Part.HEADWEAR, [surface(side, inside), surface(lid, inside)], silk, finish),
        join("top hat brim", Part.HEADWEAR, curl, silk, finish),
        join("top hat band", Part.HEADWEAR, [_band(rim, 22.0)], textures.ribbon(band), Finish(gloss=0.12, exponent=18)),
    )

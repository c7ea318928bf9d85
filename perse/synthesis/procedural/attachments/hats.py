"""Hats: how the shapes of a model (`hat_models`) sit on a head.

A hat sits on its *rim*, the line in which a plane, tilted backwards, cuts the skull. Crowns rise from the rim either
as domes of the skull's own shape (soft hats) or as the rim's own outline pushed upwards (stiff hats).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from perse.attributes import Category, Part
from perse.curves import ramp
from perse.data import Attachment, AttributePrompt
from perse.synthesis.procedural.attachments.hat_models import (
    HAT_MODELS,
    Band,
    Bow,
    Brim,
    Button,
    Crown,
    Cuff,
    Dome,
    HatModel,
    Pompom,
    RimPlane,
    Shape,
    Visor,
)
from perse.synthesis.procedural.attachments.pieces import Piece, Slots, put_together, slots_of
from perse.synthesis.procedural.attachments.skull import Skull, directions
from perse.synthesis.procedural.attachments.surfaces import Surface, ball, smoothed_around, surface, unit

_COLUMNS = 121
_SMOOTH = 2.5
"""Columns by which a rim is blurred: it follows the skull, not its bumps."""


def rim_plane(prompt: AttributePrompt) -> RimPlane:
    """Plane in which the hat of this prompt ends; hair above it has to go.

    Raises:
        PromptError: not a hat that can be built.
    """
    return HAT_MODELS[slots_of(prompt, Category.HAT)["kind"]].rim


def build_hat(skull: Skull, prompt: AttributePrompt) -> tuple[Attachment, ...]:
    """The hat that the prompt describes, on this head.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    slots = slots_of(prompt, Category.HAT)
    return assemble(HAT_MODELS[slots["kind"]], skull, slots)


def assemble(model: HatModel, skull: Skull, slots: Slots) -> tuple[Attachment, ...]:
    """Attachments of a model, in the table or not, as a prompt's slots ask for it, on a head."""
    fit = _Fit(_Rim.cut(skull, model.rim), model.pieces[0].shapes[0])

    def surfaces(piece: Piece[Shape]) -> list[Surface]:
        return [surface for shape in piece.shapes for surface in fit.surfaces(shape)]

    return put_together(model.pieces, slots, Part.HEADWEAR, surfaces)


@dataclass(frozen=True)
class _Rim:
    """The line on the skull that a hat sits on.

    Attributes:
        azimuth, elevation: [c], from −π to π; the first and last column coincide.
    """

    skull: Skull
    azimuth: Float[np.ndarray, " c"]
    elevation: Float[np.ndarray, " c"]

    @classmethod
    def cut(cls, skull: Skull, plane: RimPlane) -> _Rim:
        azimuth = np.linspace(-np.pi, np.pi, _COLUMNS)
        candidates = np.deg2rad(np.linspace(-60, 75, 271))
        height = plane.height_above(skull, skull.surface(azimuth[None], candidates[:, None]))
        # From above: the lowest direction whose skin is still above the plane.
        below = np.argmax((height < 0)[::-1], 0)
        elevation = candidates[len(candidates) - below - 1]
        return cls(skull, azimuth, smoothed_around(elevation, _SMOOTH))

    @property
    def unit_m(self) -> float:
        """One millimetre of an average head."""
        return 0.001 * self.skull.scale

    def loop(self, lift_mm: float) -> Float[np.ndarray, "c 3"]:
        """The rim lifted off the skin: [c, 3]."""
        towards = directions(self.azimuth, self.elevation)
        radius = smoothed_around(self.skull.radius(towards), _SMOOTH)
        return self.skull.centre + towards * (radius + lift_mm * self.unit_m)[:, None]

    def stiff(
        self, profile: Sequence[tuple[float, float]], lift_mm: float, pinch: Float[np.ndarray, "r c"] | None = None
    ) -> Float[np.ndarray, "r c 3"]:
        """The rim's outline pushed up its own axis: [len(profile), c, 3].

        Args:
            profile: pairs (height in millimetres, size relative to the rim).
            pinch: [len(profile), c] millimetres downwards.
        """
        loop = self.loop(lift_mm)
        middle = loop[:-1].mean(0)
        points = np.array(
            [middle + (loop - middle) * size + self.axis * height * self.unit_m for height, size in profile]
        )
        return points if pinch is None else points - self.axis * (pinch * self.unit_m)[..., None]

    @cached_property
    def axis(self) -> Float[np.ndarray, "3"]:
        """Upwards out of the rim's plane, tilted half as much as the plane: hats do not fall over backwards."""
        loop = self.loop(0.0)
        slope = loop[_COLUMNS // 2] - loop[0]
        normal = unit(np.array([0.0, slope[2], -slope[1]]))
        return unit(normal + np.array([0.0, 1.0, 0.0]))

    @cached_property
    def middle(self) -> Float[np.ndarray, "3"]:
        """[3] inside the head, which surfaces turn away from."""
        return self.loop(0.0).mean(0)


@dataclass(frozen=True)
class _Fit:
    """A model's shapes on one head.

    Attributes:
        shell: what covers the head; buttons and pompoms sit on top of it.
    """

    rim: _Rim
    shell: Shape

    def surfaces(self, shape: Shape) -> list[Surface]:
        match shape:
            case Dome():
                return [surface(self._dome(shape), self.rim.skull.centre).at("crown")]
            case Cuff():
                return [self._cuff(shape).at("cuff")]
            case Crown():
                return [self._crown(shape).at("crown")]
            case Brim():
                return _as_brim(self._brim(shape))
            case Visor():
                return _as_brim(self._visor(shape), turns=shape.half_angle / 180)
            case Button():
                return [self._button(shape).at("top")]
            case Pompom():
                return [self._pompom(shape).at("top")]
            case Band():
                return [self._band(shape).at("band")]
            case Bow():
                return [piece.at(f"bow {number}") for number, piece in enumerate(self._bow(shape))]

    def _top(self) -> Float[np.ndarray, "3"]:
        assert isinstance(self.shell, Dome), "only soft crowns have something on top"
        return self._dome(self.shell)[-1, 0]

    def _dome(self, dome: Dome, rows: int = 30) -> Float[np.ndarray, "{rows} c 3"]:
        """[rows, c, 3] from the rim to the crown."""
        rim, skull = self.rim, self.rim.skull
        way = np.linspace(0, 1, rows)[:, None]
        elevation = rim.elevation + (np.pi / 2 - rim.elevation) * way
        towards = directions(np.broadcast_to(rim.azimuth, elevation.shape), elevation)
        radius = skull.radius(towards)
        radius[:, :-1] = gaussian_filter(radius[:, :-1], (1.5, 2), mode=("nearest", "wrap"))
        radius = radius + rim.unit_m * dome.lift(way, rim.azimuth)
        radius[-1] = radius[-1].mean()
        radius[:, -1] = radius[:, 0]
        points = skull.centre + towards * radius[..., None]
        over = np.clip((points[..., 1] - skull.centre[1]) / (0.09 * skull.scale), 0, 1.5)
        points[..., 2] -= dome.slouch * rim.unit_m * ramp(over)
        return points

    def _cuff(self, cuff: Cuff) -> Surface:
        """Out from the skin, up the outside, over the fold and back to the dome."""
        mm, skull, rim = self.rim.unit_m, self.rim.skull, self.rim
        height, lift = np.array(cuff.section, float).T
        reach = skull.radius(directions(rim.azimuth, rim.elevation))
        elevation = rim.elevation + (height * mm)[:, None] / reach
        towards = directions(np.broadcast_to(rim.azimuth, elevation.shape), elevation)
        radius = smoothed_around(skull.radius(towards), 2, 1)
        points = skull.centre + towards * (radius + (lift * mm)[:, None])[..., None]
        crease = np.where(height > 29, 0.75, 1.0) * np.where(lift < 6, 0.55, 1.0)
        return surface(points, skull.centre).shaded(crease[:, None])

    def _crown(self, crown: Crown) -> Surface:
        rim = self.rim
        way = np.linspace(0, 1, len(crown.profile))[:, None]
        pinch = None if crown.pinch is None else crown.pinch(way, rim.azimuth)
        inside = rim.stiff([(crown.inside, 0.0)], 0.0)[0, 0] if crown.inside else rim.middle
        return surface(rim.stiff(crown.profile, 9.0, pinch), inside)

    def _brim(self, brim: Brim, rows: int = 16) -> list[Surface]:
        """Upper side, underside, edge."""
        rim, mm, loop = self.rim, self.rim.unit_m, self.rim.loop(8.0)
        middle = loop[:-1].mean(0)
        outwards = loop - middle
        outwards = unit(outwards - rim.axis * (outwards @ rim.axis)[:, None])
        way = np.linspace(0, 1, rows)[:, None]
        upper = loop + (way * brim.width * mm)[..., None] * outwards
        upper = upper + (brim.rise(way, rim.azimuth) * mm)[..., None] * rim.axis
        lower = upper - 2.4 * mm * rim.axis
        return [
            surface(upper, middle - rim.axis, repeat_u=2.0),
            surface(lower, middle + rim.axis, repeat_u=2.0).shaded(0.72),
            surface(np.stack([upper[-1], lower[-1]]), middle, v_range=(0.93, 1.0)),
        ]

    def _visor(self, visor: Visor) -> list[Surface]:
        mm, half_angle = self.rim.unit_m, np.deg2rad(visor.half_angle)
        azimuth = np.linspace(-half_angle, half_angle, 57)
        loop = self.rim.loop(9.0)
        root = np.stack([np.interp(azimuth, self.rim.azimuth, loop[:, axis]) for axis in range(3)], 1)
        outline = np.clip(1 - np.abs(azimuth / half_angle) ** 3, 0, 1) ** 0.5
        forward = unit(np.stack([0.30 * np.sin(azimuth), np.zeros_like(azimuth), np.ones_like(azimuth)], 1))
        way = np.linspace(0, 1, 14)[:, None]
        upper = root + way[..., None] * (visor.reach * mm * outline)[:, None] * forward
        bent = visor.bend * (upper[..., 0] / (75 * mm)) ** 2 * np.clip(1.7 * way, 0, 1)
        upper[..., 1] -= (visor.drop * way**0.9 * outline + bent) * mm
        lower = upper - np.array([0.0, 2.6, 0.0]) * mm
        far = np.array([0.0, 1.0, 0.0])
        return [
            surface(upper, root.mean(0) - far).shaded(0.55 + 0.45 * ramp(way / 0.16)),  # the crease at the crown
            surface(lower, root.mean(0) + far).shaded(0.62),
            surface(np.stack([upper[-1], lower[-1]]), root.mean(0), v_range=(0.9, 1.0)),
        ]

    def _button(self, button: Button) -> Surface:
        mm = self.rim.unit_m
        wide, high, deep = button.radii
        return ball(self._top() + np.array([0.0, button.rise, 0.0]) * mm, (wide * mm, high * mm, deep * mm), rings=8)

    def _pompom(self, pompom: Pompom) -> Surface:
        mm, radius = self.rim.unit_m, pompom.radius * self.rim.unit_m
        centre = self._top() + np.array([0.0, 17.0, -2.0]) * mm
        made = ball(centre, (radius, radius, radius), rings=18, segments=32)
        noise = np.random.default_rng(5).standard_normal(made.points.shape[:2])
        bumps = 1 + 0.05 * gaussian_filter(noise, 1.5, mode="wrap") / 0.19
        bumps[:, -1] = bumps[:, 0]
        bumps[[0, -1]] = 1
        points = centre + (made.points - centre) * (bumps * pompom.size)[..., None]
        return surface(points, centre, repeat_u=2.0).shaded(pompom.shade)

    def _band(self, band: Band) -> Surface:
        high = band.height
        rows = [(0.0, 1.0), (0.5, 1.018), (high * 0.5, 1.010), (high - 0.5, 0.995), (high, 0.97)]
        return surface(self.rim.stiff(rows, 9.5), self.rim.middle, repeat_u=4.0)

    def _bow(self, bow: Bow) -> list[Surface]:
        """Two loops and a knot."""
        rim, mm, height = self.rim, self.rim.unit_m, bow.height * self.rim.unit_m
        loop = rim.stiff([(12.0, 1.0)], 13.0)[0]
        column = int(np.argmin(np.abs(rim.azimuth - np.deg2rad(62))))
        centre, along = loop[column], unit(loop[column + 3] - loop[column - 3])
        outwards = unit(centre - rim.middle - rim.axis * ((centre - rim.middle) @ rim.axis))
        pieces = []
        for side in (-1.0, 1.0):
            way = np.linspace(0, 1, 9)[:, None]
            reach, spread = side * 24 * mm * way, height * (0.22 + 0.36 * way)
            middle = centre + reach * along + (4 * mm * np.sin(np.pi * way)) * outwards
            across = np.linspace(-1, 1, 5)[None, :, None]
            pieces.append(surface(middle[:, None] + across * spread[:, None] * rim.axis, centre - outwards))
        pieces.append(ball(centre + 2 * mm * outwards, (5 * mm, 0.32 * height, 5 * mm), rings=8, segments=12))
        return pieces


def _as_brim(surfaces: list[Surface], *, turns: float = 1.0) -> list[Surface]:
    sides = ("brim over", "brim under", "brim over")
    return [made.at(side, turns=turns) for made, side in zip(surfaces, sides, strict=True)]

"""Growing of the layers of a hair style (`hair_styles`) on a head.

Loose hair is three nested shells per side, thinner outwards, with single locks over them; hair on the skull (cropped,
combed back, afro) is a stack of caps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from perse.curves import ramp
from perse.data import Attachment
from perse.synthesis.procedural.attachments.hair_cap import (
    CapEdge,
    CapRim,
    Thickness,
    back_of_head,
    cap,
    comb_towards,
    combed_texture,
)
from perse.synthesis.procedural.attachments.hair_coils import scattered_coils
from perse.synthesis.procedural.attachments.hair_colors import HairColor
from perse.synthesis.procedural.attachments.hair_curtain import curtain
from perse.synthesis.procedural.attachments.hair_fringe import fringe
from perse.synthesis.procedural.attachments.hair_locks import locks
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_sheets import HairFinish, hair_attachment, lifted
from perse.synthesis.procedural.attachments.hair_styles import (
    Combed,
    Curls,
    CurtainStyle,
    Fringe,
    Knot,
    Layer,
    Roots,
    StrandStyle,
    Stubble,
    Tail,
)
from perse.synthesis.procedural.attachments.hair_textures import (
    StrandLook,
    curl_field,
    curl_texture,
    strand_texture,
    stubble_texture,
)
from perse.synthesis.procedural.attachments.hair_tied import band, knot, tail
from perse.synthesis.procedural.attachments.surfaces import Surface, unit

Texture = UInt8[NDArray[np.uint8], "h w 4"]

SHELLS = ((0.0, 1.0), (0.0014, 0.76), (0.0026, 0.48))
"""Height above the innermost shell in metres, and coverage. Farther shells look like wire (seen, by eye)."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Head on which hair of one colour grows.

    Attributes:
        strands: how they run.
        parting: azimuth of the parting, degrees.
        rng: of everything random; the order in which layers grow is part of how they look.
    """

    scalp: Scalp
    color: HairColor
    strands: StrandStyle
    parting: float
    rng: np.random.Generator

    def grown(self, layer: Layer) -> Iterator[Attachment]:
        match layer:
            case Roots():
                yield self._roots(layer)
            case CurtainStyle():
                yield from self._curtain(layer)
            case Fringe():
                yield from self._fringe(layer)
            case Combed():
                yield from self._combed(layer)
            case Stubble():
                yield from self._stubble(layer)
            case Curls():
                yield from self._curls(layer)
            case Tail():
                yield from self._tail(layer)
            case Knot():
                texture = self._texture(layer.look)
                yield self._made("bun", knot(self.scalp, back_of_head(layer.pole), self.rng), texture, self._finish(0))

    def _made(self, name: str, sheets: Sequence[Surface], texture: Texture, finish: HairFinish) -> Attachment:
        return hair_attachment(name, sheets, texture, self.scalp, finish)

    def _texture(self, look: StrandLook, coverage: float = 1.0) -> Texture:
        return strand_texture(self.color, replace(look, coverage=coverage), self.rng)

    def _finish(self, number: int) -> HairFinish:
        """Of a layer, counted from the innermost; that alone casts a shadow."""
        shine = self.color.highlight / 255 * (0.75 if number == 0 else 0.95)
        return HairFinish(anisotropy=shine, casts_shadow=number == 0)

    def _roots(self, roots: Roots) -> Attachment:
        rim = CapRim(overhang=1.0, irregularity=1.2)
        sheet = cap(self.scalp, lambda t, *_: 0.0006 + 0.0012 * ramp(t / 0.2), rim, self.rng)
        red, green, blue = (round(c * (0.50 + 0.42 * self.color.root)) for c in self.color.albedo)
        color = replace(self.color, albedo=(red, green, blue), root=1.0)
        look = StrandLook(contrast=0.18, clumps=50, tip_raggedness=0.0, tip_taper=1e-3)
        edge = CapEdge(softness=roots.softness, jaggedness=3.5, coverage=roots.coverage)
        strands = strand_texture(color, look, self.rng)
        texture = combed_texture(strands, sheet, back_of_head(roots.pole), edge, self.rng)
        return self._made("scalp", [sheet], texture, HairFinish(anisotropy=0.0, casts_shadow=False))

    def _curtain(self, layer: CurtainStyle) -> Iterator[Attachment]:
        shape = self.strands.hung(layer.shape, self.parting)
        sides = [curtain(self.scalp, shape, side, self.rng) for side in (1, -1)]
        textures = [self._texture(self.strands.look, coverage) for _, coverage in SHELLS]
        for number, ((height, _), texture) in enumerate(zip(SHELLS, textures, strict=True)):
            shells = [lifted(side, shell_height(side, layer.spacing * height)) for side in sides]
            made = self._made(f"{layer.name} {number}", shells, texture, self._finish(number))
            yield soft_parting(made, self.scalp)
        for roots in layer.under:
            yield self._roots(roots)
        single = self.strands.locks
        if single is not None:
            ribbons = [lock for share, side in zip((0.0, 0.5), sides, strict=True)
                       for lock in locks(side, single, self.rng, texture_side=share)]  # fmt: skip
            made = self._made("hair locks", ribbons, textures[0], replace(self._finish(1), casts_shadow=False))
            yield as_one_mass(made, self.scalp) if single.coil_radius > 0 else made

    def _fringe(self, layer: Fringe) -> Iterator[Attachment]:
        shape = replace(layer.shape, sweep=layer.sweep * self.parting, wave=self.strands.fringe_wave)
        sheet = fringe(self.scalp, shape, self.rng)
        look = self.strands.look
        look = replace(
            look, columns=512, clumps=30, tip_raggedness=0.10, tip_taper=0.09, side_fade=0.06, root_darkness=0.6,
            root_fade=0.05, waves=0.4 * look.waves, wave_swing=1.5 * look.wave_swing,
        )  # fmt: skip
        for number, (height, coverage) in enumerate(SHELLS[:2]):
            texture = self._texture(look, coverage)
            yield self._made(f"fringe {number}", [lifted(sheet, height)], texture, self._finish(number))

    def _combed(self, layer: Combed) -> Iterator[Attachment]:
        for number, (height, coverage, jaggedness) in enumerate(layer.layers):
            sheet = self._cap(height, layer.rise, layer.rim)
            edge = CapEdge(softness=5.0, jaggedness=jaggedness, coverage=coverage)
            at, strands = back_of_head(layer.pole), self._texture(layer.look)
            texture = combed_texture(strands, sheet, at, edge, self.rng, repeats=layer.repeats)
            made = self._made(f"{layer.name} {number}", [sheet], texture, self._finish(number))
            yield replace(made, tangents=comb_towards(layer.towards * at, made.normals))

    def _stubble(self, layer: Stubble) -> Iterator[Attachment]:
        for number, (height, density) in enumerate(layer.layers):
            sheet = self._cap(height, (0.12, 0.0), CapRim(irregularity=0.6))
            sheet = replace(sheet, uvs=sheet.uvs * [2.0, 1.0])
            texture = stubble_texture(self.color, self.rng, density=density, length=0.0)
            finish = HairFinish(anisotropy=0.0, gloss=0.05, exponent=10, casts_shadow=False)
            yield self._made(f"stubble {number}", [sheet], texture, finish)

    def _cap(self, height: float, rise: tuple[float, float], rim: CapRim) -> Surface:
        return cap(self.scalp, lambda t, *_: height * ramp(t / rise[0] + rise[1]), rim, self.rng)

    def _curls(self, layer: Curls) -> Iterator[Attachment]:
        field = curl_field(self.rng, layer.curl_px)
        last = len(layer.layers) - 1
        for number, (size, drawn_in, coverage, shade) in enumerate(layer.layers):
            rim = CapRim(overhang=-drawn_in, side_overhang=layer.side_overhang - drawn_in, nape_overhang=-20.0)
            sheet = cap(self.scalp, _puff(layer.radius * size, self.rng), rim, self.rng, rows=34)
            sheet = replace(sheet, uvs=_even_uvs(sheet), shade=_puff_shade(sheet))
            texture = curl_texture(self.color, field, self.rng, coverage=coverage, shade=shade)
            finish = HairFinish(anisotropy=0.0, gloss=0.05, exponent=8, casts_shadow=number in (0, last))
            yield self._made(f"curls {number}", [sheet], texture, finish)
        ribbons = scattered_coils(sheet, layer.coils, self.rng)
        texture = self._texture(StrandLook(tip_raggedness=0.0, tip_taper=1e-3))
        made = self._made("coils", ribbons, texture, replace(self._finish(1), casts_shadow=False))
        yield as_one_mass(made, self.scalp)

    def _tail(self, layer: Tail) -> Iterator[Attachment]:
        shape = replace(layer.shape, side=1 if self.parting > 0 else -1, wave=self.strands.wave)
        look, at = self.strands.look, back_of_head(layer.pole)
        sheet = tail(self.scalp, at, shape, self.rng)
        for number, (height, coverage) in enumerate(SHELLS[:2]):
            texture = self._texture(look, coverage)
            yield self._made(f"tail {number}", [lifted(sheet, 1.5 * height)], texture, self._finish(number))
        texture = self._texture(look)
        if self.strands.locks is not None:
            finish = replace(self._finish(1), casts_shadow=False)
            yield self._made("tail locks", locks(sheet, self.strands.locks, self.rng), texture, finish)
        yield self._made("hair tie", [band(self.scalp, at)], texture, self._finish(0))


def shell_height(sheet: Surface, height: float) -> Float[NDArray[np.float64], "..."]:
    """Height of a shell along its strands: shells part from each other below the root, for at the parting and the
    hairline all lie on the same line."""
    v = sheet.uvs[..., 1]
    return height * ramp(v / 0.12)


def soft_parting(made: Attachment, scalp: Scalp) -> Attachment:
    """Normals and tangents that agree on both sides of a parting (v = 0): light must not split the hair in two tones.

    At the parting strands leave to either side at a right angle, whatever their way further down.
    """
    own = ramp(made.uvs[:, 1].astype(float) / 0.30)[:, None]
    radial = unit(made.vertices - scalp.origin)
    normals = unit(radial + own * (made.normals - radial))
    aside = np.sign(made.tangents[:, :1] + 1e-9) * np.array([1.0, 0.0, 0.0])
    aside = unit(aside - (aside * normals).sum(1, keepdims=True) * normals)
    tangents = unit(aside + own * (made.tangents - aside))
    return replace(made, normals=normals.astype(np.float32), tangents=tangents.astype(np.float32))


def as_one_mass(made: Attachment, scalp: Scalp, share: float = 0.55) -> Attachment:
    """Normals bent towards those of the whole head of hair: light scatters between coils, so none is lit by itself."""
    radial = unit(made.vertices - scalp.origin)
    facing = np.sign((radial * made.normals).sum(1, keepdims=True) + 1e-9)
    normals = unit((1 - share) * made.normals * facing + share * radial)
    return replace(made, normals=normals.astype(np.float32))


def _puff(radius: float, rng: np.random.Generator) -> Thickness:
    """Thickness of a ball of curls: full all around, less over the forehead, lumpy."""

    def thickness(
        t: Float[np.ndarray, "r c"], azimuth: Float[np.ndarray, "r c"], elevation: Float[np.ndarray, "r c"]
    ) -> Float[np.ndarray, "r c"]:
        lumps = gaussian_filter(rng.standard_normal(t.shape), (1.1, 1.5), mode=("nearest", "wrap"))
        lumps *= 0.05 / lumps.std()
        lumps[:, -1] = lumps[:, 0]
        front = 0.5 + 0.5 * np.cos(azimuth)
        # A ball, not a cylinder: the outline rises steeply at the rim and is rounded off towards the crown.
        profile = np.sqrt(np.clip(1 - (1 - np.clip(t / 0.45, 0, 1)) ** 2, 0, 1))
        return 0.003 + radius * profile * (1 - 0.35 * front * (1 - t)) * (1 + lumps * ramp(t / 0.2))

    return thickness


def _even_uvs(sheet: Surface) -> Float[NDArray[np.float64], "r c 2"]:
    """Texture coordinates in proportion to lengths on the surface: twice around it, once from rim to crown."""
    steps = np.linalg.norm(np.diff(sheet.points, axis=0), axis=-1).mean(1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    v = np.broadcast_to((arc / arc[-1])[:, None], sheet.points.shape[:2])
    return np.stack([2 * sheet.uvs[..., 0], v], -1)


def _puff_shade(sheet: Surface) -> Float[NDArray[np.float64], "..."]:
    """Curls are darker near the rim, where they lie in each other's shadow."""
    t = np.linspace(0, 1, sheet.points.shape[0])[:, None]
    return np.broadcast_to(0.68 + 0.32 * ramp(t / 0.30), sheet.points.shape[:2])

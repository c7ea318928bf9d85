"""Procedural materials: small RGBA textures of albedo (before lighting), tileable in u.

Every function takes colours as sRGB 0…255 and returns [h, w, 4] uint8. Patterns are bold: a hat is about a hundred
pixels wide in a clip, and finer detail than this would only flicker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Rgb = tuple[int, int, int]
Texture = UInt8[NDArray[np.uint8], "h w 4"]


def contrasting(color: Rgb) -> Rgb:
    """A plain second colour that is told apart from the first: off-white, or navy on light cloth."""
    return (28, 42, 88) if luminance(color) > 150 else (236, 234, 229)


def luminance(color: Rgb) -> float:
    """BT.601 luma of a colour, 0…255."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


@dataclass(frozen=True)
class Grain:
    """Noise that wraps around: its strength, and by how many texels it is blurred along u and v."""

    strength: float
    along_u: float
    along_v: float

    def sown(self, shape: tuple[int, int], seed: int) -> Float[np.ndarray, "h w"]:
        """Values [h, w] of zero mean, whose standard deviation is the strength."""
        return self.strength * _noise(shape, self.along_u, self.along_v, seed)


@dataclass(frozen=True)
class Line:
    """A line of another tone: how much lighter, half its width, and where it is."""

    gain: float
    width: float
    at: float = 0.0

    def drawn(self, away: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
        return self.gain * np.exp(-(((away - self.at) / self.width) ** 2))


@dataclass(frozen=True)
class Mottled:
    """Material without a pattern: rows and columns of its texture, its seed, and what makes it uneven."""

    shape: tuple[int, int]
    seed: int
    grains: tuple[Grain, ...]

    def __call__(self, color: Rgb) -> Texture:
        uneven = [grain.sown(self.shape, self.seed + number) for number, grain in enumerate(self.grains)]
        return _texture(sum(uneven, np.ones(self.shape)), _color(color))


felt = Mottled((192, 256), 5, (Grain(0.045, 1.2, 1.2), Grain(0.04, 7, 7)))
"""Matted wool: soft, without direction."""
silk = Mottled((256, 256), 8, (Grain(0.055, 1.2, 18), Grain(0.025, 7, 30)))
"""Brushed silk plush: long soft streaks along v."""
plain = Mottled((64, 64), 9, (Grain(0.015, 2, 2),))
"""Plastic, lacquer, leather: one colour with a hint of unevenness."""

_STITCHES, _STITCH_ROWS, _STRIPE_ROWS = 44, 34, 4.25
"""Of knitted cloth, around a hat and up it; rows of a stripe."""
_RIBS = 34
_FINE, _COTTON = Grain(0.03, 1, 1), Grain(0.03, 0.7, 0.7)
_TWILL = (220, 70)
"""Its diagonal threads around the cap and up it."""
_SEAM, _DASHES, _DASHES_UP = Line(-0.42, 0.022), Line(0.12, 0.018, 0.075), 40
"""Between two panels, and the stitches beside it; distances in panels."""
_EYELET_UP, _EYELET, _HOLE = 0.62, 0.085, 0.055
_BRIM_SEAMS = tuple(Line(-0.24, 0.012, 0.22 + 0.16 * number) for number in range(5))
_RINGS, _PLAITS = 15, 90
_FACETS, _FACET_ROWS = 12, 5


def knit(color: Rgb, stripe: Rgb | None = None) -> Texture:
    """Stocking stitch: columns of V-shaped loops; `stripe` alternates in broad bands along v."""
    u, v = _coordinates(256, 384)
    across = u * _STITCHES % 1
    along = (v * _STITCH_ROWS + 1.1 * np.abs(across - 0.5)) % 1
    loop = np.sin(np.pi * along) ** 0.6 * (1 - 1.6 * np.abs(np.abs(across - 0.5) - 0.25))
    tone = 0.66 + 0.46 * loop + Grain(0.035, 1, 1).sown(u.shape, 0)
    albedo = _color(color)
    if stripe is not None:
        banded = (np.floor(v * _STITCH_ROWS / _STRIPE_ROWS) % 2 == 1) & (v > 0.02)
        albedo = np.where(banded[..., None], _color(stripe), albedo)
    return _texture(tone, albedo)


def ribbing(color: Rgb) -> Texture:
    """The cuff of a beanie: round ribs along v."""
    u, v = _coordinates(96, 512)
    phase = u * _RIBS % 1
    rib = np.sin(np.pi * phase) ** 0.7
    stitch = 0.5 + 0.5 * np.sin(2 * np.pi * (v * 12 + 0.25 * np.sign(phase - 0.5)))
    return _texture(0.52 + 0.50 * rib + 0.08 * stitch * rib + _FINE.sown(u.shape, 1), _color(color))


def fluff(color: Rgb, *, coverage: float = 1.0, seed: int = 2) -> Texture:
    """Loose wool ends of a pompom; `coverage` below 1 leaves gaps for an outer shell."""
    shape = (128, 128)
    clumps = _noise(shape, 2.2, 2.2, seed)
    tone = 0.95 + 0.10 * clumps + Grain(0.06, 0.8, 0.8).sown(shape, seed + 1)
    alpha = np.ones(shape)
    if coverage < 1:
        ends = _noise(shape, 1.2, 1.2, seed + 2) + 0.5 * clumps
        edge = np.quantile(ends, 1 - coverage)
        alpha = np.clip((ends - edge) / 1.4 + 0.5, 0, 1)
    return _texture(np.clip(tone, 0.6, 1.15), _color(color), alpha)


def panels(color: Rgb, front: Rgb | None = None) -> Texture:
    """Six panels of cotton twill with stitched seams and eyelets; u = 0.5 is the front, v = 1 the button.

    Args:
        front: colour of the two front panels, where it differs.
    """
    u, v = _coordinates(256, 768)
    narrowing = np.clip(1 - v, 0.04, 1)  # the panels taper towards the button
    albedo = np.broadcast_to(_color(color), (*u.shape, 3)).copy()
    if front is not None:
        albedo[np.abs(u - 0.5) < 1 / 6] = _color(front)
    tone = 1 + _COTTON.sown(u.shape, 3) + 0.02 * np.sin(2 * np.pi * (u * _TWILL[0] + v * _TWILL[1]))
    for panel in range(6):
        middle = 0.5 + panel / 6
        distance = np.abs((u - middle + 0.5) % 1 - 0.5) * 6 * narrowing
        dashes = np.sin(2 * np.pi * v * _DASHES_UP) > 0
        tone = tone + _SEAM.drawn(distance) + dashes * _DASHES.drawn(distance)
        eyelet = np.hypot(((u - middle - 1 / 12 + 0.5) % 1 - 0.5) * 6 * narrowing, (v - _EYELET_UP) * 2.2)
        tone = np.where(eyelet < _HOLE, 0.45, np.where(eyelet < _EYELET, 1.10, tone))
    return _texture(tone, albedo)


def stitched(color: Rgb) -> Texture:
    """Cotton with rows of stitching parallel to the rim, as on a cap's brim."""
    u, v = _coordinates(192, 256)
    return _texture(1 + _COTTON.sown(u.shape, 4) + sum(seam.drawn(v) for seam in _BRIM_SEAMS), _color(color))


def straw(color: Rgb) -> Texture:
    """Plaited straw sewn in rings: v runs across the rings."""
    u, v = _coordinates(384, 512)
    ring = v * _RINGS
    plait = np.sin(2 * np.pi * (u * _PLAITS + 0.5 * np.floor(ring)))
    edge = np.abs(ring % 1 - 0.5) * 2
    woven = 0.97 + 0.13 * np.sign(plait) * np.abs(plait) ** 0.6 - 0.34 * edge**6
    return _texture(woven + Grain(0.06, 5, 0.8).sown(u.shape, 6), _color(color))


def ribbon(color: Rgb) -> Texture:
    """Grosgrain: fine ribs across, edges a little darker."""
    u, v = _coordinates(64, 256)
    tone = 1 + 0.05 * np.sin(2 * np.pi * u * 80) + Grain(0.02, 0.6, 3).sown(u.shape, 7)
    tone -= 0.22 * np.clip(np.abs(v - 0.5) * 2 - 0.82, 0, 1) / 0.18
    return _texture(tone, _color(color))


def foam(color: Rgb) -> Texture:
    """Open-celled foam: small dark pores."""
    shape = (128, 256)
    pores = _noise(shape, 1.1, 1.1, 10)
    return _texture(0.95 + Grain(0.10, 4, 4).sown(shape, 11) - 0.35 * (pores > 1.1), _color(color))


def faceted(color: Rgb) -> Texture:
    """A cut stone: triangles that are lit differently."""
    u, v = _coordinates(64, 128)
    row = np.floor(v * _FACET_ROWS)
    along = u * _FACETS + 0.5 * (row % 2)
    upper = along % 1 + v * _FACET_ROWS % 1 > 1
    index = (np.floor(along) % _FACETS * 10 + row * 2 + upper).astype(int)
    sparkle = np.random.default_rng(11).uniform(0.55, 1.45, index.max() + 1)[index]
    return _texture(sparkle, _color(color) + 40 * np.clip(sparkle - 1.2, 0, 1)[..., None] * 4)


def _color(color: Rgb) -> Float[np.ndarray, "3"]:
    return np.array(color, float)


def _coordinates(rows: int, columns: int) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    v, u = np.mgrid[0:rows, 0:columns].astype(float)
    return (u + 0.5) / columns, (v + 0.5) / rows


def _noise(shape: tuple[int, int], along_u: float, along_v: float, seed: int) -> Float[np.ndarray, "h w"]:
    """Unit-variance noise that is blurred by these many texels and wraps around."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (along_v, along_u), mode="wrap")
    return (noise - noise.mean()) / noise.std()


def _texture(
    tone: Float[np.ndarray, "h w"], albedo: Float[np.ndarray, "*a 3"], alpha: Float[np.ndarray, "h w"] | None = None
) -> Texture:
    texture = np.empty((*tone.shape, 4), np.uint8)
    texture[..., :3] = np.clip(np.round(tone[..., None] * albedo), 0, 255)
    texture[..., 3] = 255 if alpha is None else np.round(255 * np.clip(alpha, 0, 1))
    return texture

"""Procedural materials: small RGBA textures of albedo (before lighting), tileable in u.

Every function takes colours as sRGB 0…255 and returns [h, w, 4] uint8. Patterns are bold: a hat is about a hundred
pixels wide in a clip, and finer detail than this would only flicker.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Rgb = tuple[int, int, int]
Texture = UInt8[NDArray[np.uint8], "h w 4"]
FloatArray = NDArray[np.float64]


def contrasting(color: Rgb) -> Rgb:
    """A plain second colour that is told apart from the first: off-white, or navy on light cloth."""
    return (28, 42, 88) if luminance(color) > 150 else (236, 234, 229)


def luminance(color: Rgb) -> float:
    """BT.601 luma of a colour, 0…255."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def knit(color: Rgb, *, stripe: Rgb | None = None, columns: int = 44, rows: int = 34, seed: int = 0) -> Texture:
    """Stocking stitch: columns of V-shaped loops; `stripe` alternates in broad bands along v."""
    u, v = _coordinates(256, 384)
    across = u * columns % 1
    along = (v * rows + 1.1 * np.abs(across - 0.5)) % 1
    loop = np.sin(np.pi * along) ** 0.6 * (1 - 1.6 * np.abs(np.abs(across - 0.5) - 0.25))
    tone = 0.66 + 0.46 * loop + 0.035 * _grain(u.shape, 1.0, 1.0, seed)
    albedo = _color(color)
    if stripe is not None:
        banded = (np.floor(v * rows / 4.25) % 2 == 1) & (v > 0.02)
        albedo = np.where(banded[..., None], _color(stripe), albedo)
    return _texture(tone, albedo)


def ribbing(color: Rgb, *, ribs: int = 34, seed: int = 1) -> Texture:
    """The cuff of a beanie: round ribs along v."""
    u, v = _coordinates(96, 512)
    phase = u * ribs % 1
    rib = np.sin(np.pi * phase) ** 0.7
    stitch = 0.5 + 0.5 * np.sin(2 * np.pi * (v * 12 + 0.25 * np.sign(phase - 0.5)))
    return _texture(0.52 + 0.50 * rib + 0.08 * stitch * rib + 0.03 * _grain(u.shape, 1, 1, seed), _color(color))


def fluff(color: Rgb, *, coverage: float = 1.0, seed: int = 2) -> Texture:
    """Loose wool ends of a pompom; `coverage` below 1 leaves gaps for an outer shell."""
    shape = (128, 128)
    clumps = _grain(shape, 2.2, 2.2, seed)
    tone = 0.95 + 0.10 * clumps + 0.06 * _grain(shape, 0.8, 0.8, seed + 1)
    alpha = np.ones(shape)
    if coverage < 1:
        ends = _grain(shape, 1.2, 1.2, seed + 2) + 0.5 * clumps
        edge = np.quantile(ends, 1 - coverage)
        alpha = np.clip((ends - edge) / 1.4 + 0.5, 0, 1)
    return _texture(np.clip(tone, 0.6, 1.15), _color(color), alpha)


def panels(color: Rgb, front: Rgb | None = None, *, seed: int = 3) -> Texture:
    """Six panels of cotton twill with stitched seams and eyelets; u = 0.5 is the front, v = 1 the button.

    Args:
        front: colour of the two front panels, where it differs.
    """
    u, v = _coordinates(256, 768)
    narrowing = np.clip(1 - v, 0.04, 1)  # the panels taper towards the button
    albedo = np.broadcast_to(_color(color), (*u.shape, 3)).copy()
    if front is not None:
        albedo[np.abs(u - 0.5) < 1 / 6] = _color(front)
    tone = 1 + 0.03 * _grain(u.shape, 0.7, 0.7, seed) + 0.02 * np.sin(2 * np.pi * (u * 220 + v * 70))
    for panel in range(6):
        middle = 0.5 + panel / 6
        distance = np.abs((u - middle + 0.5) % 1 - 0.5) * 6 * narrowing
        tone -= 0.42 * np.exp(-((distance / 0.022) ** 2))
        dashes = np.sin(2 * np.pi * v * 40) > 0
        tone += 0.12 * dashes * np.exp(-(((distance - 0.075) / 0.018) ** 2))
        eyelet = np.hypot(((u - middle - 1 / 12 + 0.5) % 1 - 0.5) * 6 * narrowing, (v - 0.62) * 2.2)
        tone = np.where(eyelet < 0.055, 0.45, np.where(eyelet < 0.085, 1.10, tone))
    return _texture(tone, albedo)


def stitched(color: Rgb, *, seams: int = 5, seed: int = 4) -> Texture:
    """Cotton with rows of stitching parallel to the rim, as on a cap's brim."""
    u, v = _coordinates(192, 256)
    tone = 1 + 0.03 * _grain(u.shape, 0.7, 0.7, seed)
    for seam in range(seams):
        tone -= 0.24 * np.exp(-(((v - 0.22 - 0.16 * seam) / 0.012) ** 2))
    return _texture(tone, _color(color))


def felt(color: Rgb, *, seed: int = 5) -> Texture:
    """Matted wool: soft mottling without direction."""
    shape = (192, 256)
    return _texture(1 + 0.045 * _grain(shape, 1.2, 1.2, seed) + 0.04 * _grain(shape, 7, 7, seed + 1), _color(color))


def straw(color: Rgb, *, rings: int = 15, seed: int = 6) -> Texture:
    """Plaited straw sewn in rings: v runs across the rings."""
    u, v = _coordinates(384, 512)
    ring = v * rings
    plait = np.sin(2 * np.pi * (u * 90 + 0.5 * np.floor(ring)))
    edge = np.abs(ring % 1 - 0.5) * 2
    tone = 0.97 + 0.13 * np.sign(plait) * np.abs(plait) ** 0.6 - 0.34 * edge**6 + 0.06 * _grain(u.shape, 5, 0.8, seed)
    return _texture(tone, _color(color))


def ribbon(color: Rgb, *, seed: int = 7) -> Texture:
    """Grosgrain: fine ribs across, edges a little darker."""
    u, v = _coordinates(64, 256)
    tone = 1 + 0.05 * np.sin(2 * np.pi * u * 80) + 0.02 * _grain(u.shape, 0.6, 3, seed)
    tone -= 0.22 * np.clip(np.abs(v - 0.5) * 2 - 0.82, 0, 1) / 0.18
    return _texture(tone, _color(color))


def silk(color: Rgb, *, seed: int = 8) -> Texture:
    """Brushed silk plush: long soft streaks along v."""
    shape = (256, 256)
    streaks = _grain(shape, 1.2, 18, seed)
    return _texture(1 + 0.055 * streaks + 0.025 * _grain(shape, 7, 30, seed + 1), _color(color))


def plain(color: Rgb, *, mottle: float = 0.015, seed: int = 9) -> Texture:
    """Plastic, lacquer, leather: one colour with a hint of unevenness."""
    shape = (64, 64)
    return _texture(1 + mottle * _grain(shape, 2, 2, seed), _color(color))


def foam(color: Rgb, *, seed: int = 10) -> Texture:
    """Open-celled foam: small dark pores."""
    shape = (128, 256)
    pores = _grain(shape, 1.1, 1.1, seed)
    return _texture(0.95 + 0.10 * _grain(shape, 4, 4, seed + 1) - 0.35 * (pores > 1.1), _color(color))


def faceted(color: Rgb, *, facets: int = 12, seed: int = 11) -> Texture:
    """A cut stone: triangles that are lit differently."""
    u, v = _coordinates(64, 128)
    row = np.floor(v * 5)
    cell = np.floor(u * facets + 0.5 * (row % 2)) % facets
    upper = ((u * facets + 0.5 * (row % 2)) % 1 + (v * 5) % 1) > 1
    index = (cell * 10 + row * 2 + upper).astype(int)
    brightness = np.random.default_rng(seed).uniform(0.55, 1.45, index.max() + 1)
    sparkle = brightness[index]
    return _texture(sparkle, _color(color) + 40 * np.clip(sparkle - 1.2, 0, 1)[..., None] * 4)


def _color(color: Rgb) -> FloatArray:
    return np.array(color, float)


def _coordinates(rows: int, columns: int) -> tuple[FloatArray, FloatArray]:
    v, u = np.mgrid[0:rows, 0:columns].astype(float)
    return (u + 0.5) / columns, (v + 0.5) / rows


def _grain(shape: tuple[int, int], along_u: float, along_v: float, seed: int) -> FloatArray:
    """Unit-variance noise that is blurred by these many texels and wraps around."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (along_v, along_u), mode="wrap")
    return (noise - noise.mean()) / noise.std()


def _texture(tone: FloatArray, albedo: FloatArray, alpha: FloatArray | None = None) -> Texture:
    texture = np.empty((*tone.shape, 4), np.uint8)
    texture[..., :3] = np.clip(np.round(tone[..., None] * albedo), 0, 255)
    texture[..., 3] = 255 if alpha is None else np.round(255 * np.clip(alpha, 0, 1))
    return texture

"""Textures of hair: strands, curls and stubble as RGBA pictures that wrap around in u.

u runs across the strands and wraps; v runs along them, 0 at the root, 1 at the tip. Colour is albedo: light, shadow
and the moving highlight are the renderer's. Alpha is soft everywhere, so that hairlines and silhouettes blend.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from perse.curves import smoothstep
from perse.synthesis.procedural.attachments.hair_colors import HairColor

_STRANDS = ((0.62, 0.8, 7), (0.45, 2.4, 6), (0.32, 8.0, 5))
_SPARSE = ((1.0, 1.5, 6), (0.6, 6.0, 5))
"""Noise of single strands, and of those of an outer shell: strength, correlation, rows."""
STRAND_SIZE = 512
"""Height, and usual width, of textures, texels; at a head 250 pixels high a texel is about half a pixel."""


@dataclass(frozen=True, kw_only=True)
class StrandLook:
    """Look of one layer of strands."""

    coverage: float = 1.0
    """Share of the surface that strands cover; the outer shells are sparse."""
    clumps: int = 22
    """Locks across the texture's width: neighbouring strands that stick together."""
    clump_depth: float = 0.16
    """How much darker the valley between two locks is."""
    contrast: float = 0.15
    """Spread of brightness between strands; above .25 hair looks like wire (measured by eye)."""
    tip_raggedness: float = 0.14
    """How much shorter than the longest strand the shortest one is, as a share of the length."""
    tip_taper: float = 0.10
    """Share of the length over which a lock narrows to a point."""
    root_fade: float = 0.0
    """Share of the length over which strands emerge at the root: 0 is a full parting, .04 a soft hairline."""
    root_darkness: float = 1.0
    """1 applies the colour's root shade, 0 leaves strands evenly bright (the middle of a fringe)."""
    side_fade: float = 0.0
    """Share of the texture's width over which strands thin out towards u = 0 and u = 1 (the edges of a sheet)."""
    waves: float = 0.0
    """Waves along the strand that the picture itself shows, besides those of the surface."""
    wave_swing: float = 0.0
    """How far such a wave swings to the side, as a share of the texture's width."""
    columns: int = STRAND_SIZE
    """Width of the texture, texels."""


def wrapped_noise(
    rng: np.random.Generator, across: float, rows: int, columns: int = STRAND_SIZE
) -> Float[NDArray[np.floating], "h w"]:
    """Zero-mean, unit-deviation noise [STRAND_SIZE, columns] that wraps in u.

    Args:
        across: correlation length in u, texels.
        rows: independent rows over v; few rows make long streaks.
    """
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    coarse = gaussian_filter1d(coarse, across, axis=1, mode="wrap")
    streaks = coarse
    if rows < STRAND_SIZE:
        streaks = cv2.resize(coarse, (columns, STRAND_SIZE), interpolation=cv2.INTER_CUBIC)
    return ((streaks - streaks.mean()) / (streaks.std() + 1e-6)).astype(np.float32)


def layered_noise(
    rng: np.random.Generator, layers: tuple[tuple[float, float, int], ...], columns: int = STRAND_SIZE
) -> Float[NDArray[np.floating], "h w"]:
    """Sum of noises [STRAND_SIZE, columns]: of each its strength, and `across` and `rows` as in `wrapped_noise`."""
    return sum(strength * wrapped_noise(rng, across, rows, columns) for strength, across, rows in layers)  # type: ignore[return-value]


def strand_texture(color: HairColor, look: StrandLook, rng: np.random.Generator) -> UInt8[NDArray[np.uint8], "h w 4"]:
    """Strands gathered into locks: [STRAND_SIZE, look.columns, 4] uint8."""
    columns = look.columns
    v = np.linspace(0, 1, STRAND_SIZE, dtype=np.float32)[:, None]
    across, length = _clumps(look, rng)
    strands = layered_noise(rng, _STRANDS, columns)
    # Locks grow apart towards their tips, so the valleys between them deepen along the strand.
    valley = look.clump_depth * np.abs(across) ** 3 * (0.35 + 0.65 * smoothstep(v / 0.6))
    root = 1 - look.root_darkness * (1 - color.root) * (1 - smoothstep(v / 0.30))
    brightness = np.clip((1 + look.contrast * strands) * (1 - valley) * root, 0.12, 1.5)
    alpha = _tip_alpha(v, across, length, look, rng) * _root_alpha(v, look, rng)
    if look.coverage < 1:
        alpha = alpha * _sparse(look, rng)
    alpha = np.broadcast_to(alpha, brightness.shape)
    if look.wave_swing > 0:
        drift = wrapped_noise(rng, 0.035 * columns, 3, columns)
        brightness, alpha = _waved(brightness, drift, look), _waved(alpha, drift, look)
    if look.side_fade > 0:
        alpha = alpha * _side_alpha(look, rng)
    return _pack(color, brightness, alpha, rng)


@dataclass(frozen=True)
class CurlField:
    """Tangled curls before colouring. Ridges of band-passed noise wind and close like coils seen from all sides.

    Attributes:
        height: [s, s], how far a curl lies above the others; wraps in both directions.
        score: [s, s], which parts are left when curls become sparse.
    """

    height: Float[NDArray[np.floating], "s s"]
    score: Float[NDArray[np.floating], "s s"]


def curl_field(rng: np.random.Generator, curl_px: float) -> CurlField:
    """Curls of a size, texels."""
    ridges = np.zeros((STRAND_SIZE, STRAND_SIZE), np.float32)
    for scale, weight in ((1.0, 1.0), (0.62, 0.8), (1.6, 0.6)):
        field = _band_noise(rng, curl_px * scale / 2.2)
        ridges = np.maximum(ridges, weight * np.exp(-((field / 0.36) ** 2)))
    lumps = _band_noise(rng, curl_px * 2.0)
    height = np.asarray(cv2.GaussianBlur(ridges * (1 + 0.25 * lumps), (0, 0), 0.7), np.float32)
    return CurlField(height, height + 0.35 * lumps)


def curl_texture(
    color: HairColor, field: CurlField, rng: np.random.Generator, *, coverage: float, shade: float
) -> UInt8[NDArray[np.uint8], "s s 4"]:
    """One layer of curls: [s, s, 4] uint8.

    Args:
        field: shared by the layers of a head of hair; each layer shows another part of it.
        coverage: share of opaque texels.
        shade: overall brightness of this layer (inner layers are darker).
    """
    shift = (int(rng.integers(STRAND_SIZE)), int(rng.integers(STRAND_SIZE)))
    height, score = (np.roll(values, shift, (0, 1)) for values in (field.height, field.score))
    brightness = shade * np.clip(0.30 + 0.85 * height, 0.1, 1.45)
    alpha = np.ones_like(height)
    if coverage < 1:
        alpha = smoothstep((score - np.quantile(score, 1 - coverage)) / 0.25 + 0.5)
    v = np.linspace(0, 1, STRAND_SIZE, dtype=np.float32)[:, None]
    alpha = alpha * smoothstep((v + 0.012 * (score - 1)) / 0.035)  # curls, not a line, end at the hairline
    return _pack(color, brightness, alpha, rng)


def stubble_texture(
    color: HairColor, rng: np.random.Generator, *, density: float, length: float
) -> UInt8[NDArray[np.uint8], "s s 4"]:
    """Short dots of hair that thin out towards the hairline at v = 0: [s, s, 4] uint8.

    Args:
        density: share of covered texels in the middle of the scalp.
        length: 0 for dots; larger values draw them out along v, texels.
    """
    size = STRAND_SIZE
    v = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    dots = gaussian_filter(rng.standard_normal((size, size)), (0.9 + length, 0.9), mode=("nearest", "wrap"))
    dots = (dots / dots.std()).astype(np.float32)
    patch = wrapped_noise(rng, 14, 24)
    local = density * smoothstep((v + 0.012 * patch) / 0.16)
    threshold = np.quantile(dots, 1 - np.linspace(0.0, 1.0, 33))[::-1]
    cut = np.interp(local, np.linspace(1.0, 0.0, 33)[::-1], threshold[::-1]).astype(np.float32)
    alpha = smoothstep((dots - cut) / 0.8 + 0.5) * smoothstep(v / 0.03)
    brightness = 0.92 + 0.10 * wrapped_noise(rng, 1.2, size) + 0.05 * patch
    return _pack(color, np.clip(brightness, 0.4, 1.4), alpha, rng)


def _clumps(look: StrandLook, rng: np.random.Generator) -> tuple[Float[np.ndarray, "1 c"], Float[np.ndarray, "1 c"]]:
    """Per column: position inside its lock [1, s] in [-1, 1], and the lock's length [1, s] in [0, 1]."""
    size = look.columns
    widths = rng.uniform(0.45, 1.6, look.clumps)
    edges = np.concatenate([[0.0], np.cumsum(widths)]) / widths.sum() * size
    column = np.arange(size) + 0.5
    index = np.searchsorted(edges, column, side="right") - 1
    across = 2 * (column - edges[index]) / (edges[index + 1] - edges[index]) - 1
    length = rng.uniform(0.0, 1.0, look.clumps)[index]
    return across[None].astype(np.float32), length[None].astype(np.float32)


def _tip_alpha(
    v: Float[np.ndarray, "r 1"],
    across: Float[np.ndarray, "1 c"],
    length: Float[np.ndarray, "1 c"],
    look: StrandLook,
    rng: np.random.Generator,
) -> Float[np.ndarray, "r c"]:
    """Locks end at their own lengths and narrow to points; single strands end a little earlier or later."""
    fine = wrapped_noise(rng, 0.8, 1, look.columns)[:1]
    end = 1 - look.tip_raggedness * (0.75 * length + 0.12 * (1 + np.clip(fine, -1, 1)))
    left = (end - v) / max(look.tip_taper, 1e-3)
    width = np.clip(left, 0, 1) ** 0.6
    inside = smoothstep((width - np.abs(across)) / 0.25 + 0.5)
    return (smoothstep(left / 0.25) * np.where(left >= 1, 1.0, inside)).astype(np.float32)


def _root_alpha(v: Float[np.ndarray, "r 1"], look: StrandLook, rng: np.random.Generator) -> Float[np.ndarray, "_ _"]:
    if look.root_fade <= 0:
        return np.ones((1, 1), np.float32)
    start = look.root_fade * np.clip(0.8 + 0.8 * wrapped_noise(rng, 0.9, 1, look.columns)[:1], 0, 2.2)
    return smoothstep((v - 0.4 * start) / (0.6 * look.root_fade))


def _sparse(look: StrandLook, rng: np.random.Generator) -> Float[np.ndarray, "r c"]:
    """Strands of an outer shell: streaks above a quantile, with soft sides."""
    streaks = layered_noise(rng, _SPARSE, look.columns)
    cut = np.quantile(streaks, 1 - look.coverage)
    return smoothstep((streaks - cut) / 0.7 + 0.5)


def _side_alpha(look: StrandLook, rng: np.random.Generator) -> Float[np.ndarray, "r c"]:
    """Fewer and fewer strands towards the two edges of a sheet that does not wrap."""
    u = (np.arange(look.columns, dtype=np.float32) + 0.5) / look.columns
    inside = np.minimum(u, 1 - u)[None] / look.side_fade
    return smoothstep((inside - 0.5 + 0.35 * wrapped_noise(rng, 1.0, 5, look.columns)) / 0.6 + 0.2)


def _waved(
    picture: Float[np.ndarray, "r c"], drift: Float[np.ndarray, "r c"], look: StrandLook
) -> Float[np.ndarray, "r c"]:
    """Strands that swing from side to side, neighbours together, more towards the tips."""
    rows, columns = picture.shape
    v = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    swing = np.sin(2 * np.pi * look.waves * v + 1.5 * drift) * smoothstep((v - 0.05) / 0.3)
    x = (np.arange(columns, dtype=np.float32)[None] + look.wave_swing * columns * swing) % columns
    y = np.broadcast_to(np.arange(rows, dtype=np.float32)[:, None], x.shape)
    padded = np.concatenate([picture, picture[:, :1]], 1)  # so that the last column blends into the first
    swung = cv2.remap(np.ascontiguousarray(padded, np.float32), x.astype(np.float32), y.copy(), cv2.INTER_LINEAR)
    return np.asarray(swung, np.float32)


def _band_noise(rng: np.random.Generator, sigma: float) -> Float[np.ndarray, "s s"]:
    """Noise with one dominant wavelength of about 6 sigma, wrapping in both directions: [s, s]."""
    size = STRAND_SIZE
    frequency = np.fft.rfftfreq(size)[None] ** 2 + np.fft.fftfreq(size)[:, None] ** 2
    narrow = np.exp(-2 * (np.pi * sigma) ** 2 * frequency)
    band = narrow - np.exp(-2 * (np.pi * 1.6 * sigma) ** 2 * frequency)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * band, (size, size))
    return (field / field.std()).astype(np.float32)


def _pack(
    color: HairColor, brightness: Float[np.ndarray, "r c"], alpha: Float[np.ndarray, "_ _"], rng: np.random.Generator
) -> UInt8[np.ndarray, "r c 4"]:
    """Brightness and alpha to RGBA; strands differ a little in hue (sun-bleached to shaded)."""
    rows, columns = brightness.shape
    warm = cv2.resize(wrapped_noise(rng, 5.0, 4, columns), (columns, rows))[..., None] * np.array(
        [0.035, 0.010, -0.025], np.float32
    )
    # Pale hair lets light through: its shadows are shallow, or white hair would look grey.
    luminance = float(np.dot(color.albedo, (0.299, 0.587, 0.114))) / 255
    brightness = brightness + 0.6 * luminance**2 * np.maximum(1 - brightness, 0)
    rgb = brightness[..., None] * (1 + warm) * np.array(color.albedo, np.float32)
    texture = np.empty((rows, columns, 4), np.uint8)
    texture[..., :3] = np.clip(rgb, 0, 255)
    texture[..., 3] = np.clip(np.broadcast_to(alpha, (rows, columns)) * 255, 0, 255)
    return texture

"""Random colours and surfaces for drawn portraits: smooth noise, strands, folded cloth, patterns, walls."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

Rgb = Float[np.ndarray, "3"]
"""A colour, 0…255."""

HAIR_COLORS = ((18, 15, 14), (40, 28, 22), (70, 46, 32), (105, 72, 46), (150, 110, 70), (190, 155, 105), (120, 55, 30),
               (130, 126, 122), (200, 197, 190))  # fmt: skip
"""RGB of hair in ordinary light: black, browns, blondes, red, grey, white."""
SKIN_COLORS = ((238, 205, 184), (222, 178, 150), (196, 145, 112), (150, 102, 74), (105, 68, 48), (74, 48, 36))


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float]
) -> Float32[np.ndarray, "h w"]:
    """Noise in about [−1, 1] with this many bumps down and across."""
    rows, columns = (max(2, round(n)) for n in cells)
    small = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.clip(np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32) / 2, -1, 1)


def any_color(rng: np.random.Generator) -> Rgb:
    """A random RGB colour, 0…255, muted more often than not."""
    hue, chroma, value = rng.random(), rng.random() ** 1.5, rng.uniform(0.05, 1.0)
    return np.array(colorsys.hsv_to_rgb(hue, chroma, value), np.float32) * 255


def hair_color(rng: np.random.Generator) -> Rgb:
    """A natural hair colour, seldom a dye."""
    if rng.random() < 0.08:
        return any_color(rng)
    color = np.array(HAIR_COLORS[rng.integers(len(HAIR_COLORS))], np.float32)
    return np.clip(color * rng.uniform(0.75, 1.25) + rng.normal(0, 4, 3), 4, 250).astype(np.float32)


def strands(
    rng: np.random.Generator, color: Rgb, across: Float[np.ndarray, "h w"], down: Float[np.ndarray, "h w"], curl: float
) -> Float32[np.ndarray, "h w 3"]:
    """Texture of hair: streaks that follow the head and fall, or curls.

    Args:
        across, down: face coordinates.
        curl: 0 straight … 1 frizzy.
    """
    shape = across.shape
    wave = (0.02 + 0.1 * curl) * smooth_noise(rng, shape, (6 + 30 * curl, 6 + 30 * curl))
    angle = np.arctan2(across, np.maximum(0.35 - down, 0.35)) + wave  # radial over the skull, parallel below
    position = np.where(down < 0, angle, across + wave)
    table = rng.standard_normal(512).astype(np.float32)
    table = 0.6 * table + 0.6 * np.convolve(table, np.ones(9) / 3, "same").astype(np.float32)
    index = np.clip((position + 2.5) / 5 * 2048, 0, 2047)
    streaks = np.interp(index.ravel(), np.arange(512) * 4, table).reshape(shape)
    fine = smooth_noise(rng, shape, (shape[0] / 3, shape[1] / 3)) * (0.3 + curl)
    shine = np.exp(-(((down + rng.uniform(-0.1, 0.6)) / rng.uniform(0.1, 0.3)) ** 2)) * rng.uniform(0, 0.6)
    shade = 1 + 0.16 * streaks + 0.25 * fine + 0.3 * smooth_noise(rng, shape, (4, 4)) + shine
    return (color * shade[..., None] + 25 * shine[..., None]).astype(np.float32)


def cloth(rng: np.random.Generator, color: Rgb, shape: tuple[int, int]) -> Float32[np.ndarray, "h w 3"]:
    """Texture of cloth: folds, and often a pattern or a weave."""
    stretched = (rng.uniform(2, 10), rng.uniform(2, 10))
    folds = smooth_noise(rng, shape, stretched) * rng.uniform(0.02, 0.35)
    picture = np.broadcast_to(color, (*shape, 3)).astype(np.float32)
    kind, rows, columns = rng.random(), *np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    if kind < 0.15:  # stripes
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, 24)
        wave = np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * 2 * np.pi / period + 3 * folds)
        picture = np.where((wave > rng.uniform(-0.4, 0.4))[..., None], picture, any_color(rng))
    elif kind < 0.3:  # flowers, blots
        blots = smooth_noise(rng, shape, (rng.uniform(8, 40), rng.uniform(8, 40)))
        for level in (0.2, 0.45):
            picture = np.where((blots > level)[..., None], any_color(rng), picture)
    elif kind < 0.4:  # a weave
        picture = np.asarray(
            picture * (1 + 0.25 * smooth_noise(rng, shape, (shape[0] / 2, shape[1] / 2)))[..., None], np.float32
        )
    return np.asarray(picture * (1 + folds)[..., None], np.float32)


def wall(
    rng: np.random.Generator, shape: tuple[int, int], photographs: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
) -> Float32[np.ndarray, "h w 3"]:
    """Picture of a background: a plain or shaded wall, noise, or a piece of a photograph out of focus."""
    kind = rng.random()
    if kind < 0.3 and photographs:
        photograph = photographs[rng.integers(len(photographs))]
        side = int(rng.uniform(0.3, 1.0) * min(photograph.shape[:2]))
        top, left = (int(rng.integers(0, n - side + 1)) for n in photograph.shape[:2])
        piece = cv2.resize(photograph[top : top + side, left : left + side], shape[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(piece.astype(np.float32), (0, 0), rng.uniform(0.5, 6)), np.float32)
    color = any_color(rng)
    picture = np.broadcast_to(color, (*shape, 3)).astype(np.float32)
    strength = rng.uniform(0, 0.4)
    shade = 1 + strength * smooth_noise(rng, shape, (2, 2)) + 0.08 * rng.random() * smooth_noise(rng, shape, (60, 60))
    if kind > 0.7:
        other = any_color(rng)
        mix = np.clip(0.5 + smooth_noise(rng, shape, (rng.uniform(2, 12), rng.uniform(2, 12))), 0, 1)[..., None]
        picture = np.asarray(picture * mix + other * (1 - mix), np.float32)
    return np.asarray(picture * shade[..., None], np.float32)

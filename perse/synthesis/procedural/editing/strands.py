"""Hair drawn strand by strand: roots from a density, paths along a flow, an anti-aliased rasterizer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int64, Integer
from numpy.typing import NDArray

from perse.render.compiled import exact_kernel
from perse.shapes import Field, Vectors
from perse.synthesis.procedural.editing.canvas import as_field

_OVERSAMPLING = 2


@dataclass(frozen=True)
class Strands:
    """Hairs ready to be drawn, the lowest first.

    Attributes:
        paths: [n, k, 2] float32, pixels, from root to tip.
        widths: [n] float32, pixels at the root; strands taper to their tips.
        tones: [n, k] float32, brightness relative to the hair's colour.
        opacities: [n] float32 in 0..1.
    """

    paths: Float32[NDArray[np.float32], "n j 2"]
    widths: Float32[NDArray[np.float32], " n"]
    tones: Float32[NDArray[np.float32], "n j"]
    opacities: Float[NDArray[np.float32], " n"]

    @classmethod
    def of(
        cls,
        paths: Float[NDArray[np.floating], "n j 2"],
        widths: Float[NDArray[np.floating], " n"],
        tones: Float[NDArray[np.floating], "n j"],
        opacities: Float[NDArray[np.floating], " n"],
    ) -> Strands:
        """Hairs of any precision; opacities are clipped."""
        return cls(as_field(paths), as_field(widths), as_field(tones), opacities.clip(0, 1))

    def ordered(self, order: Integer[NDArray[np.integer], " n"]) -> Strands:
        """The same strands, drawn in another order."""
        return Strands(self.paths[order], self.widths[order], self.tones[order], self.opacities[order])


def scatter(density: Field, number: int, rng: np.random.Generator) -> Float32[NDArray[np.float32], "n 2"]:
    """Random points [number, 2], as dense as the field says, sorted from the top row to the bottom row."""
    cumulative = density.astype(np.float64).clip(0).ravel().cumsum()
    if cumulative[-1] <= 0:
        return np.zeros((0, 2), np.float32)
    # Stratified draws: no bald spots and no heaps, as real follicles have none.
    draws = (np.arange(number) + rng.uniform(size=number)) / number * cumulative[-1]
    pixels = np.searchsorted(cumulative, draws, side="right").clip(0, density.size - 1)
    corners = np.stack([pixels % density.shape[1], pixels // density.shape[1]], -1)
    return (corners + rng.uniform(-0.5, 0.5, (number, 2))).astype(np.float32)


def sample(
    field: Float32[NDArray[np.float32], "h w *c"], points: Float32[NDArray[np.float32], "n 2"]
) -> Float32[NDArray[np.float32], "n ..."]:
    """Values of a field [h, w] or [h, w, c] at points [n, 2], bilinear."""
    if not len(points):
        return np.zeros((0, *field.shape[2:]), np.float32)
    # OpenCV's maps are limited to 32767 rows; points are laid out in a rectangle.
    columns = 256
    padded = np.zeros((-(-len(points) // columns) * columns, 2), np.float32)
    padded[: len(points)] = points
    at = padded.reshape(-1, columns, 2)
    read = cv2.remap(field, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return as_field(read.reshape(-1, *field.shape[2:])[: len(points)])


def grow(
    roots: Float32[NDArray[np.float32], "n 2"],
    flow: Vectors,
    lengths_px: Float[NDArray[np.floating], " n"],
    *,
    joints: int,
    stiffness: float,
    drift: Float[NDArray[np.floating], "n 2"] | None = None,
) -> Float32[NDArray[np.float32], "n j 2"]:
    """Paths [n, joints, 2] that follow a direction field.

    Args:
        flow: [h, w, 2], need not be normalised.
        stiffness: in 0..1, how much of its direction a hair keeps from joint to joint.
        drift: [n, 2] added to the direction at every joint: each hair's own will, gravity.
    """
    paths = np.empty((len(roots), joints, 2), np.float32)
    paths[:, 0] = roots
    step = (lengths_px / (joints - 1)).astype(np.float32)[:, None]
    heading = _unit(sample(flow, roots))
    for joint in range(1, joints):
        wanted = _unit(sample(flow, paths[:, joint - 1]))
        heading = stiffness * heading + (1 - stiffness) * wanted
        if drift is not None:
            heading = heading + drift
        heading = _unit(heading).astype(np.float32)
        paths[:, joint] = paths[:, joint - 1] + heading * step
    return paths


def gather_into_locks(
    paths: Float32[NDArray[np.float32], "n j 2"], lock_px: float, strength: float, rng: np.random.Generator
) -> tuple[Float32[NDArray[np.float32], "n j 2"], Int64[NDArray[np.int64], " n"]]:
    """Paths whose neighbouring ends are bent together, as oil and curl do.

    Returns:
        The bent paths, and the number of each strand's lock, [n].
    """
    jitter = rng.uniform(-0.35, 0.35, (len(paths), 2)) * lock_px
    cells = np.floor((paths[:, 0] + jitter) / lock_px).astype(np.int64)
    _, first, lock = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    lock = lock.ravel()
    leader = paths[first][lock]
    along = np.linspace(0, 1, paths.shape[1], dtype=np.float32)[None, :, None] ** 1.4
    # The leader's shape at the strand's own scale, so that a short strand is not pulled to a long one's length.
    own = np.linalg.norm(paths[:, -1] - paths[:, 0], axis=-1)
    lead = np.linalg.norm(leader[:, -1] - leader[:, 0], axis=-1)
    ratio = (own / np.maximum(lead, 1e-3)).clip(0, 1.5)[:, None, None]
    target = leader[:, :1] + (leader - leader[:, :1]) * ratio
    return paths + (target - paths) * along * np.float32(strength), lock


def draw(shape: tuple[int, ...], strands: Strands) -> tuple[Field, Field]:
    """Coverage [h, w] in 0..1 and brightness [h, w] of all strands, composited in their order."""
    scale = _OVERSAMPLING
    alpha = np.zeros((shape[0] * scale, shape[1] * scale), np.float32)
    tone = np.zeros_like(alpha)
    paths = (strands.paths + np.float32(0.5)) * scale - np.float32(0.5)
    _draw(
        alpha,
        tone,
        np.ascontiguousarray(paths, np.float32),
        (strands.widths * scale).astype(np.float32),
        np.ascontiguousarray(strands.tones, np.float32),
        strands.opacities.astype(np.float32),
    )
    size = (shape[1], shape[0])
    coverage = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(tone, size, interpolation=cv2.INTER_AREA)
    return as_field(coverage), as_field(weighted / np.maximum(coverage, 1e-4))


def _unit(vectors: Float[NDArray[np.floating], "*n 2"]) -> Float[NDArray[np.floating], "*n 2"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


@exact_kernel
def _draw(alpha, tone, paths, widths, tones, opacities):  # type: ignore[no-untyped-def]
    """Composite strands over `alpha` and over `tone`, which is premultiplied by alpha.

    A pixel takes coverage from the segment into whose span it projects, so joints are not counted twice.
    """
    height, width = alpha.shape
    joints = paths.shape[1]
    for i in range(paths.shape[0]):
        for k in range(joints - 1):
            ax, ay, bx, by = paths[i, k, 0], paths[i, k, 1], paths[i, k + 1, 0], paths[i, k + 1, 1]
            dx, dy = bx - ax, by - ay
            squared = dx * dx + dy * dy + 1e-9
            at = (k + 0.5) / (joints - 1)
            taper = 1.0 if at < 0.5 else 1.0 - 0.85 * (at - 0.5) / 0.5
            radius = 0.5 * widths[i] * (0.35 + 0.65 * taper)
            reach = radius + 1.0
            left = max(0, int(np.floor(min(ax, bx) - reach)))
            right = min(width - 1, int(np.ceil(max(ax, bx) + reach)))
            top = max(0, int(np.floor(min(ay, by) - reach)))
            bottom = min(height - 1, int(np.ceil(max(ay, by) + reach)))
            opacity = opacities[i] * (0.45 + 0.55 * taper)
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    t = ((x - ax) * dx + (y - ay) * dy) / squared
                    if t < 0.0 or t >= 1.0:
                        continue
                    off_x, off_y = x - ax - t * dx, y - ay - t * dy
                    away = np.sqrt(off_x * off_x + off_y * off_y)
                    # Narrower than a pixel: thinner colour, not a thinner line.
                    edge = radius + 0.5 - away
                    if edge <= 0.0:
                        continue
                    a = opacity * min(1.0, edge) * min(1.0, 2.0 * radius)
                    shade = tones[i, k] + (tones[i, k + 1] - tones[i, k]) * t
                    tone[y, x] = tone[y, x] * (1.0 - a) + shade * a
                    alpha[y, x] = alpha[y, x] * (1.0 - a) + a

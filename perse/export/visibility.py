"""Selection of the Gaussians that are seen from where an avatar is good to look at.

How much of a picture a Gaussian makes is the sum of its weights T α over the pixels (Eq. 3). The picture of one channel
is Σ T α c, so the sum is the gradient of all its pixels with respect to the Gaussian's c, and one backward pass has it
for all of them. Cameras on a ring around the head look at every frame; whatever stays under a threshold in all of
them is left out. The threshold is the largest, from one pixel down, with which no picture of the ring changes by more
than rounding to eight bits changes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from perse.export.scene import SplatScene
from perse.gaussians import Gaussians
from perse.geometry import Camera, orbit
from perse.render import CpuRasterizer, rasterize

STEP_DEG = 20
PITCHES_DEG = (-20, 0, 20)
SIZE_PX = 512
LOOKS_A_FRAME = 3
"""Of a motion: neighbouring frames are much alike, and are looked at from other sides."""

FIRST_PX = 1.0
"""Share of a picture, in pixels, under which a Gaussian is tried without."""
HALVINGS = 8
LEAST_DB = 10 * math.log10(12 * 255**2)
"""58.9 dB: the error of rounding to steps of 1/255 is 1/12 of a step's square. Over the pixels of the avatar."""

_SEEN = 0.02
"""Alpha of a pixel that shows the avatar."""


@dataclass(frozen=True)
class VisibleScene:
    """Scene of the Gaussians that are left.

    Attributes:
        scene: with the Gaussians that are seen, in their order.
        left_out: number of those that are not.
        worst_db: PSNR over the avatar's pixels of the picture of the ring that changed most; inf if none changed.
    """

    scene: SplatScene
    left_out: int
    worst_db: float


def without_unseen(scene: SplatScene, reach_deg: float) -> VisibleScene:
    """Scene without what no view within ±`reach_deg` of the portrait's, and ±20° up and down, shows in any frame.

    Args:
        scene: on the CPU.
        reach_deg: up to 180, which is all around.
    """
    whole = Gaussians(*(getattr(scene.gaussians, field.name).clone() for field in fields(Gaussians)))
    looks = ring_looks(scene, reach_deg)
    shares = largest_shares(whole, looks)
    threshold = FIRST_PX
    for _ in range(HALVINGS):
        kept = shares >= threshold
        if kept.all():
            break
        part = _selected(whole, kept)
        worst = _worst_db(whole, part, looks)
        if worst >= LEAST_DB:
            return VisibleScene(replace(scene, gaussians=part), int((~kept).sum()), worst)
        threshold /= 2
    return VisibleScene(scene, 0, math.inf)


def ring_looks(scene: SplatScene, reach_deg: float) -> list[tuple[int, Camera]]:
    """Frames and the cameras that look at them: a still from all of the ring, a motion's frames from three places
    each, left, middle and right, which walk around the ring."""
    turns = math.floor(min(reach_deg, 180) / STEP_DEG)
    yaws = range(-turns * STEP_DEG, min(turns * STEP_DEG, 180 - STEP_DEG) + 1, STEP_DEG)
    home = scene.camera.resized(SIZE_PX, SIZE_PX)
    ring = [
        orbit(home, scene.centre, math.radians(yaw), math.radians(pitch)) for yaw in yaws for pitch in PITCHES_DEG
    ]  # fmt: skip
    stride = next(step for step in range(-(-len(ring) // 3), len(ring) + 2) if math.gcd(step, len(ring)) == 1)
    n = max(len(ring), LOOKS_A_FRAME * scene.n_frames)
    return [(look * scene.n_frames // n, ring[look * stride % len(ring)]) for look in range(n)]


def largest_shares(gaussians: Gaussians, looks: list[tuple[int, Camera]]) -> Float[Tensor, " n"]:
    """Largest contribution of each Gaussian [n] of [f, n] to a picture, in pixels: max over looks of Σ T α."""
    largest = gaussians.means.new_zeros(gaussians.means.shape[1])
    for frame, camera in looks:
        channel = torch.ones(len(largest), 1, requires_grad=True)
        still = replace(gaussians[frame], colors=channel)
        with torch.enable_grad():
            picture = rasterize(still, camera, rasterizer=CpuRasterizer()).colors
            (shares,) = torch.autograd.grad(picture.sum(), channel)
        largest = torch.maximum(largest, shares[:, 0])
    return largest


def _worst_db(whole: Gaussians, part: Gaussians, looks: list[tuple[int, Camera]]) -> float:
    """Of all looks; it stops at the first one below `LEAST_DB`."""
    worst = math.inf
    for error in _squared_errors(whole, part, looks):
        worst = min(worst, -10 * math.log10(max(error, 1e-20)))
        if worst < LEAST_DB:
            break
    return worst


def _squared_errors(whole: Gaussians, part: Gaussians, looks: list[tuple[int, Camera]]) -> Iterator[float]:
    """Mean over the avatar's pixels, on white."""
    white = torch.ones(3)
    with torch.no_grad():
        for frame, camera in looks:
            before, after = (
                rasterize(some[frame], camera, background=white, rasterizer=CpuRasterizer()) for some in (whole, part)
            )
            seen = before.alphas > _SEEN
            if seen.any():
                yield float((before.colors - after.colors)[seen].square().mean())


def _selected(gaussians: Gaussians, kept: Tensor) -> Gaussians:
    return Gaussians(*(getattr(gaussians, field.name)[:, kept] for field in fields(Gaussians)))

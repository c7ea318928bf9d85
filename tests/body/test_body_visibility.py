"""What a picture shows: a slope before the camera, and what a mouth is open upon."""

from __future__ import annotations

import numpy as np
import torch

from perse.body.animation.studio_camera import looking_at
from perse.body.animation.visibility import OUTER, WITHIN, seen_in

CAMERA = looking_at((0.0, 0.0, 0.0), 1.0, 100.0, 64, 64)
EVERYWHERE = np.ones((64, 64), np.float32)


def test_a_tongue_that_falls_away_is_seen_within_a_mouth_and_not_elsewhere() -> None:
    # A floor of 40 × 40 cm, seen from slightly above its far end: 4° between sight and surface.
    across, depth = torch.meshgrid(torch.linspace(-0.2, 0.2, 41), torch.linspace(-0.2, 0.2, 41), indexing="ij")
    floor = torch.stack([across, -0.07 + 0 * depth, depth], -1).reshape(-1, 3)
    corner = torch.arange(41 * 41).reshape(41, 41)[:-1, :-1].reshape(-1, 1)
    faces = torch.cat([corner + torch.tensor([0, 1, 41]), corner + torch.tensor([1, 42, 41])])
    facing = torch.linalg.cross(floor[1] - floor[0], floor[41] - floor[0])[1]
    faces = faces if float(facing) > 0 else faces.flip(1)
    inner = ((across.abs() < 0.15) & (depth.abs() < 0.15)).reshape(-1)
    seen = seen_in(floor, faces, CAMERA, EVERYWHERE, OUTER)[1][inner]
    within = seen_in(floor, faces, CAMERA, EVERYWHERE, WITHIN)[1][inner]
    assert float(seen.max()) == 0
    # A pixel is 1 cm wide and up to 14 cm deep on this floor, so the depth at a pixel's middle is not every point's.
    assert float((within > 0.5).float().mean()) > 0.3


def test_a_tooth_behind_a_lip_is_not_seen() -> None:
    lip = torch.tensor([[-0.2, -0.2, 0.0], [0.2, -0.2, 0.0], [0.0, 0.2, 0.0]])
    tooth = 0.3 * lip + torch.tensor([0.0, 0.0, -0.003])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    seen = seen_in(torch.cat([lip, tooth]), faces, CAMERA, EVERYWHERE, WITHIN)[1]
    assert float(seen[3:].max()) == 0

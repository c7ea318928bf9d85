"""What closes the back is drawn for those who look from behind, and for nobody else."""

from __future__ import annotations

import numpy as np
import torch
from tolerances import CHAIN

from perse.avatar.facing import FADING, culled
from perse.avatar.points import quaternions_facing
from perse.gaussians import Gaussians
from perse.geometry import Camera


def camera_at(yaw_deg: float) -> Camera:
    """Two metres from the origin, at a yaw around it, looking at it."""
    yaw = np.radians(yaw_deg)
    world_to_camera = torch.eye(4)
    world_to_camera[:3, :3] = torch.tensor(
        [[np.cos(yaw), 0, -np.sin(yaw)], [0, -1, 0], [-np.sin(yaw), 0, -np.cos(yaw)]], dtype=torch.float32
    )
    world_to_camera[:3, 3] = torch.tensor([0.0, 0.0, 2.0])
    return Camera(world_to_camera, torch.tensor([[60.0, 0, 32], [0, 60, 32], [0, 0, 1]]), 64, 64)


def points(normals: torch.Tensor, seed: int = 0) -> Gaussians:
    random = torch.Generator().manual_seed(seed)
    n = len(normals)
    return Gaussians(
        means=0.1 * torch.randn(n, 3, generator=random),
        quats=3 * quaternions_facing(torch.nn.functional.normalize(normals, dim=-1)),  # nobody promises unit length
        scales=torch.full((n, 3), 0.01),
        opacities=0.2 + 0.7 * torch.rand(n, generator=random),
        colors=torch.rand(n, 3, generator=random),
    )


def test_seen_from_behind_and_not_from_the_front() -> None:
    gaussians = points(torch.tensor([[0.0, 0.1, -1.0], [0.0, 0.0, 1.0]]))
    backs = torch.tensor([True, False])
    front, behind = (culled(gaussians, backs, camera_at(yaw)).opacities for yaw in (0.0, 180.0))
    assert front[0] == 0 and behind[0] == gaussians.opacities[0]
    assert front[1] == behind[1] == gaussians.opacities[1], "others are drawn from everywhere"


def test_equals_a_loop_over_points() -> None:
    random = torch.Generator().manual_seed(1)
    gaussians = points(torch.randn(40, 3, generator=random))
    backs = torch.rand(40, generator=random) < 0.5
    for camera in (camera_at(yaw) for yaw in (0.0, 75.0, 200.0)):
        expected = gaussians.opacities.clone()
        centre = np.linalg.inv(camera.world_to_camera.double().numpy())[:3, 3]
        for i in torch.nonzero(backs)[:, 0].tolist():
            w, x, y, z = (gaussians.quats[i] / gaussians.quats[i].norm()).tolist()
            outwards = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), w * w - x * x - y * y + z * z])
            towards = centre - gaussians.means[i].double().numpy()
            cosine = float(outwards @ towards / np.linalg.norm(towards))
            expected[i] *= min(1.0, max(0.0, cosine / FADING))
        torch.testing.assert_close(culled(gaussians, backs, camera).opacities, expected, **CHAIN)


def test_one_camera_for_each_frame() -> None:
    one = points(torch.randn(20, 3, generator=torch.Generator().manual_seed(2)))
    two = Gaussians(*(torch.stack([v, v]) for v in (one.means, one.quats, one.scales, one.opacities, one.colors)))
    cameras = camera_at(30.0), camera_at(150.0)
    stacked = Camera(
        torch.stack([c.world_to_camera for c in cameras]), torch.stack([c.intrinsics for c in cameras]), 64, 64
    )
    backs = torch.ones(20, dtype=torch.bool)
    together = culled(two, backs, stacked).opacities
    for row, camera in zip(together, cameras, strict=True):
        torch.testing.assert_close(row, culled(one, backs, camera).opacities, **CHAIN)


def test_nothing_to_cull_costs_nothing() -> None:
    gaussians = points(torch.randn(5, 3))
    assert culled(gaussians, torch.zeros(5, dtype=torch.bool), camera_at(0.0)) is gaussians

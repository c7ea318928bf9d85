"""Points for the body below the head model: neck, shoulders, clothes.

The portrait's camera and body are both still, so no clip says how deep the body is; it only has to stand behind the
chin and in front of nothing. A flat elliptical relief makes it hold together when someone turns the camera of a
finished avatar a little. It lies flatter than a torso: a real chest would swallow a long beard when the mouth opens.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from perse.attributes import Part
from perse.avatar.points import IdentityMesh, MeshPrior, sample_triangles
from perse.geometry import Camera
from perse.head import Joint
from perse.shapes import SoftMask

HALF_WIDTH_M = 0.24
"""Half the width of the shoulders."""

NECK_RADIUS_M, CHEST_DEPTH_M, CHEST_DROP_M = 0.05, 0.045, 0.12
"""Depth of the relief in front of the spine at the neck's base and this far below it."""

BODY_PARTS = (Part.NECK, Part.CLOTHES)
"""What the body layer shows."""


def body_coverage(parts: UInt8[np.ndarray, "s f h w"], minimum_share: float = 0.05) -> SoftMask:
    """Mask [h, w] float32, 1 or 0, of where body points are wanted, from part maps [s, f, h, w].

    A pixel counts if it shows the body in a twentieth of all frames and subjects: behind the chin it is seen rarely,
    but it is seen.
    """
    flat = parts.reshape(-1, *parts.shape[-2:])
    shown = np.zeros(flat.shape[1:], np.int64)
    for part in BODY_PARTS:
        shown += (flat == part).sum(0)
    return (shown >= minimum_share * len(flat)).astype(np.float32)


def body_points(
    mesh: IdentityMesh, camera: Camera, coverage: SoftMask, count: int, rng: np.random.Generator
) -> MeshPrior:
    """`count` points behind the covered pixels, on the relief; they follow the root joint and nothing else."""
    pixels, jitter = sample_triangles(torch.from_numpy(coverage.reshape(-1)), count, rng)
    x_px = (pixels % coverage.shape[1]).float() + jitter[:, 0]
    y_px = (pixels // coverage.shape[1]).float() + jitter[:, 1]
    rest, normals = _lift(mesh, camera, torch.stack([x_px, y_px], 1))
    skinning = torch.zeros(count, mesh.at_vertices.skinning.shape[1])
    skinning[:, Joint.GLOBAL] = 1
    basis = torch.zeros(count, *mesh.at_vertices.blend_basis.shape[1:])
    return MeshPrior(rest, rest.clone(), normals, basis, skinning)


def relief_distance(points: Float[Tensor, "*b 3"], neck: Float[Tensor, "3"], camera: Camera) -> Float[Tensor, " *b"]:
    """Distance [...], metres, of points [..., 3] before the relief; negative behind it.

    Args:
        neck: [3], the neck joint at rest.
        camera: the portrait's.
    """
    forward = -camera.world_to_camera[2, :3]
    offset = points - neck
    return offset @ forward - _relief(offset)


def relief_loss(
    means: Float[Tensor, "s n 3"], skinning: Float[Tensor, "n j"], neck: Float[Tensor, "3"], camera: Camera
) -> Float[Tensor, ""]:
    """Mean square distance of the body's front from its relief, in square centimetres; a scalar.

    Camera and body stand still in all clips, so nothing else says how deep the body's points are: left alone they drift
    along their rays, tens of centimetres in a training [M], and stand as blobs beside the shoulders when the camera
    moves.

    Args:
        means: [s, n, 3], rest space, metres.
        skinning: [n, j], rows sum to one: the body is what follows the root alone.
    """
    body = torch.nonzero(skinning.detach()[:, Joint.GLOBAL] > 0.95)[:, 0]
    if not len(body):
        return means.new_zeros(())
    return 1e4 * relief_distance(means[:, body], neck, camera).square().mean()


def _lift(
    mesh: IdentityMesh, camera: Camera, pixels: Float[Tensor, "n 2"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Pixels [n, 2] to points and normals [n, 3] on the relief, by a few fixed-point steps along each ray."""
    base = mesh.joints[Joint.NECK]
    rotation, translation = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
    homogeneous = torch.cat([pixels, torch.ones(len(pixels), 1)], 1)
    rays = homogeneous @ torch.linalg.inv(camera.intrinsics).T @ rotation  # camera rays in world axes, depth 1
    eye = -translation @ rotation
    depth = torch.full((len(pixels),), float((rotation @ base + translation)[2]))
    points = eye + rays * depth[:, None]
    forward = -rotation[2]  # towards the camera
    for _ in range(4):
        wanted = _relief(points - base) + float(base @ forward)
        missing = wanted - points @ forward
        points = points + rays * (missing / (rays @ forward))[:, None]
    sideways = torch.zeros_like(points)
    sideways[:, 0] = 0.5 * (points[:, 0] - base[0]) / HALF_WIDTH_M
    return points, torch.nn.functional.normalize(forward + sideways, dim=-1)


def _relief(offset: Float[Tensor, "*b 3"]) -> Float[Tensor, " *b"]:
    """How far the body's surface stands before the spine at offsets [..., 3] from the neck joint, metres [...]."""
    across = (offset[..., 0] / HALF_WIDTH_M).clamp(-1, 1)
    down = (-offset[..., 1] / CHEST_DROP_M).clamp(0, 1)
    return (NECK_RADIUS_M + (CHEST_DEPTH_M - NECK_RADIUS_M) * down) * torch.sqrt((1 - across * across).clamp_min(1e-6))

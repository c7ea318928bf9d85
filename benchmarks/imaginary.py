"""An avatar and training clips without a photograph: the sizes of a real one, made in seconds from the embedded head.

Points lie on the head and in a shell around it, every category has a region where it would have one, and the clips are
drawn from a second avatar of the same points, so that a training step finds residuals of an ordinary size everywhere.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from perse.attributes import CATEGORIES, Category
from perse.avatar import Avatar, AvatarConfig, LatentConfig, NetworksConfig, PartBasesConfig, Subject
from perse.avatar.avatar import AvatarCard
from perse.avatar.canonical import COLOR, N_ATTRIBUTES, pack_attributes
from perse.avatar.latents import SubjectFeatures
from perse.avatar.motion import Skeleton
from perse.avatar.points import (
    IdentityMesh,
    Layer,
    MeshPrior,
    StartingPoints,
    quaternions_facing,
    sample_triangles,
    spacing,
)
from perse.data import PortraitClip
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters
from perse.head.embedded import embedded_head
from perse.render import CpuRasterizer, rasterize
from perse.synthesis.motion import load_motion
from perse.training import ClipStore

LAPTOP_NETWORKS = NetworksConfig(
    deform_width=64, deform_depth=3, color_width=64, color_depth=4, color_skip=2, pose_width=32, pose_depth=2
)
"""The `networks` decoder at widths that a laptop can train."""

SHELL_SHARE = 1 / 3
SHELL_M = 0.012


def imaginary_avatar(
    decoder: PartBasesConfig | NetworksConfig,
    *,
    points: int = 15_000,
    subjects: int = 37,
    size_px: int = 256,
    latents: LatentConfig | None = None,
    seed: int = 0,
) -> Avatar:
    """An untrained avatar: the reference and edits of all categories in turn."""
    model, mesh = _head()
    rng = np.random.default_rng(0)
    prior = _points(mesh, points, rng)
    regions = _regions(prior.rest)
    rows = [Subject("reference", None, "")]
    rows += [Subject(f"edit-{s}", CATEGORIES[s % len(CATEGORIES)], "a prompt") for s in range(subjects - 1)]
    start = StartingPoints(
        prior, _attributes(prior), torch.full((points,), int(Layer.HEAD)), regions, _edits(rows, regions, seed)
    )
    card = AvatarCard("imaginary", portrait_camera(size_px), model.expression_names, model.joint_names, ())
    skeleton = Skeleton(mesh.joints, model.parents, model.n_expression, correctives=mesh.correctives)
    generator = torch.Generator().manual_seed(1)
    image, text = torch.randn(2, subjects, 512, generator=generator)
    categories = torch.tensor([-1 if row.category is None else row.category.index for row in rows])
    config = AvatarConfig(latents=latents or LatentConfig(hidden=128), decoder=decoder)
    return Avatar(config, card, skeleton, start, rows, SubjectFeatures(image, text, categories), seed=seed)


def imaginary_clips(avatar: Avatar, *, frames: int = 12) -> ClipStore:
    """Clips of an avatar's subjects: pictures of another avatar with the same points and other edits."""
    model, _ = _head()
    camera = avatar.card.camera
    truth = imaginary_avatar(
        PartBasesConfig(depth=0), points=avatar.n_gaussians, subjects=len(avatar.subjects), size_px=camera.width, seed=7
    )
    numbers = np.linspace(0, 399, frames).round().astype(np.int32)
    parameters: HeadParameters = load_motion(model).frame(torch.from_numpy(numbers).long())
    clips = []
    with torch.no_grad():
        for row, subject in enumerate(truth.subjects):
            gaussians = truth.pose(truth.canonicalise(truth.subject_codes()[row]), parameters)
            drawn = rasterize(gaussians, camera, background=torch.ones(3), rasterizer=CpuRasterizer())
            images = (drawn.colors.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
            alphas = (drawn.alphas * 255).round().to(torch.uint8).numpy()
            clips.append(
                PortraitClip(subject.key, numbers, images, alphas, np.zeros_like(alphas), parameters, camera)
            )  # fmt: skip
    return ClipStore(clips)


def portrait_camera(size_px: int) -> Camera:
    """Like a tracked portrait's: 3.2 face widths across."""
    intrinsics = torch.tensor([[4.0 * size_px, 0, size_px / 2], [0, 4.0 * size_px, 0.46 * size_px], [0, 0, 1]])
    world_to_camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    world_to_camera[2, 3] = 1.9
    return Camera(world_to_camera, intrinsics, size_px, size_px)


@lru_cache
def _head() -> tuple[HeadModel, IdentityMesh]:
    model = embedded_head()
    still = HeadParameters(
        torch.zeros(model.shape_basis.shape[-1]), torch.zeros(model.n_vertices, 3),
        torch.zeros(model.n_expression), torch.zeros(model.n_joints, 3),
    )  # fmt: skip
    return model, IdentityMesh(model, still)


def _points(mesh: IdentityMesh, count: int, rng: np.random.Generator) -> MeshPrior:
    on_head = round(count * (1 - SHELL_SHARE))
    density = mesh.triangle_density()
    surface = mesh.on_surface(*sample_triangles(density, on_head, rng))
    below = mesh.on_surface(*sample_triangles(density, count - on_head, rng))
    height = torch.from_numpy(rng.uniform(0.2, 1, (count - on_head, 1)).astype(np.float32))
    return MeshPrior.joined([surface, mesh.near(below.rest + SHELL_M * height * below.normals)])


def _attributes(prior: MeshPrior) -> Tensor:
    size = spacing(prior.rest).clamp(0.0005, 0.01).log()[:, None].expand(-1, 3).clone()
    size[:, 2] -= 1.0  # flat on the surface
    shade = torch.sin(60 * prior.rest)
    return pack_attributes(
        prior.rest, quaternions_facing(prior.normals), size, torch.full((len(prior),), 2.0), shade
    )  # fmt: skip


def _regions(rest: Tensor) -> Tensor:
    """Which categories may change a point [n, k]: boxes where people wear such things."""
    x, y, z = rest.unbind(1)
    back = z < 0.02
    where = {
        Category.HAIR: (y > 0.04) | (back & (y > -0.1)),
        Category.HAT: y > 0.03,
        Category.HEADPHONES: (x.abs() > 0.06) | (y > 0.1),
        Category.EARRINGS: (x.abs() > 0.06) & (y < 0),
        Category.EYEBROWS: (y - 0.025).abs() < 0.012,
        Category.NOSE: (x.abs() < 0.02) & ((y + 0.02).abs() < 0.03),
        Category.MOUTH: (x.abs() < 0.035) & ((y + 0.065).abs() < 0.02),
        Category.BEARD: (y < -0.04) & ~back,
        Category.CLOTHES: y < -0.12,
    }
    return torch.stack([where[category] for category in CATEGORIES], 1)


def _edits(rows: list[Subject], regions: Tensor, seed: int) -> Tensor:
    """A recoloured region for each subject."""
    edits = torch.zeros(len(rows), len(regions), N_ATTRIBUTES)
    generator = torch.Generator().manual_seed(seed)
    for row, subject in enumerate(rows):
        if subject.category is not None:
            change = torch.zeros(N_ATTRIBUTES)
            change[COLOR] = torch.randn(3, generator=generator)
            edits[row] = regions[:, subject.category.index, None] * change
    return edits

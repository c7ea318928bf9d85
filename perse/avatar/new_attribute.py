"""Start of a new subject of a trained avatar: which points change, and which are missing.

As `initialisation` does it for all subjects at once: a photo hull for what stands off the head, body points for
clothes, and colours and presence read off the new clip.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import CATEGORY_PARTS, Category
from perse.avatar.added_parts import AttributeStart
from perse.avatar.avatar import Avatar
from perse.avatar.body import BODY_PARTS, body_coverage, body_points
from perse.avatar.canonical import COLOR, N_ATTRIBUTES, OPACITY, CanonicalGaussians, pack_attributes
from perse.avatar.hull import SHELL_PARTS, HullPart, carve
from perse.avatar.initialisation import SOLID_SHARE, StartConfig, changed_regions, logit_of
from perse.avatar.observation import WatchedFrames, observe, watch
from perse.avatar.points import IdentityMesh, MeshPrior, quaternions_facing, sample_triangles, spacing
from perse.data import PortraitClip
from perse.head import HeadModel

INVISIBLE_LOGIT = -5.8
"""Opacity 0.003: rasterizers skip what covers less than 1/255 of a pixel, so other subjects do not change at all. Not
lower: half-way to another subject the points must have begun to show."""


@dataclass(frozen=True, kw_only=True)
class NewAttributeConfig:
    """Numbers of a new attribute: how many points it brings, and how it is watched."""

    shell_points: int = 2500
    """Points in the photo hull of hair, a hat, a beard, headphones or earrings."""
    body_points: int = 1000
    """Points on clothes."""
    watched: StartConfig = field(default_factory=StartConfig)
    """Frames, hull and region prior."""


def attribute_start(
    avatar: Avatar,
    model: HeadModel,
    reference: PortraitClip,
    clip: PortraitClip,
    category: Category,
    config: NewAttributeConfig,
    *,
    seed: int,
) -> AttributeStart:
    """Read a new subject's beginning off its clip.

    Args:
        avatar: trained, on the CPU.
        model: the head model that it was made with.
        reference, clip: training frames of the unedited person and of the new subject.
        seed: of the sampling.
    """
    rng = np.random.default_rng(seed)
    mesh = IdentityMesh(model, reference.parameters)
    motion = avatar.skeleton(reference.parameters)
    watched = watch([reference, clip], motion, mesh, config.watched.watched_frames)
    canonical = avatar.canonicalise(avatar.latents.reference).detach()
    fresh = _fresh_points(mesh, watched, category, config, rng)
    prior = MeshPrior.joined([_prior_of(canonical), fresh])
    seen = observe(prior, watched)
    n = len(canonical)
    before = np.concatenate([torch.sigmoid(canonical.opacity_logits).numpy() > 0.5, np.zeros(len(fresh), np.bool_)])
    solid = seen.inside[1] > SOLID_SHARE
    worn = np.isin(seen.parts[1], [int(part) for part in CATEGORY_PARTS[category]])
    after = solid & (worn | before)
    region = changed_regions(
        prior.rest, seen, np.stack([before, after]), [-1, category.index], config.watched
    )[:, category.index]  # fmt: skip
    region[n:] = True
    attributes = torch.cat([canonical.attributes, _invisible(fresh, seen.colors[1, n:])])
    change = _change(attributes, after, before, seen.colors[1], seen.seen > 0, config.watched)
    members = torch.nonzero(region[:n])[:, 0]
    return AttributeStart(fresh, attributes[n:], change[n:], members, change[members])


def _prior_of(canonical: CanonicalGaussians) -> MeshPrior:
    """The avatar's own points as they were learned."""
    rest = canonical.means
    return MeshPrior(rest, rest, torch.zeros_like(rest), canonical.blend_basis, canonical.skinning)


def _fresh_points(
    mesh: IdentityMesh, watched: WatchedFrames, category: Category, config: NewAttributeConfig,
    rng: np.random.Generator,
) -> MeshPrior:  # fmt: skip
    """Points where the new part is seen."""
    if category is Category.CLOTHES:
        coverage = body_coverage(np.where(np.isin(watched.parts[1:], BODY_PARTS[1:]), watched.parts[1:], 0))
        return body_points(mesh, watched.camera, coverage, config.body_points if coverage.any() else 0, rng)
    nothing = mesh.near(torch.zeros(0, 3))
    parts = [part for part in CATEGORY_PARTS[category] if part in SHELL_PARTS and (watched.parts[1] == part).any()]
    if not parts or not config.shell_points:
        return nothing
    hull = carve(mesh, watched, [HullPart(1, parts[0])], config.watched.hull)
    if not hull.likelihood.any():
        return nothing
    picked, _ = sample_triangles(torch.from_numpy(hull.likelihood[0]), config.shell_points, rng)
    jitter = torch.from_numpy(rng.uniform(-0.5, 0.5, (config.shell_points, 3)).astype(np.float32))
    return mesh.near(hull.centres[picked] + config.watched.hull.voxel_m * jitter)


def _invisible(prior: MeshPrior, colors: NDArray[np.float32]) -> Tensor:
    """Attributes [e, 14] of new points, in the colours that they will show."""
    if len(prior) < 5:
        return torch.zeros(len(prior), N_ATTRIBUTES)
    size = spacing(prior.rest).clamp(0.0005, 0.02)
    scales = 0.9 * torch.stack([size, size, 0.8 * size], 1)
    opacity = torch.full((len(prior),), INVISIBLE_LOGIT)
    color = logit_of(torch.from_numpy(colors))
    return pack_attributes(prior.rest, quaternions_facing(prior.normals), scales.log(), opacity, color)


def _change(
    attributes: Tensor, after: NDArray[np.bool_], before: NDArray[np.bool_], colors: NDArray[np.float32],
    visible: NDArray[np.bool_], config: StartConfig,
) -> Tensor:  # fmt: skip
    """What the new subject changes [n, 14]: opacity where something comes or goes, colour of what is seen."""
    change = torch.zeros_like(attributes)
    present, absent = (logit_of(torch.tensor(x)) for x in (config.present_opacity, config.absent_opacity))
    opacity = attributes[:, OPACITY]
    wanted = torch.where(torch.from_numpy(after & ~before), present, opacity)
    wanted = torch.where(torch.from_numpy(before & ~after), absent, wanted)
    change[:, OPACITY] = wanted - opacity
    shown = torch.from_numpy(after & visible)[:, None]
    change[:, COLOR] = torch.where(shown, logit_of(torch.from_numpy(colors)) - attributes[:, COLOR], 0.0)
    return change

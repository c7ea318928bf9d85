"""Starting points of an avatar: on the head, in the photo hulls around it and on the body, coloured from the clips.

Every subject's difference from the reference is guessed as well. Together with the region prior this lets training
begin with every edit roughly in place instead of having to discover it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from perse.attributes import CATEGORIES, Category, Part
from perse.avatar.around import HeadAxis, within_reach
from perse.avatar.backs import Backs, SeenFront, back_points
from perse.avatar.body import BODY_PARTS, body_coverage, body_points
from perse.avatar.canonical import COLOR, N_ATTRIBUTES, OPACITY, pack_attributes
from perse.avatar.hull import SHELL_PARTS, HullConfig, carve, standing_off
from perse.avatar.motion import Skeleton
from perse.avatar.observation import Observation, WatchedFrames, observe, watch
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
from perse.head import HeadModel, Joint

logger = logging.getLogger(__name__)

SOLID_SHARE = 0.85
"""A point that falls outside the person's silhouette more often than the rest is not there."""

NOT_THE_HEAD = (Part.BACKGROUND, Part.CLOTHES)
"""What a point on the head's mesh does not look like, whatever the frames show in its place."""

UNSEEN_SHARE = 0.15
"""Density of points on triangles that no watched frame sees, relative to those seen in half of them or more. Not
zero: the camera of a finished avatar may be turned."""


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """Numbers and places of starting points."""

    head_points: int = 5500
    """On the head model's surface, denser around eyes, mouth and brows."""
    shell_points: int = 6500
    """In the photo hull around it: hair, hats, headphones, earrings, beards."""
    body_points: int = 3000
    """On neck, shoulders and clothes."""
    back_points: int = 0
    """Behind head and body, where no frame looks: they close what is seen from behind. 0 leaves the back open."""
    watched_frames: int = 24
    """Frames that the hull and the first colours are taken from."""
    watched_subjects: int | None = None
    """Edited subjects that are looked at, as many of each category as its share; None looks at all. Memory grows with
    them: 31 MB each at 512 px and 24 frames. Subjects that are not looked at start as the reference."""
    hull: HullConfig = field(default_factory=HullConfig)
    """How finely the hull is carved."""
    changed_share: float = 0.15
    """A point joins a category's region when one of its subjects differs there in this share of frames."""
    region_growth_m: float = 0.008
    """Regions grow by this, so that their border can move."""
    absent_opacity: float = 0.02
    """Opacity of points where a subject shows nothing. Not zero: they must keep a gradient."""
    present_opacity: float = 0.88
    """Opacity of points where it shows something."""

    @property
    def n_points(self) -> int:
        """All of them."""
        return self.head_points + self.shell_points + self.body_points + self.back_points


def starting_points(
    model: HeadModel,
    reference: PortraitClip,
    edited: Sequence[tuple[PortraitClip, Category]],
    config: StartConfig,
    seed: int,
) -> tuple[StartingPoints, IdentityMesh]:
    """Initialise from clips.

    Args:
        model: the head model of the clips' parameters.
        reference: the unedited person.
        edited: the subjects, each with the category of its edit.
        seed: of the sampling; the same seed gives the same points.
    """
    rng = np.random.default_rng(seed)
    mesh = IdentityMesh(model, reference.parameters)
    skeleton = Skeleton(mesh.joints, model.parents, model.n_expression, correctives=mesh.correctives)
    clips = [reference, *(clip for clip, _ in edited)]
    categories = [-1, *(category.index for _, category in edited)]
    watched = watch(clips, skeleton(reference.parameters), mesh, config.watched_frames)
    head = _head(mesh, watched, config, rng)
    shell = _shell(mesh, watched, categories, config, rng)
    coverage = body_coverage(watched.parts)
    body_count = config.body_points if coverage.any() else 0
    body = body_points(mesh, watched.camera, coverage, body_count, rng)
    layers = torch.cat(
        [torch.full((len(p),), int(layer)) for p, layer in zip((head, shell, body), Layer, strict=False)]
    )
    prior = MeshPrior.joined([head, shell, body])
    seen = observe(prior, watched)
    present = _presence(layers, seen, HeadAxis.of(mesh.joints), prior.rest.numpy())
    regions = changed_regions(prior.rest, seen, present, categories, config)
    attributes = _attributes(prior, layers, seen, present, config)
    edits = _edits(attributes, seen, present, regions, categories, config)
    front = StartingPoints(prior, attributes, layers, regions, edits, mesh)
    start = front
    if config.back_points:
        shown = SeenFront(prior, layers, seen, present, len(watched.motion))
        start = _closed(front, back_points(mesh, watched, shown, categories, config.back_points, rng))
    logger.info(
        "points: %d head, %d shell, %d body, %d behind", len(head), len(shell), len(body), len(start) - len(front)
    )
    return start, mesh


def _closed(front: StartingPoints, back: Backs) -> StartingPoints:
    """Points in front and behind."""
    return StartingPoints(
        MeshPrior.joined([front.prior, back.prior]),
        torch.cat([front.attributes, back.attributes]),
        torch.cat([front.layers, torch.full((len(back.prior),), int(Layer.BACK))]),
        torch.cat([front.regions, back.regions]),
        torch.cat([front.edits, back.edits], 1),
        front.mesh,
    )


def _head(mesh: IdentityMesh, watched: WatchedFrames, config: StartConfig, rng: np.random.Generator) -> MeshPrior:
    """Points on the mesh: few where no frame ever looks, such as the back of the head."""
    middles = mesh.on_surface(torch.arange(len(mesh.faces)), torch.full((len(mesh.faces), 3), 1 / 3))
    shown = observe(middles, watched)
    seen = torch.from_numpy(shown.seen) / len(watched.motion)
    visibility = UNSEEN_SHARE + (1 - UNSEEN_SHARE) * (2 * seen.float()).clamp(max=1)
    visibility[_bust(middles, shown)] = 0
    return mesh.on_surface(*sample_triangles(mesh.triangle_density() * visibility, config.head_points, rng))


def _bust(middles: MeshPrior, shown: Observation) -> Bool[Tensor, " t"]:
    """Triangles [t] of the model's shoulders that no frame shows as skin: the body layer is there instead."""
    bare = (shown.seen > 0) & (shown.parts[0] == Part.NECK) & (shown.inside[0] > SOLID_SHARE)
    return (middles.skinning[:, Joint.GLOBAL] > 0.5) & ~torch.from_numpy(bare)


def _shell(
    mesh: IdentityMesh, watched: WatchedFrames, categories: Sequence[int], config: StartConfig,
    rng: np.random.Generator,
) -> MeshPrior:  # fmt: skip
    """Points in the photo hulls of all pieces: more for larger pieces, but by the square root, so that an earring
    gets its share."""
    pieces = standing_off(watched, categories)
    nothing = mesh.near(torch.zeros(0, 3))
    if not pieces or config.shell_points == 0:
        return nothing
    hull = carve(mesh, watched, pieces, config.hull)
    area = np.array([(watched.parts[p.subject] == p.part).sum() for p in pieces], np.float64)
    likelihood = hull.likelihood * within_reach(HeadAxis.of(mesh.joints), hull.centres.numpy(), hull.likelihood > 0)
    total = likelihood.sum(1, keepdims=True)
    share = np.sqrt(area)[:, None] * likelihood / np.maximum(total, 1e-9)
    if not share.any():
        return nothing
    picked, _ = sample_triangles(torch.from_numpy(share.sum(0)), config.shell_points, rng)
    jitter = torch.from_numpy(rng.uniform(-0.5, 0.5, (config.shell_points, 3)).astype(np.float32))
    return mesh.near(hull.centres[picked] + config.hull.voxel_m * jitter)


def _presence(layers: Tensor, seen: Observation, axis: HeadAxis, positions: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether subject s shows something at point i, [s, n]."""
    shell = (layers == Layer.SHELL).numpy()
    body = (layers == Layer.BODY).numpy()
    present = np.ones_like(seen.parts, np.bool_)
    present[:, shell] = ((seen.inside > SOLID_SHARE) & np.isin(seen.parts, SHELL_PARTS))[:, shell]
    # A brim's place behind the head falls on hair in a clip without the hat: it is behind that hair, not part of it.
    present[:, shell] &= within_reach(axis, positions[shell], present[:, shell])
    present[:, body] = ((seen.inside > SOLID_SHARE) | np.isin(seen.parts, BODY_PARTS))[:, body]
    return present


def changed_regions(
    positions: Float[Tensor, "n 3"],
    seen: Observation,
    present: Bool[NDArray[np.bool_], "s n"],
    categories: Sequence[int],
    config: StartConfig,
) -> Bool[Tensor, "n k"]:
    """The region prior [n, k]: where the clips of a category differ from the reference, grown a little."""
    regions = np.zeros((len(positions), len(CATEGORIES)), np.bool_)
    for subject, category in enumerate(categories):
        if category >= 0:
            appears = (present[subject] != present[0]) & (seen.changed[subject] > 0)
            regions[:, category] |= (seen.changed[subject] > config.changed_share) | appears
    tree = cKDTree(positions.numpy())
    for column in range(regions.shape[1]):
        members = np.flatnonzero(regions[:, column])
        if len(members):
            distance, _ = cKDTree(positions.numpy()[members]).query(
                tree.data, distance_upper_bound=config.region_growth_m
            )
            regions[:, column] = np.isfinite(distance)
    return torch.from_numpy(regions)


def _attributes(
    prior: MeshPrior, layers: Tensor, seen: Observation, present: NDArray[np.bool_], config: StartConfig
) -> Tensor:
    size = spacing(prior.rest).clamp(0.0005, 0.02)
    flatness = torch.where(layers == Layer.SHELL, 0.8, 0.4)  # shells have no known normal
    scales = 0.9 * torch.stack([size, size, size * flatness], 1)
    colors = logit_of(torch.from_numpy(seen.colors[0]))
    # A shell point that the reference lacks would start in the colour of what is behind it: take its owners' instead.
    borrowed = (layers == Layer.SHELL).numpy() & ~present[0] & present.any(0)
    owners = present[:, borrowed, None] / present[:, borrowed, None].sum(0, keepdims=True)
    colors[torch.from_numpy(borrowed)] = logit_of(torch.from_numpy((owners * seen.colors[:, borrowed]).sum(0)))
    # The back of the neck is looked for behind the clothes, where frames show clothes or nothing: that is not it.
    elsewhere = (layers == Layer.HEAD).numpy() & ((seen.inside[0] < 0.5) | np.isin(seen.parts[0], NOT_THE_HEAD))
    unseen = torch.from_numpy((seen.seen == 0) | elsewhere)
    if unseen.any() and not unseen.all():
        nearest = cKDTree(prior.rest[~unseen].numpy()).query(prior.rest[unseen].numpy())[1]
        colors[unseen] = colors[~unseen][torch.from_numpy(nearest)]
    return pack_attributes(
        prior.rest, quaternions_facing(prior.normals), scales.log(), _opacity_logits(present[0], config), colors
    )


def _edits(
    attributes: Tensor, seen: Observation, present: NDArray[np.bool_], regions: Tensor, categories: Sequence[int],
    config: StartConfig,
) -> Tensor:  # fmt: skip
    """First guess of what each subject changes: opacity where something comes or goes, colour where it looks
    different."""
    edits = torch.zeros(len(categories), len(attributes), N_ATTRIBUTES)
    for subject, category in enumerate(categories):
        if category < 0:
            continue
        region = regions[:, category]
        edits[subject, :, OPACITY] = _opacity_logits(present[subject], config) - attributes[:, OPACITY]
        visible = torch.from_numpy(present[subject] & (seen.seen > 0))
        change = logit_of(torch.from_numpy(seen.colors[subject])) - attributes[:, COLOR]
        edits[subject, :, COLOR] = torch.where(visible[:, None], change, 0.0)
        edits[subject, ~region] = 0
    return edits


def _opacity_logits(present: NDArray[np.bool_], config: StartConfig) -> Tensor:
    opacity = np.where(present, config.present_opacity, config.absent_opacity)
    return logit_of(torch.from_numpy(opacity.astype(np.float32)))


def logit_of(value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Logits of opacities or colours in [0, 1], kept finite."""
    return torch.logit(value.float().clamp(0.02, 0.98))

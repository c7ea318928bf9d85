"""Points for what no camera sees: the back of the cover of the head, and of the body.

They close the avatar from behind. No frame says what they look like, so they take no part in a training and keep what
is guessed here; what is in front hides them from where the frames look. An edit that changes the cover (another hair, a
hat) or the clothes changes its back as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from perse.attributes import CATEGORIES, CATEGORY_PARTS, Category, Part
from perse.avatar.around import CROWN_M, SKULL_RADIUS_M, Around, Array, HeadAxis
from perse.avatar.canonical import N_ATTRIBUTES, pack_attributes
from perse.avatar.covering import LOWEST_M, Cover, Skull, colors_behind, cover_of
from perse.avatar.observation import Observation, WatchedFrames
from perse.avatar.points import IdentityMesh, Layer, MeshPrior, quaternions_facing
from perse.avatar.projection import visible_pixels
from perse.geometry import Camera

COVER_PARTS = (Part.HAIR, Part.HEADWEAR)
"""What covers a head."""

COVERING = tuple(k for k in CATEGORIES if set(CATEGORY_PARTS[k]) & set(COVER_PARTS))
"""Categories that change the cover."""

BEHIND = np.radians(118)
"""Azimuth from which on the back of the head begins: what turns by forty degrees is seen up to there."""

SUNK_M, DEEPEST_M = 0.002, 0.03
"""How far below the cover's surface its back lies, and how far it may be sunk at once: points are not small."""

HEAD_SHARE = 0.5
"""Of the points; the others are the body's."""

SEEN_SHARE = 0.4
"""A point counts if this share of the frames sees it: in the others the head hides it."""

OPAQUE, GONE = 3.5, -7.0
"""Logits of opacity of a point that is there, and of one that is not (below 1/255: it is not drawn)."""

WIDTH, FLATNESS = 0.65, 0.3
"""Size of a Gaussian along the surface, as a share of the points' distance, and across it, as a share of that."""

BODY_FILL = 0.65
"""Share of the box around a body that it fills."""

TORSO_SHARE, TORSO_M = 1.1, 0.13
"""Depth of a body: this share of half its width at the same height, at most so many metres."""

OUTLINE_SIZES, EDGE_M = 3.2, 0.08
"""Backs end so many sizes of a Gaussian before the outline, and the body's is as deep as it gets so far inside."""

HAIR_OUTLINE_SIZES = 2.5
"""The same of the back of the head: hair has a soft outline."""

PAD_PX = 64
"""A person goes on beyond the picture's border."""

GAP_M = 0.012
"""From the front of a body to its back where it is thinnest: a training moves the front a little."""

CLEARANCE_M = 0.006
"""The body's back stays this far behind the head model's neck and shoulders."""


@dataclass(frozen=True)
class Seen:
    """What the front's points look like in the clips.

    Attributes:
        prior: of m points.
        layers: [m], values of `Layer`.
        observation: of the same points in all subjects.
        present: [s, m] whether a subject shows something there.
        n_frames: that were looked at.
    """

    prior: MeshPrior
    layers: Tensor
    observation: Observation
    present: NDArray[np.bool_]
    n_frames: int


@dataclass(frozen=True)
class Backs:
    """Points behind, ready to be appended to those in front.

    Attributes:
        prior, attributes [n, 14], regions [n, k], edits [s, n, 14]: as of `StartingPoints`.
    """

    prior: MeshPrior
    attributes: Tensor
    regions: Tensor
    edits: Tensor


@dataclass(frozen=True)
class _Look:
    """One subject's back: means [n, 3] metres, colors [n, 3] in [0, 1], present [n]."""

    means: Array
    colors: NDArray[np.float32]
    present: NDArray[np.bool_]


def back_points(
    mesh: IdentityMesh, watched: WatchedFrames, seen: Seen, categories: Sequence[int], count: int,
    rng: np.random.Generator,
) -> Backs:  # fmt: skip
    """About `count` points behind head and body.

    Args:
        watched: frames of all clips.
        categories: of the subjects, -1 for the reference.
    """
    seed = int(rng.integers(2**32))
    head = _head_back(mesh, watched, seen, categories, round(HEAD_SHARE * count), seed)
    body = _body_back(mesh, watched, seen, categories, count - round(HEAD_SHARE * count), seed)
    parts = [part for part in (head, body) if part is not None]
    if not parts:
        empty = mesh.near(torch.zeros(0, 3))
        nothing = torch.zeros(len(categories), 0, N_ATTRIBUTES)
        return Backs(empty, nothing[0], torch.zeros(0, len(CATEGORIES), dtype=torch.bool), nothing)
    return Backs(
        MeshPrior.joined([part.prior for part in parts]),
        torch.cat([part.attributes for part in parts]),
        torch.cat([part.regions for part in parts]),
        torch.cat([part.edits for part in parts], 1),
    )


def _head_back(
    mesh: IdentityMesh, watched: WatchedFrames, seen: Seen, categories: Sequence[int], count: int, seed: int
) -> Backs | None:
    """The cover of the head, continued around it, and sunk where it would stick out of a silhouette."""
    axis = HeadAxis.of(mesh.joints)
    skull = Skull.of(axis, mesh.at_vertices.rest.numpy())
    places, spacing = _behind(count)
    well = seen.observation.seen >= SEEN_SHARE * seen.n_frames
    around = axis.around(seen.prior.rest.numpy())
    front = np.abs(around.azimuth) < np.radians(115)

    def look(subject: int) -> _Look:
        own = seen.present[subject] & np.isin(seen.observation.parts[subject], COVER_PARTS) & well & front
        cover = cover_of(skull, around[own]) if own.any() else Cover(np.full((2, 1), np.nan))
        if not own.any():
            return _Look(axis.points(places), np.zeros((len(places), 3), np.float32), np.zeros(len(places), np.bool_))
        surface = Around(places.azimuth, places.height, cover.radius(skull, places) - SUNK_M)
        wanted = HAIR_OUTLINE_SIZES * WIDTH * spacing
        for _ in range(2):
            missing = wanted - _clearance(mesh, watched, subject, axis.points(surface))
            surface = replace(surface, radius=surface.radius - np.clip(missing, 0, DEEPEST_M))
        clear = _clearance(mesh, watched, subject, axis.points(surface)) > 0.5 * wanted
        colors = colors_behind(places, around[own], seen.observation.colors[subject][own], np.random.default_rng(seed))
        return _Look(axis.points(surface), colors, cover.continues(places.height) & clear)

    looks = _looks(look, categories, COVERING)
    outwards = torch.from_numpy(axis.outwards(places)).float()
    return _joined(looks, categories, COVERING, outwards, spacing, lambda means, _: mesh.near(means))


def _clearance(mesh: IdentityMesh, watched: WatchedFrames, subject: int, points: Array) -> Array:
    """How far points [n, 3] at rest stay inside of a subject's silhouettes in all frames, metres [n]."""
    still = torch.from_numpy(points).float()
    pixels = visible_pixels(still[None], mesh.near(still, rigid=True).skinning, watched.motion.rigid, watched.camera)
    away = watched.camera.to_camera(still)[:, 2].double().numpy()
    least = np.full(len(points), np.inf)
    for frame, alpha in zip(pixels, watched.alphas[subject], strict=True):
        inside = _distance_inside(alpha > 200).reshape(-1)
        least = np.minimum(least, np.where(frame >= 0, inside[np.maximum(frame, 0)], np.inf))
    return np.asarray(least * away / float(watched.camera.intrinsics[0, 0]))


def _behind(count: int) -> tuple[Around, float]:
    """About `count` places behind the head, evenly spread, and their distance in metres."""
    width = 2 * (np.pi - BEHIND) * SKULL_RADIUS_M
    area = width * (SKULL_RADIUS_M - LOWEST_M)  # the integral of the cosine over the upper half is the radius
    spacing = float(np.sqrt(area / max(count, 1)))
    azimuths, heights = [], []
    for number, height in enumerate(np.arange(LOWEST_M, CROWN_M, spacing)):
        around = width * np.cos(max(height, 0.0) / SKULL_RADIUS_M)
        columns = max(1, round(around / spacing))
        shares = (np.arange(columns) + (0.25 if number % 2 else 0.75)) / columns
        azimuths.append(BEHIND + shares * 2 * (np.pi - BEHIND))
        heights.append(np.full(columns, height))
    azimuth = np.concatenate(azimuths)
    azimuth = np.where(azimuth > np.pi, azimuth - 2 * np.pi, azimuth)
    return Around(azimuth, np.concatenate(heights), np.full(len(azimuth), SKULL_RADIUS_M)), spacing


def _body_back(
    mesh: IdentityMesh, watched: WatchedFrames, seen: Seen, categories: Sequence[int], count: int, seed: int
) -> Backs | None:
    """Some of the body's points once more, further along their camera rays: whatever hides there in front of them
    hides them too. The back is as deep as the silhouette is wide there, like a cushion, and ends before its outline."""
    body = np.flatnonzero((seen.layers == Layer.BODY).numpy())
    if not len(body) or count < 1:
        return None
    insides = {
        subject: _inside_m(watched, subject, seen.prior.rest[body])
        for subject, k in enumerate(categories) if subject == 0 or k == Category.CLOTHES.index
    }  # fmt: skip
    rest = seen.prior.rest.numpy().astype(np.float64)
    area = np.ptp(rest[body, 0]) * np.ptp(rest[body, 1]) * BODY_FILL
    spacing = float(np.sqrt(area / count))
    least = OUTLINE_SIZES * WIDTH * spacing
    slope = np.clip((np.max(list(insides.values()), axis=0) - least) / EDGE_M, 0, 1)
    picked = _spread(slope, count, seed)
    if not len(picked):
        return None
    chosen, flat = body[picked], 1 - slope[picked]
    middle, half = _extent(rest[body], rest[chosen, 1])
    rays = _rays(watched.camera, rest[chosen])
    depth = np.minimum(TORSO_SHARE * half, TORSO_M) * np.sqrt(1 - flat**2)
    depth = np.maximum(depth, _behind_mesh(mesh, rest[chosen]) * (flat < 0.7))
    means = rest[chosen] + (GAP_M + depth)[:, None] * rays
    across = np.clip((rest[chosen, 0] - middle) / half, -1, 1)
    outer = middle + half * np.sign(across + 1e-9) * (0.35 + 0.6 * np.abs(across))  # no tie and no zip at the back

    def look(subject: int) -> _Look:
        there = seen.present[subject][chosen] & (insides[subject][picked] > least)
        return _Look(means, _garment(seen, subject, body, chosen, outer), there)

    walls = rays * np.sqrt(1 - flat**2)[:, None]
    walls[:, 0] += np.sign(across) * flat
    normals = torch.from_numpy(walls / np.linalg.norm(walls, axis=1, keepdims=True)).float()
    changing = (Category.CLOTHES,)
    rows = torch.from_numpy(chosen)
    looks = _looks(look, categories, changing)
    return _joined(looks, categories, changing, normals, spacing, lambda m, kept: _still(m, seen.prior[kept]), rows)


def _spread(slope: Array, count: int, seed: int) -> NDArray[np.int64]:
    """At most `count` of the points whose slope [n] is above 0, more where the surface is steep and so larger than it
    looks from the front."""
    able = np.flatnonzero(slope > 0)
    steep = 1 / np.sqrt(1 - (1 - slope[able]) ** 2 + 0.05)
    chance = steep / max(float(steep.sum()), 1e-9)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(able, min(count, len(able)), replace=False, p=chance) if len(able) else able
    return np.asarray(np.sort(chosen))


def _rays(camera: Camera, points: Array) -> Array:
    """Unit directions [n, 3] from the camera to points [n, 3]."""
    eye = (-camera.world_to_camera[:3, 3] @ camera.world_to_camera[:3, :3]).double().numpy()
    rays = points - eye
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def _garment(
    seen: Seen, subject: int, body: NDArray[np.int64], chosen: NDArray[np.int64], outer: Array
) -> NDArray[np.float32]:
    """Colours [n, 3] of a subject's back behind the chosen points: of clothes farther out at the same height, where
    garments are plain; the neck's are its own."""
    rest, parts = seen.prior.rest.numpy(), seen.observation.parts[subject]
    present = body[seen.present[subject][body]]
    dressed = present[parts[present] == Part.CLOTHES]
    colors = np.zeros((len(chosen), 3), np.float32)
    neck = parts[chosen] == Part.NECK
    wanted = np.stack([np.where(neck, rest[chosen, 0], outer), rest[chosen, 1]], 1)
    for own, points in ((neck, present), (~neck, dressed if len(dressed) > 3 else present)):
        if len(points) and own.any():
            _, nearest = cKDTree(rest[points, :2]).query(wanted[own])
            colors[own] = seen.observation.colors[subject][points[nearest]]
    return colors


def _inside_m(watched: WatchedFrames, subject: int, points: Tensor) -> Array:
    """How far points [n, 3] that stand still are inside of a subject's silhouette, metres; the picture's border is no
    outline."""
    camera = watched.camera
    pixels, away = camera.project(points)
    distance = _distance_inside((watched.alphas[subject] > 200).all(0))
    column, row = np.clip(np.floor(pixels.numpy()).astype(int), 0, np.array(distance.shape)[::-1] - 1).T
    return np.asarray(distance[row, column] * away.double().numpy() / float(camera.intrinsics[0, 0]))


def _distance_inside(person: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of every pixel [h, w] of a silhouette from its outline, pixels."""
    padded = np.pad(person.astype(np.uint8), PAD_PX, mode="edge")
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[PAD_PX:-PAD_PX, PAD_PX:-PAD_PX])


def _still(means: Tensor, front: MeshPrior) -> MeshPrior:
    """Points that are skinned as those in front of them."""
    return MeshPrior(means, means.clone(), front.normals, front.blend_basis, front.skinning)


def _behind_mesh(mesh: IdentityMesh, points: Array) -> Array:
    """How far behind points the head model reaches at the same height and side, metres [n]; 0 where it does not."""
    rest = mesh.at_vertices.rest.numpy().astype(np.float64)
    near = cKDTree(rest[:, :2]).query_ball_point(points[:, :2], 0.015)
    lowest = [rest[own, 2].min() - CLEARANCE_M if own else np.inf for own in near]
    return np.maximum(points[:, 2] - np.asarray(lowest), 0)


def _extent(points: Array, heights: Array, reach_m: float = 0.012) -> tuple[Array, Array]:
    """Middle and half width [n] of a set of points [m, 3] at heights [n]."""
    order = np.argsort(points[:, 1])
    levels, across = points[order, 1], points[order, 0]
    first, last = np.searchsorted(levels, heights - reach_m), np.searchsorted(levels, heights + reach_m)
    ends = [np.quantile(across[a:b], (0.01, 0.99)) for a, b in zip(first, last, strict=True)]
    low, high = np.asarray(ends).T
    return (low + high) / 2, np.maximum((high - low) / 2, 0.01)


def _looks(look: Callable[[int], _Look], categories: Sequence[int], changing: Sequence[Category]) -> list[_Look]:
    """Every subject's look: the reference's, but for subjects of the categories that change it."""
    rows = {category.index for category in changing}
    reference = look(0)
    return [look(s) if k in rows else reference for s, k in enumerate(categories)]


def _joined(
    looks: Sequence[_Look], categories: Sequence[int], changing: Sequence[Category], normals: Tensor, spacing: float,
    prior: Callable[[Tensor, Tensor], MeshPrior], rows: Tensor | None = None,
) -> Backs | None:  # fmt: skip
    """Looks of all subjects as attributes of the reference and differences from them; points that nobody shows are
    left out."""
    kept = np.any([one.present for one in looks], axis=0)
    if not kept.any():
        return None
    index = torch.from_numpy(np.flatnonzero(kept))
    first = np.argmax([one.present for one in looks], axis=0)  # who shows the point; the reference if it does
    packed = [_packed(one, normals, spacing) for one in looks]
    own = torch.stack(packed)  # [s, n, 14]
    shown = own[torch.from_numpy(first), torch.arange(len(kept))]
    base = shown.clone()
    base[:, 10] = own[0, :, 10]
    edits = torch.where(torch.from_numpy(np.stack([one.present for one in looks]))[..., None], own - base, 0.0)
    edits[..., 10] = own[..., 10] - base[:, 10]
    regions = torch.zeros(len(kept), len(CATEGORIES), dtype=torch.bool)
    for subject, category in enumerate(categories):
        if category in {one.index for one in changing}:
            regions[:, category] |= edits[subject].abs().amax(-1) > 1e-4
        else:
            edits[subject] = 0
    base, edits, regions = base[index], edits[:, index], regions[index]
    return Backs(prior(base[:, :3], index if rows is None else rows[index]), base, regions, edits)


def _packed(look: _Look, normals: Tensor, spacing: float) -> Tensor:
    means = torch.from_numpy(look.means).float()
    size = WIDTH * spacing * torch.tensor([1.0, 1.0, FLATNESS])
    opacity = torch.from_numpy(np.where(look.present, OPAQUE, GONE)).float()
    colors = torch.logit(torch.from_numpy(look.colors).float().clamp(0.02, 0.98))
    return pack_attributes(means, quaternions_facing(normals), size.log().expand(len(means), 3), opacity, colors)

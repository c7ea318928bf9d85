"""Points of the back of what covers the head: continued around it, and sunk where it would pass a silhouette."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from perse.attributes import CATEGORIES, CATEGORY_PARTS, Part
from perse.avatar.around import CROWN_M, SKULL_RADIUS_M, Around, HeadAxis
from perse.avatar.backs.joining import WIDTH, joined, looks_of
from perse.avatar.backs.records import Backs, SeenFront, SubjectBack
from perse.avatar.backs.silhouettes import clearance
from perse.avatar.covering import LOWEST_M, BareRadius, HeadCover, colors_behind, cover_of
from perse.avatar.observation import WatchedFrames
from perse.avatar.points import IdentityMesh

COVER_PARTS = (Part.HAIR, Part.HEADWEAR)
"""What covers a head."""

COVERING = tuple(k for k in CATEGORIES if set(CATEGORY_PARTS[k]) & set(COVER_PARTS))
"""Categories that change the cover."""

BEHIND = np.radians(118)
"""Azimuth from which on the back of the head begins: what turns by forty degrees is seen up to there."""

SUNK_M, DEEPEST_M = 0.002, 0.03
"""How far below the cover's surface its back lies, and how far it may be sunk at once: points are not small."""

SEEN_SHARE = 0.4
"""A point counts if this share of the frames sees it: in the others the head hides it."""

HAIR_OUTLINE_SIZES = 2.5
"""The same of the back of the head: hair has a soft outline."""


def head_back(
    mesh: IdentityMesh, watched: WatchedFrames, seen: SeenFront, categories: Sequence[int], count: int, seed: int
) -> Backs | None:
    """The cover of the head, continued around it, and sunk where it would stick out of a silhouette."""
    axis = HeadAxis.of(mesh.joints)
    skull = BareRadius.of(axis, mesh.at_vertices.rest.numpy())
    places, spacing = _behind(count)
    well = seen.observation.seen >= SEEN_SHARE * seen.n_frames
    around = axis.around(seen.prior.rest.numpy())
    front = np.abs(around.azimuth) < np.radians(115)

    def look(subject: int) -> SubjectBack:
        own = seen.present[subject] & np.isin(seen.observation.parts[subject], COVER_PARTS) & well & front
        cover = cover_of(skull, around[own]) if own.any() else HeadCover(np.full((2, 1), np.nan))
        if not own.any():
            return SubjectBack(
                axis.points(places), np.zeros((len(places), 3), np.float32), np.zeros(len(places), np.bool_)
            )
        surface = Around(places.azimuth, places.height, cover.radius(skull, places) - SUNK_M)
        wanted = HAIR_OUTLINE_SIZES * WIDTH * spacing
        for _ in range(2):
            missing = wanted - clearance(mesh, watched, subject, axis.points(surface))
            surface = replace(surface, radius=surface.radius - np.clip(missing, 0, DEEPEST_M))
        clear = clearance(mesh, watched, subject, axis.points(surface)) > 0.5 * wanted
        colors = colors_behind(places, around[own], seen.observation.colors[subject][own], np.random.default_rng(seed))
        return SubjectBack(axis.points(surface), colors, cover.continues(places.height) & clear)

    looks = looks_of(look, categories, COVERING)
    outwards = torch.from_numpy(axis.outwards(places)).float()
    return joined(looks, categories, COVERING, outwards, spacing, lambda means, _: mesh.near(means))


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

"""Flattening of hair under what is worn on it: headbands and hats would otherwise sink into the lifted hair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from perse.data import Attachment
from perse.head import rest_vertices
from perse.synthesis.procedural.animator.harmonic import smooth
from perse.synthesis.procedural.animator.lifted import LiftedPortrait

_NEAR = 0.10  # radians between directions from the middle of the skull
_CLEARANCE_M = 0.006


def press_hair(lifted: LiftedPortrait, attachments: Sequence[Attachment]) -> LiftedPortrait:
    """Lifted portrait whose hair stands off less where attachments lie below it, never below the bare skull."""
    solid = [item for item in attachments if item.casts_shadow and len(item.vertices)]
    if not solid or not (lifted.cover > 0.2).any():
        return lifted
    surface = lifted.surface
    bare = surface.mixture @ rest_vertices(surface.model, lifted.head).numpy()
    upper = bare[surface.outer]
    middle = 0.5 * (upper.max(0) + upper[upper[:, 1] > np.median(upper[:, 1])].min(0))
    worn = np.concatenate([item.vertices for item in solid]) - middle
    radius = np.linalg.norm(worn, axis=1)
    tree = cKDTree(worn / radius[:, None])
    hair = bare + lifted.displacement - middle
    out = np.linalg.norm(hair, axis=1)
    away, nearest = tree.query(hair / out[:, None], k=4, distance_upper_bound=_NEAR)
    limit = np.where(np.isfinite(away), np.append(radius, np.inf)[nearest], np.inf).min(1) - _CLEARANCE_M
    excess = np.clip(out - limit, 0, None)
    excess[~np.isfinite(limit) | (lifted.cover < 0.2)] = 0
    length = np.linalg.norm(lifted.displacement, axis=1)
    kept = 1 - np.clip(excess / np.maximum(length, 1e-6), 0, 1)
    kept = np.minimum(kept, smooth(kept.astype(np.float32), surface.average, 2))
    kept = np.where(lifted.cover > 0.2, kept, 1)[:, None]
    return replace(lifted, displacement=(lifted.displacement * kept).astype(np.float32))

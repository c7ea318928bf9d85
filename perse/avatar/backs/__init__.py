"""Points for what no camera sees: the back of the cover of the head, and of the body.

They close the avatar from behind. No frame says what they look like, so they take no part in a training and keep what
is guessed here; what is in front hides them from where the frames look. An edit that changes the cover (another hair, a
hat) or the clothes changes its back as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from perse.attributes import CATEGORIES
from perse.avatar.backs.body import body_back
from perse.avatar.backs.head import head_back
from perse.avatar.backs.records import Backs, SeenFront
from perse.avatar.canonical import N_ATTRIBUTES
from perse.avatar.observation import WatchedFrames
from perse.avatar.points import IdentityMesh, MeshPrior

__all__ = ["Backs", "SeenFront", "back_points"]

HEAD_SHARE = 0.5
"""Of the points; the others are the body's."""


def back_points(
    mesh: IdentityMesh, watched: WatchedFrames, seen: SeenFront, categories: Sequence[int], count: int,
    rng: np.random.Generator,
) -> Backs:  # fmt: skip
    """About `count` points behind head and body.

    Args:
        watched: frames of all clips.
        categories: of the subjects, -1 for the reference.
    """
    seed = int(rng.integers(2**32))
    head = head_back(mesh, watched, seen, categories, round(HEAD_SHARE * count), seed)
    body = body_back(mesh, watched, seen, categories, count - round(HEAD_SHARE * count), seed)
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

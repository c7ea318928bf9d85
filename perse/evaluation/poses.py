"""Novelty of the unseen poses: their distance from the seen ones."""

from __future__ import annotations

import torch

from perse.avatar import Avatar
from perse.evaluation.report import PoseDistances
from perse.head import HeadParameters

MAX_POINTS = 2000
METRIC = "root mean square distance of the avatar's points, mm"


@torch.no_grad()
def pose_distances(avatar: Avatar, test: HeadParameters, train: HeadParameters) -> PoseDistances:
    """Distance of every test frame to the training frame that is nearest to it.

    Measured in space, over the points that move: one unit for turns of the head, the jaw's angle and expressions.
    """
    canonical = avatar.canonicalise(avatar.latents.reference)
    tests, trains = (avatar.pose(canonical, frames).means for frames in (test, train))
    moving = (trains - trains[:1]).norm(dim=-1).amax(0) > 1e-4
    points = torch.nonzero(moving)[:, 0]
    points = points[:: max(1, len(points) // MAX_POINTS)]
    spread = torch.cdist(tests[:, points].flatten(1), trains[:, points].flatten(1))
    nearest = spread.amin(1) / max(len(points), 1) ** 0.5 * 1000
    return PoseDistances(METRIC, tuple(nearest.tolist()), float(nearest.mean()), float(nearest.amax()))

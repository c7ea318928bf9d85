"""People for tests of the body."""

from __future__ import annotations

import torch
from torch import Tensor

from perse.body.model import BodyParameters, BodyRegion
from perse.body.model.covers import Cover
from perse.body.model.stance import Stance, stance_pose
from perse.head import HeadModel


def standing(model: HeadModel) -> BodyParameters:
    """The average person, standing at the origin."""
    return BodyParameters(
        torch.zeros(model.n_shape), torch.zeros_like(model.template), torch.zeros(model.n_expression),
        stance_pose(model, Stance()), torch.zeros(3),
    )  # fmt: skip


def covers_of(regions: Tensor) -> Tensor:
    """A shirt with sleeves; everything else is skin."""
    covers = torch.full((len(regions),), int(Cover.SKIN))
    for region in (BodyRegion.TORSO, BodyRegion.UPPER_ARM, BodyRegion.FOREARM):
        covers[regions == region] = int(Cover.UPPER)
    return covers

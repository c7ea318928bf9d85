"""A shod foot has no toes, and the leg above it is left alone."""

from __future__ import annotations

import torch
from scipy.spatial import ConvexHull

from perse.body.model import BodyJoint, BodyRegion, body_regions
from perse.body.model.shoes import shod
from perse.head import HeadModel


def test_a_shod_foot_fills_its_hull_and_the_rest_stays(body_model: HeadModel) -> None:
    foot = body_regions(body_model) == BodyRegion.FOOT
    before, after = body_model.template, shod(body_model, body_model.template, foot)
    assert torch.equal(after[~foot], before[~foot])
    ankle = float((body_model.joint_regressor @ before)[BodyJoint.LEFT_ANKLE, 1])
    # The front half of the left foot: of toes most vertices lie inside of the hull, of a shoe they lie on it.
    left = foot & (before[:, 0] > 0) & (before[:, 1] < ankle - 0.045)
    toes = left & (before[:, 2] > before[left, 2].max() - 0.07)

    def depth(points: torch.Tensor) -> float:
        """Mean distance of toes from the foot's hull, metres."""
        planes = torch.from_numpy(ConvexHull(points[left].double().numpy()).equations)
        return float(-(points[toes].double() @ planes[:, :3].T + planes[:, 3]).amax(1).mean())

    assert depth(before) > 0.002
    assert depth(after) < 0.4 * depth(before)


def test_a_bare_foot_keeps_its_toes(body_model: HeadModel) -> None:
    nothing = torch.zeros(body_model.n_vertices, dtype=torch.bool)
    assert torch.equal(shod(body_model, body_model.template, nothing), body_model.template)

"""The tracked head on the body: the embedded head is a piece of the anny body, vertex by vertex."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.body.model import BodyJoint
from perse.head import HeadModel, HeadParameters, pose_head

HEAD_JOINTS = (BodyJoint.HEAD, BodyJoint.JAW, BodyJoint.LEFT_EYE, BodyJoint.RIGHT_EYE)


def baked_head(body: HeadModel, head: HeadModel, tracked: HeadParameters) -> Float[Tensor, "v 3"]:
    """Vertex offsets [v, 3], metres, that give an anny body the tracked face, expression, jaw and gaze included.

    They fade out towards the neck. A tracked head knows no scale, so the body's stays.
    """
    pose = tracked.pose.clone()
    pose[:2] = 0  # where it looks is the body's business
    still = HeadParameters(tracked.betas, tracked.vertex_offsets, tracked.expression, pose)
    moved = pose_head(head, still).vertices - head.template
    pairs = head_vertex_pairs()
    offsets = torch.zeros(body.n_vertices, 3)
    offsets[pairs[:, 1]] = moved[pairs[:, 0]]
    share = body.skinning_weights[:, [int(joint) for joint in HEAD_JOINTS]].sum(1)
    return offsets * share[:, None]


@lru_cache(maxsize=1)
def head_vertex_pairs() -> Int[Tensor, "n 2"]:
    """Pairs [n, 2]: a vertex of the embedded head, the same vertex of the anny body."""
    from perse.body.model.anny_body import head_vertices

    return torch.from_numpy(head_vertices())

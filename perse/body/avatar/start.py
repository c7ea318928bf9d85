"""Start of a body avatar's training: the dressed surface as the photograph colours it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from perse.avatar.pose_offsets import OffsetConfig
from perse.body.animation.dressed import DressedPerson
from perse.body.avatar.avatar import BodyAvatar, Structure
from perse.body.model import BodyRegion, body_regions, shaped_body
from perse.body.model.covers import Cover
from perse.body.model.mouth import lining
from perse.body.model.upsampling import INSET, one_ring, sparse, unit_normals

SCALE_EDGES = 0.5
"""First standard deviation of a Gaussian, in lengths of the edges around it."""
BESIDE_EDGES = 2
"""A point is seen as badly as the worst that is so many edges away: its Gaussian reaches there."""
HAIR_SCALE_EDGES = 0.6
"""Of hair, which has large triangles: through gaps between smaller ones the back of the head showed the face."""


def start_avatar(
    person: DressedPerson, colors: Float[torch.Tensor, "n 3"], config: OffsetConfig, seed: int
) -> BodyAvatar:
    """Gaussians on a dressed surface.

    Args:
        colors: [n, 3] in [0, 1], first colours.
        seed: of the networks.
    """
    model = person.model
    regions = body_regions(model)
    skin = shaped_body(model, person.parameters)
    dressed = _dressed_vertices(person)
    scales = torch.where(person.covers == Cover.HAIR, HAIR_SCALE_EDGES, SCALE_EDGES) * _edges(person)
    structure = Structure(
        rest=person.rest,
        skinning=person.skinning,
        faces=person.faces,
        joints=model.joint_regressor @ skin,
        parents=model.parents,
        vertices=skin[torch.from_numpy(dressed)],
        mixture=sparse(person.fine.mixture[:, dressed]),
        covers=person.covers,
        hands=person.hands,
        face=person.fine.of(((regions == BodyRegion.FACE) | (regions == BodyRegion.EYE)).float()) > 0.5,
        fitted=colors,
        fitted_log_scales=scales.log(),
        seen=_seen_around(person),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        avatar = BodyAvatar(structure, config)
    with torch.no_grad():
        # What lines a mouth stands on its own side: below it, it came out on cheeks and lips.
        below = torch.where(person.fine.of(lining(model).float()) > 0.5, -INSET, INSET)
        avatar.moved.copy_(-(below * scales)[:, None] * unit_normals(person.rest, person.faces))
    return avatar


def _dressed_vertices(person: DressedPerson) -> NDArray[np.int64]:
    """Vertices of the body that carry cloth or hair. Skin and shoes keep the shape that the bones give them: no frame
    that is made without weights says otherwise, and a face has more vertices than everything else together."""
    covers = person.covers[: person.model.n_vertices]
    worn = torch.isin(covers, torch.tensor([int(Cover.UPPER), int(Cover.LOWER), int(Cover.HAIR)]))
    return np.flatnonzero(worn.numpy() if bool(worn.any()) else np.ones(len(worn), bool))


def _edges(person: DressedPerson) -> torch.Tensor:
    """[n] mean length of the edges at each point, metres."""
    faces, rest = person.faces, person.rest
    first, second = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    lengths = (rest[first] - rest[second]).norm(dim=-1)
    total, count = torch.zeros(len(rest)), torch.zeros(len(rest))
    for end in (first, second):
        total.index_add_(0, end, lengths)
        count.index_add_(0, end, torch.ones_like(lengths))
    return (total / count.clamp(min=1)).clamp(min=5e-4)


def _seen_around(person: DressedPerson) -> torch.Tensor:
    """[n] in [0, 1], how well the photograph shows the worst seen point near each."""
    first, second = one_ring(person.faces).T
    seen = person.seen.clone()
    for _ in range(BESIDE_EDGES):
        beside = seen.scatter_reduce(0, first, seen[second], "amin")
        seen = beside.scatter_reduce(0, second, seen[first], "amin")
    return seen

"""Assembly of an `Avatar` from a trained body and its learned edits: what viewer, service, exports and registry know.

::

    trained points ──────────────────────────────► a_0
    learned edits ─► differences to a_0, [s, n, 14] ─► latents z_k and bases B_k of their categories
    M, places, triplane, MLP ─────────────► the pose-driven offset
    face actions of the body model ─────────────────► blendshapes; committed motions ─► the avatar's own motions

Edits of one category that put things on share their added points: each point of one hat has a partner on the other,
matched by nearness, so that between two hats there is a hat and not two fading ones. Where nobody wears anything these
points lie hidden below the surface.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from torch import Tensor

from perse.attributes import CATEGORIES, Category
from perse.avatar import Avatar, AvatarCard, AvatarConfig, LatentConfig, Skeleton, Subject, SubjectFeatures
from perse.avatar.canonical import COLOR, LOG_SCALE, MEAN, N_ATTRIBUTES, OPACITY, QUAT
from perse.avatar.points import Layer, MeshPrior, StartingPoints
from perse.avatar.whole_body import WholeBody, WholeBodyConfig
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import FPS, MOTIONS, turns_of
from perse.body.animation.studio_camera import whole_person
from perse.body.avatar.avatar import OPACITY as SHOWN_OPACITY
from perse.body.avatar.avatar import BodyAvatar
from perse.body.avatar.learned_edit import LearnedEdit
from perse.body.model.upsampling import unit_normals
from perse.data import AttributePrompt
from perse.geometry import Camera
from perse.geometry.sparse_tensors import csr_tensor

SHOWN_LOGIT = math.log(SHOWN_OPACITY / (1 - SHOWN_OPACITY))
HIDDEN_LOGIT = -4.0
"""Opacity of added points where nobody wears them, as a logit: 2 %, below a surface that hides them."""
HIDDEN_BELOW_M = 0.02
"""So deep below the surface."""
COLOR_MARGIN = 0.004
"""Colours are logits in an avatar, which black and white have none of."""
MATCHED_AT_ONCE = 1000
"""Partners are looked for within sectors of so many points: matching costs their cube."""
MOTION_FRAMES = 48
CAMERA_PX = 512


@dataclass(frozen=True)
class EditRow:
    """A row of the avatar's table of subjects.

    Attributes:
        prompt: what was asked for.
        learned: what it makes of the points.
        image, text: [w], features of the edited picture and of the sentence.
    """

    prompt: AttributePrompt
    learned: LearnedEdit
    image: Float[Tensor, " w"]
    text: Float[Tensor, " w"]


@dataclass(frozen=True)
class _Pool:
    """Added points that the edits of a category share.

    Attributes:
        worn: [p, 14] attributes by the key of the prompt.
        skinning: [p, 55].
    """

    worn: dict[str, Float[Tensor, "p 14"]]
    skinning: Float[Tensor, "p 55"]


def assemble(
    trained: BodyAvatar, person: DressedPerson, edits: Sequence[EditRow], *, key: str, absent: Sequence[Category],
    encoder: str, seed: int,
) -> Avatar:  # fmt: skip
    """Avatar of a trained body.

    Args:
        trained: in the reference's looks.
        person: what it was trained on.
        key: identity key of the photograph.
        absent: categories that the photograph does not show.
        encoder: name of what made the features.
        seed: of the latents' first weights.
    """
    start = _start(trained, person, edits)
    model, sizes = person.model, trained.offsets.config
    motions = committed_motions(person)
    config = WholeBodyConfig(
        plane_features=sizes.features, plane_resolution=sizes.resolution, plane_hidden=sizes.hidden,
        motions=tuple(motions), fps=FPS,
    )  # fmt: skip
    width = edits[0].image.shape[-1] if edits else LatentConfig().features
    nothing = torch.zeros(1, width)
    features = SubjectFeatures(
        torch.cat([nothing, *(row.image[None] for row in edits)]).float(),
        torch.cat([nothing, *(row.text[None] for row in edits)]).float(),
        torch.tensor([-1, *(row.prompt.category.index for row in edits)]),
    )
    card = AvatarCard(
        key, _resting_camera(trained), model.expression_names, model.joint_names, tuple(absent), encoder
    )  # fmt: skip
    edited = [Subject(row.prompt.key, row.prompt.category, row.prompt.text) for row in edits]
    avatar = Avatar(
        AvatarConfig(latents=LatentConfig(features=width, hidden=128), decoder=config), card,
        Skeleton(trained.joints, model.parents, model.n_expression, correctives=True), start,
        [Subject(key, None, ""), *edited], features, seed=seed,
    )  # fmt: skip
    decoder = avatar.decoder
    assert isinstance(decoder, WholeBody)
    decoder.take(trained.offsets, trained.vertices, _widened(trained, len(start)), trained.joints, motions)
    return avatar.eval()


def committed_motions(person: DressedPerson) -> dict[str, Tensor]:
    """Poses θ [f, 55, 3] of the motions that every body avatar brings along, by name."""
    phases = tuple(number / MOTION_FRAMES for number in range(MOTION_FRAMES))
    return {name: turns_of(person.model, name, phases) for name in MOTIONS}


def _start(trained: BodyAvatar, person: DressedPerson, edits: Sequence[EditRow]) -> StartingPoints:
    n = len(trained)
    pools = {category: _pool([row for row in edits if row.prompt.category is category]) for category in CATEGORIES}
    extra = {category: pool for category, pool in pools.items() if pool is not None}
    ends = np.cumsum([n, *(len(pool.skinning) for pool in extra.values())]).tolist()
    first = dict(zip(extra, ends[:-1], strict=True))
    reference = torch.cat([_own(trained), *(_hidden(pool, person) for pool in extra.values())])
    skinning = torch.cat([trained.skinning, *(pool.skinning for pool in extra.values())])
    changes, regions = (
        torch.zeros(len(edits) + 1, len(reference), N_ATTRIBUTES),
        torch.zeros(len(reference), len(CATEGORIES), dtype=torch.bool),
    )
    for change, row in zip(changes[1:], edits, strict=True):
        learned, category = row.learned, row.prompt.category
        change[learned.members] = _after(learned, reference[learned.members]) - reference[learned.members]
        if category in extra and row.prompt.key in extra[category].worn:
            places = torch.arange(first[category], first[category] + len(extra[category].skinning))
            change[places] = extra[category].worn[row.prompt.key] - reference[places]
        regions[:, category.index] |= (change != 0).any(-1)
    basis = torch.zeros(len(reference), 3, person.model.n_expression)
    basis[:n] = person.fine.of(person.model.expression_basis)
    places = reference[:, MEAN]
    prior = MeshPrior(places, places, torch.zeros_like(places), basis, skinning)
    return StartingPoints(prior, reference, torch.full((len(reference),), int(Layer.BODY)), regions, changes)


def _attributes(places: Tensor, log_scales: Tensor, colors: Tensor, opacity_logit: float) -> Tensor:
    """Isotropic Gaussians [n, 14]."""
    packed = torch.zeros(len(places), N_ATTRIBUTES)
    packed[:, MEAN], packed[:, LOG_SCALE], packed[:, OPACITY] = places, log_scales[:, None], opacity_logit
    packed[:, QUAT] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    packed[:, COLOR] = torch.logit(colors.clamp(COLOR_MARGIN, 1 - COLOR_MARGIN))
    return packed


def _own(trained: BodyAvatar) -> Tensor:
    """The trained points [n, 14]."""
    places = trained.rest + trained.moved.detach()
    return _attributes(places, trained.log_scales.detach(), trained.shown_colors(generated=False).detach(), SHOWN_LOGIT)


def _after(learned: LearnedEdit, before: Tensor) -> Tensor:
    """Changed points [m, 14]."""
    after = before.clone()
    after[:, MEAN], after[:, LOG_SCALE] = learned.places, learned.log_scales[:, None]
    after[:, COLOR] = torch.logit(learned.colors.clamp(COLOR_MARGIN, 1 - COLOR_MARGIN))
    return after


def _pool(rows: Sequence[EditRow]) -> _Pool | None:
    """Points that these edits of one category share; None where none of them adds any."""
    adding = [row for row in rows if len(row.learned.added_places)]
    if not adding:
        return None
    first = adding[0].learned
    worn, skinning = {}, torch.zeros_like(first.added_skinning)
    for row in adding:
        one = row.learned
        order = torch.from_numpy(partners(first.added_places.numpy(), one.added_places.numpy()))
        worn[row.prompt.key] = _attributes(
            one.added_places[order], one.added_log_scales[order], one.added_colors[order], SHOWN_LOGIT
        )
        skinning += one.added_skinning[order] / len(adding)
    return _Pool(worn, skinning)


def partners(
    points: Float[NDArray[np.float32], "n 3"], others: Float[NDArray[np.float32], "n 3"]
) -> Int[NDArray[np.int64], " n"]:
    """Partner of each of some points [p, 3] among as many others: near ones, each used once.

    Both are cut into as many sectors around the vertical through their middle, and matched within them.
    """
    order, own_order = (np.argsort(np.arctan2(*(one - one.mean(0))[:, [0, 2]].T), kind="stable")
                        for one in (points, others))  # fmt: skip
    result = np.empty(len(points), np.int64)
    for start in range(0, len(points), MATCHED_AT_ONCE):
        here, there = order[start : start + MATCHED_AT_ONCE], own_order[start : start + MATCHED_AT_ONCE]
        rows, columns = linear_sum_assignment(cdist(points[here], others[there], "sqeuclidean"))
        result[here[rows]] = there[columns]
    return result


def _hidden(pool: _Pool, person: DressedPerson) -> Tensor:
    """Added points [p, 14] that nobody wears: below the surface next to where they are worn."""
    middle = torch.stack(list(pool.worn.values())).mean(0)
    nearest = torch.from_numpy(cKDTree(person.rest.numpy()).query(middle[:, MEAN].numpy())[1])
    inwards = unit_normals(person.rest, person.faces)[nearest]
    hidden = middle.clone()
    hidden[:, MEAN] = person.rest[nearest] - HIDDEN_BELOW_M * inwards
    hidden[:, OPACITY] = HIDDEN_LOGIT
    return hidden


def _widened(trained: BodyAvatar, total: int) -> Tensor:
    """The mixture with empty rows for added points: what is put on does not hang."""
    rows = trained.mixture.crow_indices()
    longer = torch.cat([rows, rows[-1:].expand(total - len(trained))])
    size = (total, trained.mixture.shape[1])
    return csr_tensor(longer, trained.mixture.col_indices(), trained.mixture.values(), size)


def _resting_camera(trained: BodyAvatar) -> Camera:
    """Sees the whole person at rest."""
    height = trained.rest[:, 1]
    return whole_person(float(height.min()), float(height.max()), 0.0, 0.0, CAMERA_PX)

"""A new avatar from a head model and its training clips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from perse.attributes import Category
from perse.avatar.avatar import Avatar, AvatarCard, AvatarConfig, Subject
from perse.avatar.initialisation import StartConfig, starting_points
from perse.avatar.latents import SubjectFeatures
from perse.avatar.motion import Skeleton
from perse.data import PortraitClip
from perse.head import HeadModel


def watched_subjects(
    edited: Sequence[tuple[PortraitClip, Category]], limit: int | None
) -> list[tuple[PortraitClip, Category]]:
    """Subjects that are watched: so many at most, spread evenly over their table; every category keeps its share, and
    one at least."""
    if limit is None or len(edited) <= limit:
        return list(edited)
    by_category: dict[Category, list[tuple[PortraitClip, Category]]] = {}
    for one in edited:
        by_category.setdefault(one[1], []).append(one)
    chosen = []
    for members in by_category.values():
        count = max(1, limit * len(members) // len(edited))
        chosen += [members[i * len(members) // count] for i in range(count)]
    return chosen


def create_avatar(
    model: HeadModel,
    clips: Sequence[PortraitClip],
    subjects: Sequence[Subject],
    image_features: Float[Tensor, "s w"],
    text_features: Float[Tensor, "s w"],
    absent: Sequence[Category],
    config: AvatarConfig,
    start: StartConfig,
    *,
    seed: int,
    encoder: str = "",
) -> Avatar:
    """Initialise an avatar; training comes next.

    Args:
        clips: training frames of the subjects, the reference first.
        subjects: rows of the subjects table, in the clips' order.
        image_features, text_features: [s, w], f_I and f_T; the reference's rows are not read.
        absent: categories that the portrait does not show (no hat, no beard, ...).
        seed: of point sampling and first weights.
        encoder: name of what made the features.
    """
    if len(clips) != len(subjects) or subjects[0].category is not None:
        raise ValueError(
            f"expected one subject for each clip and the reference first, got {len(clips)} clips and "
            f"{len(subjects)} subjects, the first a {subjects[0].category or 'reference'}"
        )
    edited = [(clip, s.category) for clip, s in zip(clips[1:], subjects[1:], strict=True) if s.category is not None]
    points, mesh = starting_points(model, clips[0], watched_subjects(edited, start.watched_subjects), start, seed)
    card = AvatarCard(
        subjects[0].key, clips[0].camera, model.expression_names, model.joint_names, tuple(sorted(absent)), encoder
    )
    rows = torch.tensor([-1 if s.category is None else s.category.index for s in subjects])
    return Avatar(
        config,
        card,
        Skeleton(mesh.joints, model.parents, model.n_expression, correctives=mesh.correctives),
        points,
        subjects,
        SubjectFeatures(image_features.float(), text_features.float(), rows),
        seed=seed,
    )

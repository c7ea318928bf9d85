"""Scores of a transferred attribute (P A.4): how well it was learned, and what else it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Part
from perse.avatar import Avatar, interpolate
from perse.data import PortraitClip
from perse.evaluation.interpolations import path_scores
from perse.evaluation.perceptual import multi_scale_distance
from perse.evaluation.pictures import absolute_difference, psnr, squared_error
from perse.evaluation.regions import changed_part, unchanged
from perse.evaluation.viewing import Viewer
from perse.features.embedded import describe_image
from perse.render import Rasterizer
from perse.shapes import HardMask, Picture

STRIP_STEPS = 9
"""Pictures of an interpolation (P B.2)."""

_OLD_FRAMES = 2
"""Test frames that every old subject is compared in."""


@dataclass(frozen=True)
class TransferScores:
    """Scores of a transferred attribute.

    Attributes:
        part_psnr: dB inside the changed part, against its clip, on unseen poses; psnr: of whole pictures.
        part_distance: distance (1 - cosine) of the embedded descriptor of the part as the avatar shows it, cut out,
            from that of the part in the stranger's picture; other_distance: what the category's other subjects show
            in the same pixels, on average, for comparison; nan where there is none.
        leakage: mean absolute difference from the reference outside the changed part, in [0, 1].
        old_change_db: largest loss of PSNR that an old subject has suffered against its own earlier picture's error;
            old_difference: largest difference of any of their pixels, in [0, 1].
        way_sum, way_deviation: of the multi-scale L1 distances between neighbours on the way from an old subject, as
            shares of the distance of its ends: 1 is straight, 0 is even.
    """

    part_psnr: float
    psnr: float
    part_distance: float
    other_distance: float
    leakage: float
    old_change_db: float
    old_difference: float
    way_sum: float
    way_deviation: float


@dataclass(frozen=True)
class PartOfPicture:
    """A part of a photograph: picture [h, w, 3] uint8, mask [h, w] bool, and which part it is."""

    image: Picture
    mask: HardMask
    part: Part


@dataclass(frozen=True)
class TransferPictures:
    """Pictures of a transfer that a person should look at.

    Attributes:
        shown, filmed: [f, h, w, 3] the new subject and its clip; strip: [9, h, w, 3] from an old subject to it.
    """

    shown: Float[Tensor, "f h w 3"]
    filmed: Float[Tensor, "f h w 3"]
    strip: Float[Tensor, "9 h w 3"]


def score_transfer(
    before: Avatar,
    after: Avatar,
    reference: PortraitClip,
    clip: PortraitClip,
    old: Sequence[PortraitClip],
    source: PartOfPicture,
    rasterizer: Rasterizer,
) -> tuple[TransferScores, TransferPictures]:
    """Scores of the newest subject of an avatar.

    Args:
        before, after: the avatar without and with it.
        reference, clip: test frames of the unedited person and of the new subject.
        old: test frames of subjects that `before` has; all of one length.
        source: what was to be transferred.
    """
    row = len(after.subjects) - 1
    category = after.subjects[row].category
    assert category is not None, "the reference is not transferred"
    viewer = _viewer(after, reference, rasterizer)
    codes = after.subject_codes().detach()
    shown, person = viewer.pictures(codes[row]), viewer.pictures(codes[0])
    filmed = torch.from_numpy(clip.images[:]).float() / 255
    changed = changed_part(category, clip.parts[:], reference.parts[:])
    others = [r for r in range(1, row) if after.subjects[r].category is category]
    frame = _calmest(clip)
    worn = clip.parts[frame] == source.part
    still = viewer.at([frame])
    start = others[0] if others else 0
    alphas = torch.linspace(0, 1, STRIP_STEPS).tolist()
    strip = torch.cat([still.pictures(interpolate(codes[start], codes[row], alpha)) for alpha in alphas])
    own = _described(torch.from_numpy(source.image).float() / 255, source.mask)
    way_sum, way_deviation = path_scores(strip, multi_scale_distance)
    loss_db, difference = _old_subjects(before, after, old, rasterizer)
    scores = TransferScores(
        part_psnr=psnr(squared_error(shown, filmed, changed)),
        psnr=psnr(squared_error(shown, filmed)),
        part_distance=_distance(own, _described(shown[frame], worn)),
        other_distance=float(np.mean([_distance(own, _described(still.pictures(codes[r])[0], worn)) for r in others]))
        if others
        else float("nan"),
        leakage=absolute_difference(shown, person, unchanged([changed])),
        old_change_db=loss_db,
        old_difference=difference,
        way_sum=way_sum,
        way_deviation=way_deviation,
    )
    return scores, TransferPictures(shown, filmed, strip)


def _old_subjects(
    before: Avatar, after: Avatar, clips: Sequence[PortraitClip], rasterizer: Rasterizer
) -> tuple[float, float]:
    """Largest loss of PSNR against their clips, dB, and largest difference of a pixel."""
    losses, differences = [0.0], [0.0]
    for clip in clips:
        frames = np.unique(np.linspace(0, len(clip) - 1, _OLD_FRAMES).round().astype(int)).tolist()
        truth = torch.from_numpy(clip.images[frames]).float() / 255
        row = before.row(clip.key)
        was, now = (
            _viewer(avatar, clip, rasterizer).at(frames).pictures(avatar.subject_codes().detach()[row])
            for avatar in (before, after)
        )
        losses.append(psnr(squared_error(was, truth)) - psnr(squared_error(now, truth)))
        differences.append(float((was - now).abs().max()))
    return max(losses), max(differences)


def _calmest(clip: PortraitClip) -> int:
    """The frame that is nearest to rest: eyes open, head straight."""
    away = clip.parameters.pose.flatten(1).norm(dim=1) + clip.parameters.expression.norm(dim=1)
    return int(away.argmin())


def _viewer(avatar: Avatar, clip: PortraitClip, rasterizer: Rasterizer) -> Viewer:
    return Viewer(avatar, avatar.skeleton(clip.parameters.to(avatar.device)), clip.camera, rasterizer)


def _described(picture: Tensor, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The embedded descriptor [512] of a part [h, w, 3] alone, cut out on white."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return np.zeros(512, np.float32)
    alone = torch.where(torch.from_numpy(mask)[..., None], picture, torch.ones(3))
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return describe_image((alone[box] * 255 + 0.5).to(torch.uint8).numpy())


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return 1 - float(a @ b)

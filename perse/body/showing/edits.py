"""Pictures and scores of a body avatar's edits: what they look like, and what they leave alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, Subject, interpolate
from perse.avatar.whole_body import WholeBody
from perse.body.showing.drawing import sheet
from perse.body.training.frames import TargetFrame
from perse.export.edits import mixed_code
from perse.export.shots import at_rest
from perse.export.views import orbit, orbit_centre
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.render import Rasterizer, rasterize
from perse.shapes import Picture

CHANGED = 0.02
"""Difference of two clean frames from which on a pixel shows the edit."""
GROWN_PX = 3
"""So far around it avatars may differ as well: a Gaussian is a pixel or two wide there."""
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
YAW = 0.35
HEAD_HEIGHTS = 0.24
"""Side of a close look at the head, in heights of the picture of the whole person."""


@dataclass(frozen=True)
class EditScores:
    """Scores of one edit on frames that nobody learned from, colours in [0, 1].

    Attributes:
        gain_db: how much nearer the edited avatar is to the edited person than the unedited avatar, inside the edit.
        psnr_db: of the edited avatar inside the edit.
        leakage: mean absolute change of the avatar outside the edit, over the person's pixels; inside: the same
            within it.
    """

    gain_db: float
    psnr_db: float
    leakage: float
    inside: float


def score_edit(
    avatar: Avatar, subject: Subject, edited: Sequence[TargetFrame], plain: Sequence[TargetFrame],
    rasterizer: Rasterizer,
) -> EditScores:  # fmt: skip
    """Scores of an edit.

    Args:
        edited, plain: clean frames of the edited and of the unedited person, pose for pose.
    """
    assert subject.category is not None, "the reference is no edit"
    worn = mixed_code(avatar, {subject.category: {subject.key: 1.0}})
    own = avatar.latents.reference.detach()
    rows = []
    for after, before in zip(edited, plain, strict=True):
        shown, unedited = (_at(avatar, code, after, rasterizer) for code in (worn, own))
        region = ((after.image - before.image).abs().amax(-1) > CHANGED).numpy().astype(np.uint8)
        grown = torch.from_numpy(cv2.dilate(region, np.ones((2 * GROWN_PX + 1,) * 2, np.uint8)) > 0)
        person = (after.alpha > 0.5) | (before.alpha > 0.5)
        inside, outside = grown & person, person & ~grown
        change = (shown - unedited).abs().mean(-1)
        near, far = ((one - after.image).square()[inside].mean() for one in (shown, unedited))
        rows.append((_db(near) - _db(far), _db(near), float(change[outside].mean()), float(change[inside].mean())))
    return EditScores(*(float(np.mean(column)) for column in zip(*rows, strict=True)))


def edit_numbers(scores: dict[str, EditScores]) -> dict[str, dict[str, float]]:
    """Numbers of the edits by their texts, for metrics.json."""
    return {text: asdict(one) for text, one in scores.items()}


def edits_sheet(avatar: Avatar, rasterizer: Rasterizer, size_px: int) -> Picture:
    """Sheet with a row for each category: its first edit, on the way to its last (or to nobody's), and there; and a
    last row of everything at once, in the motions that the avatar brings along."""
    by_category: dict[Category, list[Subject]] = {}
    for subject in avatar.subjects:
        if subject.category is not None:
            by_category.setdefault(subject.category, []).append(subject)
    whole = avatar.card.camera.resized(size_px, size_px)
    rows = []
    for category, members in by_category.items():
        start = mixed_code(avatar, {category: {members[0].key: 1.0}})
        end = mixed_code(avatar, {category: {members[-1].key: 1.0}} if len(members) > 1 else {})
        camera = orbit(whole, orbit_centre(avatar), YAW) if category is Category.CLOTHES else head_camera(avatar, whole)
        rows.append([draw_look(avatar, interpolate(start, end, a), at_rest(avatar), camera, rasterizer) for a in STEPS])
    all_worn = mixed_code(avatar, {category: {members[0].key: 1.0} for category, members in by_category.items()})
    poses = [motion[len(motion) // 3] for motion in avatar.decoder.performances.values()][: len(STEPS)]
    rows.append([draw_look(avatar, all_worn, _posed(avatar, pose), whole, rasterizer) for pose in poses])
    return sheet([row for row in rows if len(row) == len(STEPS)])


def head_camera(avatar: Avatar, whole: Camera) -> Camera:
    """Camera that looks closely at the head, a little from the side."""
    joints, names = avatar.skeleton.joints.cpu(), avatar.card.joint_names
    eyes = (joints[names.index("left_eye")] + joints[names.index("right_eye")]) / 2
    centre = eyes + torch.tensor([0.0, 0.03, -0.06])
    pixel, _ = whole.project(centre[None])
    half = HEAD_HEIGHTS * whole.height / 2
    x, y = pixel[0].tolist()
    close = whole.cropped(int(x - half), int(y - half), int(2 * half), int(2 * half))
    return orbit(close.resized(whole.width, whole.height), centre, YAW)


@torch.inference_mode()
def draw_look(
    avatar: Avatar, code: Float[Tensor, "k d"], frame: HeadParameters, camera: Camera, rasterizer: Rasterizer
) -> Picture:  # fmt: skip
    """Picture [h, w, 3] uint8 of a look on white."""
    gaussians = avatar.pose(avatar.canonicalise(code), frame)[0]
    drawn = rasterize(gaussians, camera, background=torch.ones(3), rasterizer=rasterizer)
    return np.round(255 * drawn.colors.clamp(0, 1).numpy()).astype(np.uint8)


@torch.inference_mode()
def _at(avatar: Avatar, code: Tensor, target: TargetFrame, rasterizer: Rasterizer) -> Tensor:
    """The avatar [h, w, 3] where a target's person is."""
    assert isinstance(avatar.decoder, WholeBody)
    motion = avatar.skeleton(_posed(avatar, target.pose))
    gaussians = avatar.pose(avatar.canonicalise(code), motion)[0]
    place = target.translation.clone()
    place[1] -= avatar.decoder.lift(motion)[0]  # where the person stands is the target's business
    moved = replace(gaussians, means=gaussians.means + place)
    return rasterize(moved, target.camera, background=torch.ones(3), rasterizer=rasterizer).colors.clamp(0, 1)


def _posed(avatar: Avatar, pose: Tensor) -> HeadParameters:
    return replace(at_rest(avatar), pose=pose)


def _db(squared: Tensor) -> float:
    return float(-10 * torch.log10(squared.clamp(min=1e-10)))

"""Learning of an edit: what its frames say about the points that it may change, and nothing else.

The avatar of the unedited person is finished and stays as it is. An edited person is filmed by whoever films
(`BodyAnimator`); of the points that the edit may change, places, sizes and colours follow those frames and the edited
photograph, one to one as in the main training, from where the editor has put them. What comes out is a difference per
point: `perse.body.avatar.assembly` makes a basis of the differences of a category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from perse.body.animation.animator import BodyAnimator
from perse.body.animation.clip import BodyClip, clip_of
from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import Filmed
from perse.body.avatar.avatar import OPACITY, BodyAvatar
from perse.body.avatar.learned_edit import LearnedEdit
from perse.body.editing import EditedPerson
from perse.body.fitting.person import FittedPerson, person_camera
from perse.body.model import BodyParameters
from perse.body.training.frames import TargetFrame, face_window, frame_of
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.head import blend_transforms, joint_transforms
from perse.losses import PictureLossConfig, picture_loss
from perse.render import Rasterizer, rasterize


@dataclass(frozen=True, kw_only=True)
class EditTrainingConfig:
    """Numbers of learning an edit."""

    motions: tuple[Filmed, ...] = (Filmed("turn", 8), Filmed("dance", 4))
    """What the edited person is filmed in."""
    measured: Filmed = field(default_factory=lambda: Filmed("stretch", 3))
    """What is filmed of it only to be measured."""
    steps: int = 40
    """Each looks at one filmed frame and at the edited photograph, or closely at its face."""
    colors: float = 1e-2
    """Adam's rate for colours."""
    scales: float = 1e-2
    """For logarithms of scales."""
    places_m: float = 2e-4
    """For places, metres."""
    image: PictureLossConfig = field(default_factory=lambda: PictureLossConfig(l1=0.8, ssim=0.2, alpha=0.5, scales=3))
    """The picture's terms, the silhouette among them."""


def film_edit(
    person: FittedPerson, edited: EditedPerson, animator: BodyAnimator, config: EditTrainingConfig, size_px: int,
    captured_px: int, patch_px: int,
) -> tuple[list[TargetFrame], list[TargetFrame]]:  # fmt: skip
    """Frames of the edited person: filmed ones, and the edited photograph with a close look at its face."""
    clips = [animator.film(edited.dressed, filmed, size_px) for filmed in config.motions]
    filmed = [frame_of(clip, number, generated=True) for clip in clips for number in range(len(clip))]
    looks = [person_camera(person, captured_px)[0]]
    window = face_window(person)
    if window is not None:
        looks.append(window[0].resized(patch_px, patch_px))
    return filmed, [frame_of(_still(edited.dressed, camera), 0, generated=False) for camera in looks]


def _still(dressed: DressedPerson, camera: Camera) -> BodyClip:
    """The person as photographed, one frame."""
    own = dressed.parameters
    alone = BodyParameters(
        own.betas, own.vertex_offsets, own.expression[None], own.pose[None], own.translation[None]
    )  # fmt: skip
    return clip_of([draw_person(dressed, dressed.posed(own), camera)], alone, camera)


def learn_edit(
    avatar: BodyAvatar,
    person: DressedPerson,
    edited: EditedPerson,
    filmed: Sequence[TargetFrame],
    captured: Sequence[TargetFrame],
    config: EditTrainingConfig,
    rasterizer: Rasterizer,
    seed: int,
) -> LearnedEdit:
    """Edit whose points are fitted to its frames.

    Args:
        avatar: of the unedited person, finished.
        person: the unedited person.
        filmed, captured: see `film_edit`.
    """
    model = _Edited(avatar, person, edited)
    optimiser = torch.optim.Adam(
        [
            {"params": [model.colors, model.added_colors], "lr": config.colors, "eps": 1e-6},
            {"params": [model.log_scales, model.added_log_scales], "lr": config.scales},
            {"params": [model.places, model.added_places], "lr": config.places_m},
        ]
    )
    rng = np.random.default_rng(seed)
    order = [number for _ in range(-(-config.steps // len(filmed))) for number in rng.permutation(len(filmed))]
    rates = [group["lr"] for group in optimiser.param_groups]
    for step, number in zip(range(config.steps), order, strict=False):
        background = torch.from_numpy(rng.uniform(0, 1, 3).astype(np.float32))
        optimiser.zero_grad(set_to_none=True)
        for target in (filmed[number], captured[step % len(captured)]):
            drawn = rasterize(
                model.posed(target.pose, target.translation), target.camera, background=background,
                rasterizer=rasterizer,
            )  # fmt: skip
            loss = picture_loss(
                drawn.colors[None], drawn.alphas[None], target.within(drawn.alphas, background)[None],
                target.alpha[None],
                config=config.image,
            )  # fmt: skip
            loss.total.backward()  # type: ignore[no-untyped-call]
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - 0.9 * step / config.steps)
        optimiser.step()
    return model.learned()


class _Edited(nn.Module):
    """The avatar with an edit that can be learned."""

    def __init__(self, avatar: BodyAvatar, person: DressedPerson, edited: EditedPerson) -> None:
        super().__init__()
        n, added = len(avatar), edited.added
        self._avatar = [avatar]  # in a list, so that its parameters are not this module's
        self.members = torch.nonzero(edited.changed)[:, 0]
        before = avatar.rest + avatar.moved.detach()
        moved = (edited.dressed.rest[:n] - person.rest)[self.members]
        self._before, self._before_scales = before, avatar.log_scales.detach()
        self._before_colors = avatar.colors.detach().clamp(0, 1)
        self.places = nn.Parameter(before[self.members] + moved)
        self.log_scales = nn.Parameter(avatar.log_scales.detach()[self.members].clone())
        self.colors = nn.Parameter(edited.colors[self.members].clone())
        self.added_places = nn.Parameter(added.points.clone())
        self.added_log_scales = nn.Parameter(added.scales.clamp(min=1e-4).log())
        self.added_colors = nn.Parameter(added.colors.clone())
        self._added_skinning = added.skinning
        self._skinning = torch.cat([avatar.skinning, added.skinning])

    def posed(self, pose: Tensor, translation: Tensor) -> Gaussians:
        """Gaussians [n + p] of a frame."""
        avatar = self._avatar[0]
        places = torch.cat([self._before.index_copy(0, self.members, self.places), self.added_places])
        transforms = blend_transforms(joint_transforms(avatar.joints, pose, avatar.structure.parents.tolist()),
                                      self._skinning)  # fmt: skip
        with torch.no_grad():
            offsets = avatar.pose(pose[None], translation[None]).offsets[0]
        offsets = torch.cat([offsets, torch.zeros_like(self.added_places)])
        points = (transforms[:, :3, :3] * (places + offsets)[:, None, :]).sum(-1) + transforms[:, :3, 3] + translation
        logs = torch.cat([self._before_scales.index_copy(0, self.members, self.log_scales), self.added_log_scales])
        colors = torch.cat([self._before_colors.index_copy(0, self.members, self.colors), self.added_colors])
        unturned = torch.zeros(len(points), 4)
        unturned[:, 0] = 1
        return Gaussians(
            points, unturned, logs.exp()[:, None].expand(-1, 3), torch.full((len(points),), OPACITY),
            colors.clamp(0, 1),
        )  # fmt: skip

    def learned(self) -> LearnedEdit:
        return LearnedEdit(
            self.members, self.places.detach(), self.log_scales.detach(), self.colors.detach().clamp(0, 1),
            self.added_places.detach(), self.added_log_scales.detach(), self.added_colors.detach().clamp(0, 1),
            self._added_skinning,
        )  # fmt: skip

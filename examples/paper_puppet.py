"""An animator of one's own: the portrait as a paper cut-out that turns with the head.

    perse build --recipe examples.paper_puppet:recipe --workspace runs/puppet

A seam needs a frozen configuration with ``build`` and an object with the domain's one method; a recipe puts it in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from perse.data import EditedPortrait, PortraitClip, TrackedPortrait
from perse.head import HeadModel, Joint, pose_head
from perse.recipes import Recipe, tiny
from perse.synthesis.seams import Shot

_PLANE = torch.tensor([[-1.0, 0, 0], [1, 0, 0], [1, 2, 0], [-1, 2, 0]])  # in units of 10 cm, about the neck


@dataclass(frozen=True, kw_only=True)
class PaperPuppetConfig:
    """A cut-out has nothing to choose."""

    def build(self, head: HeadModel) -> PaperPuppet:
        return PaperPuppet(head)


@dataclass(frozen=True)
class PaperPuppet:
    """Moves the whole person's picture by the homography of a plane through the head; see `PortraitAnimator`."""

    head: HeadModel

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        source = edited or portrait
        alpha = source.masks.person.astype(np.float32)[..., None]
        sheet = np.concatenate([source.image * (alpha / 255), alpha], -1)
        camera = portrait.camera.resized(shot.size_px, shot.size_px)
        motion = shot.motion.with_identity(portrait.head)
        corners = pose_head(self.head, portrait.head).joints[Joint.NECK] + 0.1 * _PLANE  # in the rest pose
        start = portrait.camera.project(corners)[0].numpy()
        images, alphas, parts = [], [], []
        for turn in pose_head(self.head, motion).transforms[:, Joint.NECK]:
            end = camera.project(corners @ turn[:3, :3].T + turn[:3, 3])[0].numpy()
            warp, size = cv2.getPerspectiveTransform(start, end), (shot.size_px, shot.size_px)
            moved = cv2.warpPerspective(sheet, warp, size, flags=cv2.INTER_AREA)
            images.append((moved[..., :3] + 255 - moved[..., 3:]).clip(0, 255).astype(np.uint8))
            alphas.append(moved[..., 3].astype(np.uint8))
            parts.append(cv2.warpPerspective(source.masks.labels, warp, size, flags=cv2.INTER_NEAREST))
        arrays = (np.stack(stack) for stack in (images, alphas, parts))
        return PortraitClip(source.key, shot.frame_numbers, *arrays, motion, camera)


def recipe() -> Recipe:
    """The tiny recipe with the puppet as its animator."""
    return replace(tiny(), name="puppet", animator=PaperPuppetConfig())

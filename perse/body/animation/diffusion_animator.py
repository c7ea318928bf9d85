"""Animator of the paper's kind: a pose-guided video diffusion model films the person (`pose_video`).

What a generator draws has no geometry of its own. As in the paper, depth, normals, parts and silhouette come from the
body model, posed as the motion says; the pixels are the generator's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from perse.body.animation.animator import studio_camera
from perse.body.animation.clip import BodyClip, clip_of
from perse.body.animation.drawing import DrawnBody, draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import Filmed, performed
from perse.body.animation.skeleton_pictures import skeleton_pictures
from perse.data.keys import content_key
from perse.data.on_white import laid_on_white

if TYPE_CHECKING:
    from perse.body.animation.pose_video import PoseVideo, PoseVideoConfig


@dataclass(frozen=True, kw_only=True)
class DiffusionBodyAnimatorConfig:
    """Configuration of the diffusion animator: the model, and the size of its frames."""

    video: PoseVideoConfig
    """The model."""
    drawn_px: int = 576
    """Side of the pictures that the model draws; frames are resized."""

    def build(self) -> DiffusionBodyAnimator:
        """Animator with its model in memory.

        Raises:
            MissingWeightsError: the weights are not there.
        """
        from perse.body.animation.pose_video import PoseVideo

        return DiffusionBodyAnimator(self, PoseVideo(self.video))


class DiffusionBodyAnimator:
    """Animator by a pose-guided video diffusion model. Deterministic: the noise depends on the seed and on the
    motion."""

    def __init__(self, config: DiffusionBodyAnimatorConfig, video: PoseVideo) -> None:
        self._config, self._video = config, video

    def film(self, person: DressedPerson, filmed: Filmed, size_px: int) -> BodyClip:
        """See `BodyAnimator.film`.

        Raises:
            GenerationError: a frame is not finite.
        """
        camera = studio_camera(person, size_px)
        large = camera.resized(self._config.drawn_px, self._config.drawn_px)
        motion = performed(person.model, person.parameters, filmed.name, filmed.phases)
        still = draw_person(person, person.posed(person.parameters), large).image
        seed = int(content_key("body-video", filmed)[:6], 16)
        drawn = self._video.frames(still, skeleton_pictures(person.model, motion, large), seed)
        frames = [
            _with_pixels(draw_person(person, points, camera), picture)
            for points, picture in zip(person.posed(motion), drawn, strict=True)
        ]
        return clip_of(frames, motion, camera)


def _with_pixels(frame: DrawnBody, picture: np.ndarray) -> DrawnBody:  # type: ignore[type-arg]
    """A frame with a picture's pixels, on white outside of its silhouette."""
    height, width = frame.alpha.shape
    small = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    return replace(frame, image=laid_on_white(small, frame.alpha.astype(np.float32) / np.float32(255)))

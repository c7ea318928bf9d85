"""Animators of a fitted person: the seam, and the one that needs no weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch

from perse.body.animation.clip import BodyClip, clip_of
from perse.body.animation.drawing import DrawnBody, draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import Filmed, performed
from perse.body.animation.studio_camera import whole_person
from perse.body.model import pose_body
from perse.geometry import Camera


class BodyAnimator(Protocol):
    """Maker of a pose-rich clip of one person (the paper's is MimicMotion)."""

    def film(self, person: DressedPerson, filmed: Filmed, size_px: int) -> BodyClip:
        """Clip of square frames of a motion."""
        ...


class BodyAnimatorConfig(Protocol):
    """Configuration that builds an animator."""

    def build(self) -> BodyAnimator:
        """The animator, where it runs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Errors of generated frames: their maker's idea of the person instead of the person.

    A rendering keeps the identity by construction. A diffusion model does not, and the two ideas of the method exist
    because of that; so that they can be seen at work without such weights, this imitates it. Nothing by default.
    """

    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added to the colours."""
    face_blur_px: float = 0.0
    """Standard deviation of the blur of photographed details, pixels of the photograph, everywhere."""
    flatten: float = 0.0
    """Share by which details of the photograph give way to the plain colours of their surroundings."""
    sway_m: float = 0.0
    """Frames are drawn so far beside where they should be, back and forth: geometry that does not agree."""


NO_DRIFT = Drift()


@dataclass(frozen=True, kw_only=True)
class ProceduralBodyAnimatorConfig:
    """Configuration of the animator that moves the textured surface and draws it again."""

    drift: Drift = NO_DRIFT
    """Faults to imitate."""

    def build(self) -> ProceduralBodyAnimator:
        return ProceduralBodyAnimator(self)


@dataclass(frozen=True)
class ProceduralBodyAnimator:
    """Animator that moves the textured surface and draws it again. Deterministic."""

    config: ProceduralBodyAnimatorConfig = field(default_factory=ProceduralBodyAnimatorConfig)

    def film(self, person: DressedPerson, filmed: Filmed, size_px: int) -> BodyClip:
        """See `BodyAnimator.film`."""
        camera = studio_camera(person, size_px)
        motion = performed(person.model, person.parameters, filmed.name, filmed.phases)
        points = person.moved(motion, filmed.seconds)
        drift = self.config.drift
        drawn = drifted(person, drift)
        frames = []
        for number, posed in enumerate(points):
            aside = drift.sway_m * np.sin(2.4 * number + len(filmed.name))
            frame = draw_person(drawn, posed + torch.tensor([aside, 0.5 * aside, 0.0], dtype=torch.float32), camera)
            frames.append(_tinted(frame, drift))
        return clip_of(frames, motion, camera)


def studio_camera(person: DressedPerson, size_px: int) -> Camera:
    """Camera that the motions are filmed with: it sees the whole body, from as high as its middle. What the body wears
    makes no difference, so that frames of an edited person can be compared with frames of the unedited one."""
    height = pose_body(person.model, person.parameters).vertices[:, 1]
    x, _, z = person.parameters.translation.tolist()
    return whole_person(float(height.min()), float(height.max()), x, z, size_px)


def drifted(person: DressedPerson, drift: Drift) -> DressedPerson:
    """Person with the errors of a generative animator."""
    if not (drift.face_blur_px or drift.flatten):
        return person
    import cv2

    photograph = person.photograph
    if drift.face_blur_px:
        photograph = np.asarray(cv2.GaussianBlur(photograph, (0, 0), drift.face_blur_px), np.float32)
    if drift.flatten:
        plain = np.asarray(cv2.GaussianBlur(photograph, (0, 0), 12.0), np.float32)
        photograph = photograph + np.float32(drift.flatten) * (plain - photograph)
    return replace(person, photograph=photograph)


def _tinted(frame: DrawnBody, drift: Drift) -> DrawnBody:
    if not any(drift.tint):
        return frame
    shift = 255 * np.array(drift.tint, np.float32) * (frame.alpha[..., None] / np.float32(255))
    return replace(frame, image=np.round(np.clip(frame.image + shift, 0, 255)).astype(np.uint8))

"""The photograph after tracking, and after an edit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from perse.data.attachment import Attachment
from perse.data.masks import PartMasks
from perse.data.prompt import AttributePrompt
from perse.geometry.camera import Camera
from perse.head.parameters import HeadParameters
from perse.shapes import ByteMask, Picture


@dataclass(frozen=True)
class TrackedPortrait:
    """The input, cropped to a square around the head, with everything that was found in it.

    Attributes:
        key: identity key, a hash of the picture's pixels and of the tracker's configuration.
        image: [h, w, 3] uint8 RGB, the square crop; beyond the photograph's border it is continued plausibly.
        inside: [h, w] uint8, 255 where the crop shows real pixels of the photograph.
        landmarks_px: [478, 3] float32, mediapipe order; x, y in pixels of the crop, z in the same scale.
        masks: part masks of the crop.
        head: fitted parameters, a single frame: β and offsets, the portrait's own expression and pose.
        camera: the fitted camera of the crop.
        face_width_px: width of the landmarks' bounding box, pixels of the crop; the natural unit of 2D edits.
        fit_rms_px: root mean square distance between detected and fitted landmarks, pixels of the crop.
    """

    key: str
    image: Picture
    inside: ByteMask
    landmarks_px: Float32[np.ndarray, "478 3"]
    masks: PartMasks
    head: HeadParameters
    camera: Camera
    face_width_px: float
    fit_rms_px: float


@dataclass(frozen=True)
class Underlay:
    """The picture that attachments are put on: the portrait after the 2D part of an edit, old hair removed."""

    image: Picture
    masks: PartMasks


@dataclass(frozen=True)
class EditedPortrait:
    """A portrait with one attribute changed.

    Attributes:
        key: content key: a hash of identity, prompt, seed, editor configuration and weights.
        prompt: what was asked for.
        image: [h, w, 3] uint8, the finished picture, attachments included; equals the portrait to the pixel where
            `edit_mask` is 0.
        masks: part masks of `image`.
        edit_mask: [h, w] uint8, everything that may differ: the edit, its feather, removed hair.
        attachments: 3D geometry of the edit; empty for 2D edits and for edits that a diffusion model painted.
        underlay: what the attachments stand on; None exactly when there are no attachments.
        provenance: sorted (name, value) pairs: backend, weights digest, licence, code version.
    """

    key: str
    prompt: AttributePrompt
    image: Picture
    masks: PartMasks
    edit_mask: ByteMask
    attachments: tuple[Attachment, ...]
    underlay: Underlay | None
    provenance: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if bool(self.attachments) != (self.underlay is not None):
            raise ValueError("an edited portrait has an underlay exactly when it has attachments")

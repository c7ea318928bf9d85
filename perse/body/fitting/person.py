"""Fitting of a dressed person to a photograph: the order of the steps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.fitting.config import PersonFitConfig
from perse.body.fitting.covering import nearest_labels
from perse.body.fitting.dressing import dressed_body
from perse.body.fitting.face import TrackedFace, face_size, track_face
from perse.body.fitting.fit import fit_body, tall_px
from perse.body.fitting.fitted_body import FittedBody
from perse.body.fitting.found import FoundPerson, find_person
from perse.body.fitting.head_transfer import baked_head
from perse.body.model import AnnyBody, BodySource
from perse.geometry import Camera
from perse.shapes import Picture, SoftMask
from perse.tracking.person import person_matte

Image = NDArray[np.uint8]

MAX_SIDE_PX = 1400
"""Larger photographs are reduced: no Gaussian is smaller than their pixels."""
MATTE_PX = 512
UNSURE_WIDTHS = 0.22
"""Of the matte, face widths: the network's outline of a whole body is coarse."""
BESIDE_WIDTHS = 0.1
"""So far from the fitted body, in face widths, colours tell the person from what is behind."""
POORLY_FITTED = 0.02
"""Landmarks that are this far off, in heights of the person, mean another pose than the person's."""


@dataclass(frozen=True)
class FittedPerson:
    """A photographed person, ready to be filmed and trained on.

    Attributes:
        dressed: the textured surface.
        image: [h, w, 3] uint8, the photograph.
        mask: [h, w] float32, the person.
        parts: [h, w] uint8, values of `Cover`.
        rms_px: of the body landmarks.
        guessed: what the photograph does not show.
        face: the tracked face; None where it could not be tracked, or where the body's head is not the tracked one.
    """

    dressed: DressedPerson
    image: UInt8[NDArray[np.uint8], "h w 3"]
    mask: Float32[NDArray[np.float32], "h w"]
    parts: UInt8[NDArray[np.uint8], "h w"]
    rms_px: float
    guessed: tuple[str, ...]
    face: TrackedFace | None = None


def fit_person(image: Picture, source: BodySource, config: PersonFitConfig, person: int | None = None) -> FittedPerson:
    """Dressed person of a photograph.

    Args:
        image: [h, w, 3] uint8 RGB, upright.
        person: which one, where there are several; from 1, left to right.

    Raises:
        PortraitError: nobody, several persons without a choice, too small.
    """
    image = _reduced(image)
    model = source.load()
    found = find_person(image, person)
    face = track_face(image, found)
    guessed: tuple[str, ...] = ("face shape",)
    offsets, face_px = torch.zeros_like(model.template), None
    if isinstance(face, TrackedFace):
        face_px = face.landmarks_px
        if isinstance(source, AnnyBody):
            guessed = ()
            from perse.head.embedded import embedded_head

            offsets = baked_head(model, embedded_head(), face.portrait.head)
    tracked = face if isinstance(face, TrackedFace) else None
    fit = fit_body(model, found, (image.shape[1], image.shape[0]), face_px, offsets, config.fit)
    body = FittedBody.of(model, fit.parameters, fit.camera)
    mask = _matte(image, found, body.drawn())
    dressed = dressed_body(body, image, mask, tracked, config)
    frame = draw_person(dressed, dressed.posed(dressed.parameters), dressed.camera)
    parts = nearest_labels(frame.parts, mask > 0.5)
    if fit.rms_px > POORLY_FITTED * tall_px(found):
        guessed = (*guessed, f"the pose (landmarks are {fit.rms_px:.0f} px off)")
    shared = tracked if isinstance(source, AnnyBody) else None
    return FittedPerson(dressed, image, mask, parts, fit.rms_px, (*fit.guessed, *guessed), shared)


def _reduced(image: Image) -> Image:
    scale = MAX_SIDE_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _matte(image: Image, found: FoundPerson, body_mask: SoftMask) -> SoftMask:
    """The person's mask [h, w]. The inside of the fitted body is certain, its outline is not, and where the body does
    not reach, colours decide: mediapipe takes the wall between an arm and the trunk, or between two legs, for the
    person."""
    width = face_size(found)
    size = 2 * max(1, round(0.12 * width)) + 1
    core = cv2.erode(body_mask, np.ones((size, size), np.uint8)) * (found.mask > 0.2)
    beside = 2 * max(1, round(BESIDE_WIDTHS * width)) + 1
    doubtful = 1 - cv2.dilate(body_mask, np.ones((beside, beside), np.uint8))
    return person_matte(
        image, width, core.astype(np.float32), probability=found.mask, doubtful=doubtful, work_px=MATTE_PX,
        unsure_widths=UNSURE_WIDTHS,
    )  # fmt: skip


def person_camera(person: FittedPerson, size_px: int) -> tuple[Camera, tuple[int, int, int, int]]:
    """A square window of the photograph around the person, as a camera of that size, and its box (x0, y0, x1, y1)."""
    rows, columns = np.nonzero(person.mask > 0.5)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    side = int(1.08 * max(bottom - top, right - left))
    x0, y0 = int((left + right - side) // 2), int((top + bottom - side) // 2)
    cropped = person.dressed.camera.cropped(x0, y0, side, side).resized(size_px, size_px)
    return cropped, (x0, y0, x0 + side, y0 + side)

"""Check before and parsing after: what every network that films a portrait does around its pictures.

Pictures that no head can be found in are refused here, so that they never reach a training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import EditedPortrait, PartMasks, PortraitClip, TrackedPortrait
from perse.data.on_white import laid_on_white
from perse.errors import GenerationError
from perse.shapes import ByteMask, FaceLandmarks, Picture, SquarePicture
from perse.synthesis.production.segmenter import Segmenter
from perse.synthesis.seams import Shot
from perse.tracking.detection import landmarks_in_window

_SEARCHED = 2.1
"""Face widths of the square in which the edit's face is looked for."""
_FLAT_LEVELS = 4.0
"""A picture whose grey levels (of 255) vary less than this shows nothing."""
_LEAST_PERSON, _LEAST_HEAD = 0.03, 0.01
"""Shares of a picture that the person, and what is neither clothes nor background of it, cover at least."""
_NO_HEAD = (Part.BACKGROUND, Part.CLOTHES, Part.NECK)


@dataclass(frozen=True)
class Still:
    """The picture that is filmed.

    Attributes:
        picture: [h, w, 3], the person on white.
        landmarks_px: [478, 3], of the face in it.
    """

    picture: Picture
    landmarks_px: FaceLandmarks


def still_of(portrait: TrackedPortrait, edited: EditedPortrait | None, segmenter: Segmenter) -> Still:
    """Still that is filmed: the edit's or, without one, the portrait's own, if it can be filmed.

    Raises:
        GenerationError: no face is seen where the portrait has its own, or the parser finds no head.
    """
    shown: TrackedPortrait | EditedPortrait = portrait if edited is None else edited
    what = "the portrait" if edited is None else "the edit"
    landmarks = _face(portrait, shown.image, what)
    parsed_head(shown.image, segmenter, what)
    return Still(_over_white(shown.image, shown.masks), landmarks)


def _face(portrait: TrackedPortrait, picture: Picture, what: str) -> FaceLandmarks:
    face, width = portrait.landmarks_px[:, :2], portrait.face_width_px
    left, top = (face.min(0) + face.max(0)) / 2 - _SEARCHED / 2 * width
    found = landmarks_in_window(picture, float(left), float(top), _SEARCHED * width, 512)
    if found is None:
        raise GenerationError(
            f"no face is seen in {what} where the portrait has its own, so it cannot be animated; another seed may "
            "show one"
        )
    return found


def _over_white(image: Picture, masks: PartMasks) -> Picture:
    return laid_on_white(image, masks.person.astype(np.float32) / 255)


def checked_picture(picture: Float[np.ndarray, "h w 3"], number: int) -> Picture | GenerationError:
    """A network's picture [h, w, 3] in 0…1 as bytes, or why it cannot be used."""
    if not np.isfinite(picture).all():
        return GenerationError(f"frame {number} of the clip has NaN; use bfloat16 or float32, or check the weights")
    levels = np.asarray(picture, np.float32) * 255
    if float(levels.std()) < _FLAT_LEVELS:
        what = "black" if float(levels.mean()) < 16 else "of one colour"
        return GenerationError(f"frame {number} of the clip is {what}; use bfloat16 or float32, or check the weights")
    return np.round(levels).clip(0, 255).astype(np.uint8)


def parsed_head(
    image: Picture, segmenter: Segmenter, what: str, landmarks_px: FaceLandmarks | None = None
) -> PartMasks:
    """The parts of a picture that must show a head.

    Args:
        what: names the picture in errors.
        landmarks_px: [478, 3], where they are known; else a parser that needs them looks for a face.

    Raises:
        GenerationError: the parser finds no head in it.
    """
    try:
        masks = segmenter.segment(image) if landmarks_px is None else segmenter.parse(image, landmarks_px)
    except GenerationError as error:
        raise GenerationError(f"{what} cannot be parsed: {error}") from error
    labels = masks.labels
    person, head = float((masks.person > 127).mean()), float((~np.isin(labels, _NO_HEAD)).mean())
    if person < _LEAST_PERSON or head < _LEAST_HEAD:
        raise GenerationError(
            f"{what} cannot be parsed: the person covers {person:.1%} of it and the head {head:.1%}, at least "
            f"{_LEAST_PERSON:.0%} and {_LEAST_HEAD:.0%} are needed"
        )
    return masks


def finished_clip(
    portrait: TrackedPortrait,
    edited: EditedPortrait | None,
    shot: Shot,
    pictures: Iterable[SquarePicture],
    segmenter: Segmenter,
    landmarks_px: Sequence[FaceLandmarks] | None = None,
) -> PortraitClip:
    """The clip of a shot.

    Args:
        pictures: [s, s, 3] each, s the shot's size, the person on white.
        landmarks_px: [478, 3] of each picture, where they are known.

    Raises:
        GenerationError: the parser finds no head in one of them.
        ValueError: not as many pictures as the shot has frames, or of another size.
    """
    images, alphas, parts = [], [], []
    known: Sequence[FaceLandmarks | None] = landmarks_px or [None] * len(shot.frame_numbers)
    for number, picture, points in zip(shot.frame_numbers, pictures, known, strict=True):
        if picture.shape != (shot.size_px, shot.size_px, 3):
            raise ValueError(f"expected a frame of {shot.size_px} px, got {picture.shape}")
        masks = parsed_head(picture, segmenter, f"frame {number} of the clip", points)
        images.append(_clean(picture, masks))
        alphas.append(masks.person)
        parts.append(_labels(masks))
    return PortraitClip(
        key=edited.key if edited is not None else portrait.key,
        frame_numbers=np.asarray(shot.frame_numbers, np.int32),
        images=np.stack(images),
        alphas=np.stack(alphas),
        parts=np.stack(parts),
        parameters=shot.motion.with_identity(portrait.head),
        camera=portrait.camera.resized(shot.size_px, shot.size_px),
    )


def _clean(picture: Picture, masks: PartMasks) -> Picture:
    """White where nobody is. Soft edges are over white already and stay as they are."""
    there = smoothstep(masks.person.astype(np.float32) / 255, 0.0, 0.1)[..., None]
    return np.round(255 + there * (picture - np.float32(255))).astype(np.uint8)


def _labels(masks: PartMasks) -> ByteMask:
    """Values of `Part`: background where less than half of a pixel is the person's."""
    strongest = masks.soft[1:].argmax(0) + 1
    return np.where(masks.person > 127, strongest, Part.BACKGROUND).astype(np.uint8)

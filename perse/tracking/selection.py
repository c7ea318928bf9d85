"""Selection of the face that is meant, and whether it can be used. Every refusal says what to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perse.errors import PortraitError
from perse.shapes import Picture
from perse.tracking.detection import FaceBox, detect_faces
from perse.tracking.wording import below

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Limits of the faces that are accepted."""

    min_face_px: int = 48
    """Narrowest usable face, pixels (the width of its landmarks)."""
    min_brightness: float = 28.0
    """Darkest usable face: median of its brightest colour channel, 0…255."""
    max_yaw_deg: float = 40.0
    """A head turned further hides half of the face."""
    max_roll_deg: float = 60.0
    """A head that leans further lies on its side; pictures that lie as a whole are turned before."""
    max_fit_error: float = 0.022
    """Largest distance of the landmarks from the best human head, root mean square in face widths, before the residual
    offsets: the best of 12 people, paintings among them, was .006 and the worst .011, a
    profile .019, a dog's face .030."""
    sure_fit_error: float = 0.0075
    """Below this a fit alone says that a face is human; above it the face must have `least_human_score` too."""
    least_human_score: float = 0.3
    """See `perse.tracking.human_face`."""
    max_outside_share: float = 0.02
    """Largest share of the landmarks beyond the picture's edge."""
    rival_size: float = 0.45
    """Other faces count as several when they are at least this wide relative to the widest."""


def choose_face(image: Picture, face: int | None, config: SelectionConfig) -> FaceBox:
    """Face to track.

    Args:
        image: [h, w, 3] uint8 RGB.
        face: counted from 1 at the picture's left, or None.

    Raises:
        PortraitError: no face; several without a choice; a number that does not exist; too small; too dark.
    """
    rivals = faces_to_choose(image, config)
    if not rivals:
        raise PortraitError(_why_no_face(image))
    chosen = _pick(rivals, face)
    width = 0.9 * chosen.width  # of the landmarks, which is what counts: the detector's box is wider
    if width < config.min_face_px:
        raise too_small(width, config)
    brightness = _brightness(image, chosen)
    if brightness < config.min_brightness:
        raise PortraitError(
            f"the face is too dark (median brightness {below(brightness)} of 255, at least {config.min_brightness:.0f} "
            "is needed); give a better lit picture"
        )
    return chosen


def faces_to_choose(image: Picture, config: SelectionConfig) -> list[FaceBox]:
    """Faces of a picture [h, w, 3] that somebody may mean, from the left; those in the background are left out."""
    faces = detect_faces(image)
    rivals = [box for box in faces if box.width >= config.rival_size * faces[0].width]
    return sorted(rivals, key=lambda box: box.left + box.width / 2)


def _pick(ordered: list[FaceBox], face: int | None) -> FaceBox:
    if face is None:
        if len(ordered) > 1:
            places = ", ".join(f"{n} at x = {box.left + box.width / 2:.0f}" for n, box in enumerate(ordered, 1))
            raise PortraitError(
                f"the picture shows {len(ordered)} faces ({places}); choose one with --face N, counted from the left"
            )
        return ordered[0]
    if not 1 <= face <= len(ordered):
        raise PortraitError(f"there is no face {face}: the picture shows {len(ordered)}, counted from 1 at the left")
    return ordered[face - 1]


def _brightness(image: Picture, box: FaceBox) -> float:
    """Median over the box's middle of the brightest channel: fair to every skin colour, and to coloured light."""
    left, top = int(box.left + 0.2 * box.width), int(box.top + 0.2 * box.height)
    right, bottom = int(box.left + 0.8 * box.width), int(box.top + 0.8 * box.height)
    window = image[max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
    return float(np.median(window.max(-1))) if window.size else 0.0


def too_small(width_px: float, config: SelectionConfig) -> PortraitError:
    """Refusal of a face whose landmarks are so wide, rounded down: 47.9 px are not 48."""
    return PortraitError(
        f"the face is {below(width_px)} px wide, at least {config.min_face_px} px are needed; "
        "give a larger picture or a closer crop"
    )


def washed_out(image: Picture) -> bool:
    """Whether a picture [h, w, 3], or the part around a face, is so bright that its features are lost."""
    return float(np.percentile(image.max(-1), 25)) > 250 or float(np.median(image.min(-1))) > 235


def _why_no_face(image: Image) -> str:
    """A dark or bright picture is searched again at another exposure, only to name the reason."""
    level = max(float(np.percentile(image, 99)), 1.0)
    if level < 120:
        brighter = np.clip(image.astype(np.float32) * (230 / level), 0, 255).astype(np.uint8)
        if level < 40 or detect_faces(brighter):
            return "no face can be seen because the picture is too dark; give a better lit one"
    darker = (255 * (image / 255.0) ** 4).astype(np.uint8)
    if washed_out(image) or (float(np.percentile(image, 60)) > 200 and detect_faces(darker)):
        return "no face can be seen because the picture is too bright: its lightest parts are white; give another one"
    return (
        "no face was found; give a photograph in which one face looks towards the camera "
        "(a profile, a covered face or an animal's is not recognised)"
    )

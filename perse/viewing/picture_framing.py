"""Framing of a stranger's picture as the avatar's own pictures were framed before they were encoded."""

from __future__ import annotations

from threading import Lock

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.data.on_white import laid_on_white
from perse.shapes import Picture

_one_at_a_time = Lock()  # mediapipe's graphs serve one caller


def framed(image: Picture) -> UInt8[NDArray[np.uint8], "_ _ 3"]:
    """Portrait window around the face, the person cut out on white; the picture as it is where nobody is seen.

    Args:
        image: [h, w, 3] uint8.
    """
    from perse.tracking import detect_landmarks
    from perse.tracking.crop import CropConfig, crop_portrait
    from perse.tracking.detection import person_probability

    with _one_at_a_time:
        landmarks = detect_landmarks(image)
        if landmarks is None:
            return image
        crop = crop_portrait(image, landmarks, CropConfig()).image
        person = person_probability(crop)
    return laid_on_white(crop, person)

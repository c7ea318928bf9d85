"""Locks for hair that the photograph does not show, made by example from the hair that it does.

It is what a head's own build does with hair (`perse.synthesis.procedural.animator.by_example`), at the points of a
body's surface, which lie millimetres apart and can show no finer detail.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.synthesis.procedural.animator.by_example import Example, detail_like, read_example
from perse.synthesis.procedural.animator.strand_frame import ACROSS, ALONG, middle_of_head, on_strands, strand_frame

POINTS_PX = 2.0
"""Standard deviation, pixels of the unrolled hair (.8 mm each), of what points some 5 mm apart can show."""


def read_hair(portrait: TrackedPortrait) -> Example | None:
    """Example of a tracked portrait's hair; None where it shows too little of it."""
    return read_example(portrait.image.astype(np.float32), portrait.masks[Part.HAIR])


def lock_brightness(places: Float[Tensor, "n 3"], example: Example) -> Float[Tensor, " n"]:
    """Brightness, about one, of hair at places in rest pose, metres: the example's locks, running down from the crown.
    The same every time."""
    points = places.numpy().astype(np.float32)
    unrolled = cv2.GaussianBlur(detail_like(example, ALONG, ACROSS, seed=0), (0, 0), POINTS_PX)
    frame = strand_frame((points - middle_of_head(points))[:, None])
    return torch.from_numpy(1 + on_strands(frame, np.asarray(unrolled, np.float32))[:, 0])

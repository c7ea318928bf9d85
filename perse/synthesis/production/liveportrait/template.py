"""Template of the driving motion as keypoints: computed once, shared by all subjects."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from perse.data import TrackedPortrait
from perse.data.keys import content_key
from perse.shapes import Picture
from perse.synthesis.production.generation import device
from perse.synthesis.production.liveportrait.crop import CropFraming
from perse.synthesis.production.liveportrait.driving import MotionDriver
from perse.synthesis.production.liveportrait.keypoints import HeadKeypoints
from perse.synthesis.production.liveportrait.motion_extractor import MotionExtractor
from perse.synthesis.production.liveportrait.openness import Openness
from perse.synthesis.seams import Shot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MotionTemplate:
    """The driver's keypoints: all that LivePortrait needs of a motion.

    Attributes:
        motion: [f], one a frame of the shot.
        anchor: [1], the driver where it agrees with the source.
        openness: of the anchor's eyes and lips; None where the anchor is the source itself.
    """

    motion: HeadKeypoints
    anchor: HeadKeypoints
    openness: Openness | None


class MotionTemplates:
    """Cache of the last template, since all edits of a person share one.

    Args:
        driver: performs the motion.
        network: M.
        framing: of the source's window.
        at_once: pictures that M sees together.
    """

    def __init__(self, driver: MotionDriver, network: MotionExtractor, framing: CropFraming, at_once: int) -> None:
        self._driver = driver
        self._network = network
        self._framing = framing
        self._at_once = at_once
        self._last: tuple[str, MotionTemplate] | None = None

    def of(self, portrait: TrackedPortrait, shot: Shot) -> MotionTemplate:
        """The motion of a shot, performed for a portrait.

        Raises:
            PerseError: the driver cannot perform it.
        """
        key = content_key(portrait.key, shot.frame_numbers, shot.motion)
        if self._last is None or self._last[0] != key:
            log.info("the driver performs %d frames", len(shot.frame_numbers))
            driving = self._driver.drive(portrait, shot, self._framing)
            motion = self._seen(driving.frames)
            self._last = (key, MotionTemplate(motion, keypoints_in([driving.anchor], self._network), driving.openness))
        return self._last[1]

    def _seen(self, pictures: Iterable[UInt8[np.ndarray, "256 256 3"]]) -> HeadKeypoints:
        waiting = iter(pictures)
        rows = []
        while batch := list(islice(waiting, self._at_once)):
            rows.append(keypoints_in(batch, self._network))
        return HeadKeypoints.joined(rows)


def keypoints_in(pictures: Sequence[UInt8[np.ndarray, "256 256 3"]], network: MotionExtractor) -> HeadKeypoints:
    """Keypoints that M sees in pictures [256, 256, 3].

    Never in half precision: keypoints would tremble by a tenth of a pixel, and M runs once a motion.
    """
    with torch.inference_mode():
        return HeadKeypoints.of(network(as_tensor(pictures)))


def as_tensor(pictures: Sequence[Picture]) -> Float[Tensor, "b 3 h w"]:
    """Tensor [b, 3, h, w] in 0…1, on the device, of pictures [h, w, 3]."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device())
    return stacked.movedim(-1, 1).float().contiguous() / 255

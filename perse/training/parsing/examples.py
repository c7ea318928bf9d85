"""Prepared examples: a drawn portrait, what the colour models make of it, and what it really shows."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Int8, UInt8
from numpy.typing import NDArray

from perse.tracking.learned.part_network import WORK_PX, PartInputs, estimate_of
from perse.tracking.parser import ProceduralParser
from perse.training.parsing.painting import LabelledPortrait
from perse.training.parsing.variations import VariationConfig, vary


@dataclass(frozen=True)
class PartExample:
    """One prepared example.

    Attributes:
        inputs: of one picture, 16-bit floats.
        kinds: [128, 128] int8, values of `PixelKind`, −1 where nobody knows.
        source: the picture that it was made from.
    """

    inputs: PartInputs
    kinds: Int8[NDArray[np.int8], "128 128"]
    source: str

    def to_bytes(self) -> bytes:
        """Content of a NumPy archive."""
        held = io.BytesIO()
        np.savez(
            held,
            **{name: values.half().numpy() for name, values in vars(self.inputs).items()},
            kinds=self.kinds,
            source=np.array(self.source),
        )
        return held.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> PartExample:
        """Example in the bytes that `to_bytes` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            maps = (torch.from_numpy(held[name]) for name in ("fine", "middle", "coarse", "deep"))
            return PartExample(PartInputs(*maps), held["kinds"], str(held["source"]))


def prepare_example(
    portrait: LabelledPortrait, seed: int, walls: tuple[UInt8[NDArray[np.uint8], "_ _ 3"], ...], config: VariationConfig
) -> PartExample:
    """Example of a variation of a portrait, seen by the colour models as a photograph would be."""
    drawn = vary(np.random.default_rng(seed), portrait, walls, config)
    estimate = estimate_of(ProceduralParser().find(drawn.image, drawn.landmarks_px).shares)
    seen = PartInputs.of(drawn.image, drawn.landmarks_px, estimate)
    kinds = cv2.resize(drawn.kinds, (WORK_PX, WORK_PX), interpolation=cv2.INTER_NEAREST)
    halves = PartInputs(*(values.half() for values in vars(seen).values()))
    return PartExample(halves, np.asarray(kinds, np.int8), drawn.source)

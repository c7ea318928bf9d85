"""The production editor with models that misbehave as real ones do, each prompt as its sentence says.

Real are the editor, its batches and what it makes of a pipeline's output; stand-ins are the networks behind them.
Importable by workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import torch
from ray_fakes import FakeScreen

from perse.attributes import CATEGORY_PARTS, Category, Part
from perse.data import PartMasks, TrackedPortrait
from perse.recipes import Recipe, recipe_named
from perse.shapes import Picture
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.production import DiffusionEditorConfig, EditorByCategoryConfig
from perse.synthesis.production.generation import Batches, Outcome, outcomes
from perse.synthesis.production.inpainting import InpaintRequest
from perse.synthesis.production.mask_portrait import MaskPortraitRequest

MISHAPS = {
    "black": "the pipeline returned a black picture",
    "not a number": "the pipeline returned NaN",
    "indecent": "safety filter withheld",
    "huge": "out of memory with a single picture",
    "invisible": "shows no hat",
}
"""A word in a sentence, and what the reason says."""


def bad_recipe() -> Recipe:
    """`tiny` whose hats are made by the misbehaving diffusion editor, in batches; its screen accepts everything."""
    recipe = recipe_named("tiny")
    diffusion = DiffusionEditorConfig(
        keypoints=NoKeypoints(), mask_portrait=MaskPortraits(), segmenter=HatSegmenter(), inpainter=Painter(),
        mask_attempts=2,
    )  # type: ignore[arg-type]  # fmt: skip
    editor = EditorByCategoryConfig(default=ProceduralEditorConfig(), by_category=((Category.HAT, diffusion),))
    edit = replace(recipe.cluster.edit, batch_size=4, workers=(1, 1))
    return replace(recipe, name="bad", editor=editor, screen=FakeScreen(), cluster=replace(recipe.cluster, edit=edit))  # type: ignore[arg-type]


@dataclass(frozen=True)
class NoKeypoints:
    """Nothing is drawn."""

    def build(self) -> NoKeypoints:
        return self

    def draw(self, portrait: TrackedPortrait, size_px: int) -> Picture:
        return np.zeros((size_px, size_px, 3), np.uint8)


@dataclass(frozen=True)
class MaskPortraits:
    """Red where the hat is; nothing is red where it is invisible."""

    size_px: int = 64

    def build(self) -> MaskPortraits:
        return self

    def make(self, requests: Sequence[MaskPortraitRequest]) -> list[Outcome]:
        return [_hatted(np.full((*one.size, 3), 90, np.uint8), "invisible" not in one.text) for one in requests]


@dataclass(frozen=True)
class HatSegmenter:
    """Red is a hat, and everything else is skin."""

    def build(self) -> HatSegmenter:
        return self

    def segment(self, image: Picture) -> PartMasks:
        red = (image == (255, 0, 0)).all(-1)
        soft = np.zeros((len(Part), *red.shape), np.uint8)
        soft[Part.HEADWEAR], soft[Part.SKIN] = 255 * red, 255 * ~red
        return PartMasks(soft, np.full(red.shape, 255, np.uint8))

    def parse(self, image: Picture, landmarks_px: np.ndarray) -> PartMasks:
        return self.segment(image)

    def knows(self, category: Category) -> bool:
        return Part.HEADWEAR in CATEGORY_PARTS[category]


@dataclass(frozen=True)
class Painter:
    """Inpaints red hats with memory for two rows at once, and for nothing huge."""

    batch_size: int = 4

    def build(self) -> PainterAtWork:
        return PainterAtWork(Batches(self.batch_size, "less"))


@dataclass
class PainterAtWork:
    batches: Batches[InpaintRequest]

    def inpaint(self, requests: Sequence[InpaintRequest]) -> list[Outcome]:
        return self.batches.run(requests, self._call)

    def _call(self, requests: Sequence[InpaintRequest]) -> list[Outcome]:
        if len(requests) > 2 or any("huge" in one.text for one in requests):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        pictures = [_hatted(one.image, True) / 255.0 for one in requests]
        for picture, one in zip(pictures, requests, strict=True):
            if "black" in one.text:
                picture[:] = 0
            if "not a number" in one.text:
                picture[5] = np.nan
        output = SimpleNamespace(images=pictures, nsfw_content_detected=["indecent" in one.text for one in requests])
        return outcomes(output, [one.image.shape[:2] for one in requests])


def _hatted(image: Picture, visible: bool) -> Picture:
    picture = image.copy()
    if visible:
        height, width = image.shape[:2]
        picture[height // 16 : height // 4, width // 3 : 2 * width // 3] = (255, 0, 0)
    return picture

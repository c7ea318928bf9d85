"""Label maps from a segmenter's classes to our parts, declared as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from perse.attributes import CATEGORY_PARTS, Category, Part


@dataclass(frozen=True)
class LabelMap:
    """Parts of a checkpoint's classes.

    Attributes:
        name: for messages.
        parts: the part of class 0, 1, 2, …; several classes may share one.
    """

    name: str
    parts: tuple[Part, ...]

    @property
    def n_classes(self) -> int:
        """Number of classes that the checkpoint must have."""
        return len(self.parts)

    def knows(self, category: Category) -> bool:
        """Whether the region of a category can be read off the classes."""
        wanted = (Part.HEADWEAR,) if category is Category.HAT else CATEGORY_PARTS[category]
        return any(part in self.parts for part in wanted)

    def gather(self, classes: Float32[np.ndarray, "c h w"]) -> Float32[np.ndarray, "p h w"]:
        """Probabilities of parts [p, h, w] from those of classes [c, h, w]; sums over a pixel are kept.

        Raises:
            ValueError: not as many classes as declared.
        """
        if len(classes) != self.n_classes:
            raise ValueError(f"the checkpoint has {len(classes)} classes, the label map {self.name} {self.n_classes}")
        total = np.zeros((len(Part), *classes.shape[1:]), np.float32)
        for part, probability in zip(self.parts, classes, strict=True):
            total[part] += probability
        return total


FACE_SYNTHETICS = LabelMap(
    "FaceSynthetics (19 classes)",
    (
        Part.BACKGROUND, Part.SKIN, Part.NOSE, Part.EYES, Part.EYES, Part.BROWS, Part.BROWS, Part.EARS, Part.EARS,
        Part.MOUTH, Part.MOUTH, Part.MOUTH, Part.NECK, Part.HAIR, Part.BEARD, Part.CLOTHES, Part.EYES, Part.HEADWEAR,
        Part.SKIN,
    ),
)  # fmt: skip
"""0 background, 1 skin, 2 nose, 3/4 eyes, 5/6 brows, 7/8 ears, 9 mouth interior, 10/11 lips, 12 neck, 13 hair,
14 beard, 15 clothes, 16 glasses, 17 headwear, 18 facewear (docs/reference.md#synthesis). Glasses count as eyes,
which edits must not touch; facewear as the skin that it covers."""

CELEBA_MASK_HQ = LabelMap(
    "CelebAMask-HQ (19 classes)",
    (
        Part.BACKGROUND, Part.SKIN, Part.NOSE, Part.EYES, Part.EYES, Part.EYES, Part.BROWS, Part.BROWS, Part.EARS,
        Part.EARS, Part.MOUTH, Part.MOUTH, Part.MOUTH, Part.HAIR, Part.HEADWEAR, Part.EARRINGS, Part.NECK, Part.NECK,
        Part.CLOTHES,
    ),
)  # fmt: skip
"""0 background, 1 skin, 2 nose, 3 glasses, 4/5 eyes, 6/7 brows, 8/9 ears, 10 mouth interior, 11/12 lips, 13 hair,
14 hat, 15 earring, 16 necklace, 17 neck, 18 clothes: the order of the SegFormer in our table. No beard: it is skin."""

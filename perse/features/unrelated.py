"""Encoder of noise: each subject's features are unrelated to it (an ablation of f_I and f_T, Eq. 5).

MLP_z then still tells subjects apart, and has no way to know which of them are alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from perse.features.encoder import FEATURE_SIZE, Features, check_subjects


@dataclass(frozen=True)
class UnrelatedEncoder:
    """Unit vectors of a subject that a hash of its picture and prompt draws."""

    def encode(self, images: UInt8[np.ndarray, "b h w 3"], texts: Sequence[str]) -> Features:
        """See `PromptImageEncoder.encode`."""
        check_subjects(images, texts)
        seeds = [
            hashlib.sha256(np.ascontiguousarray(image).tobytes() + text.encode()).digest()
            for image, text in zip(images, texts, strict=True)
        ]
        return Features(*(_directions([seed + which for seed in seeds]) for which in (b"image", b"text")))


def _directions(seeds: Sequence[bytes]) -> Tensor:
    """Random unit vectors [b, 512]."""
    found = torch.zeros(len(seeds), FEATURE_SIZE)
    for row, seed in zip(found, seeds, strict=True):
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(seed).digest()[:8], "little"))
        row.copy_(torch.from_numpy(rng.standard_normal(FEATURE_SIZE).astype(np.float32)))
    return torch.nn.functional.normalize(found, dim=1)

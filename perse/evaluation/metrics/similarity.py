"""Similarity of faces and of subjects, as cosines of features: the same person, and the same subject all along.

*Identity* is the cosine of face descriptors (the paper's: ArcFace, from a file that its user supplies). dlib's
descriptor, which comes in a pip package, has distances and not cosines that mean something, and a name of its own.

*Subject consistency* is VBench's (Huang et al. 2024): the mean of the cosines of a frame's DINO features with those of
the first frame and of the frame before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from perse.data.tensor_files import load_tensors
from perse.errors import MissingWeightsError
from perse.identity import FaceEmbedder
from perse.shapes import Frames, Pictures
from perse.synthesis.production.model_store import Weights

DINO = Weights(name="dino-vit-s16")
_SIZE_PX = 224
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


def embedding_similarity(embedder: FaceEmbedder, shown: Pictures, truth: Pictures) -> float:
    """Mean cosine of the face descriptors of pictures [n, h, w, 3] and what they should show; nan without a face."""
    found = []
    for one, other in zip(shown, truth, strict=True):
        a, b = embedder.embed(one), embedder.embed(other)
        if a is not None and b is not None:
            found.append(_cosine(a, b))
    return float(np.mean(found)) if found else float("nan")


def subject_consistency(frames: Frames, describe: Callable[[Pictures], Float32[np.ndarray, "f width"]]) -> float:
    """Mean cosine in [-1, 1] of frames [f, h, w, 3] in order.

    Raises:
        ValueError: fewer than two frames.
    """
    if len(frames) < 2:
        raise ValueError(f"consistency needs two frames or more, got {len(frames)}")
    features = describe(frames)
    pairs = zip(features[1:], features[:-1], strict=True)
    return float(np.mean([(_cosine(one, features[0]) + _cosine(one, before)) / 2 for one, before in pairs]))


def _cosine(a: Float32[np.ndarray, " width"], b: Float32[np.ndarray, " width"]) -> float:
    a64, b64 = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(a64 @ b64 / max(float(np.linalg.norm(a64) * np.linalg.norm(b64)), 1e-12))


class DinoFeatures:
    """Class token of DINO's ViT-S/16 (Caron et al. 2021), [n, 384], by timm from a file.

    Raises:
        MissingWeightsError: no such file, or of another network.
    """

    def __init__(self, weights: Weights = DINO, *, architecture: str = "vit_small_patch16_224.dino") -> None:
        file = weights.locate() / "model.safetensors"
        try:
            import timm
        except ImportError as error:
            raise MissingWeightsError("subject consistency needs the package timm: pip install timm") from error
        self._network: Any = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
        try:
            self._network.load_state_dict(load_tensors(file))
        except RuntimeError as error:
            raise MissingWeightsError(f"{file} does not hold the weights of {architecture}") from error
        self._network.requires_grad_(False)

    @torch.inference_mode()
    def __call__(self, pictures: Pictures) -> Float32[np.ndarray, "n width"]:
        values = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
        values = torch.nn.functional.interpolate(values, (_SIZE_PX, _SIZE_PX), mode="bicubic", antialias=True)
        mean, std = (torch.tensor(one)[:, None, None] for one in (_MEAN, _STD))
        return np.asarray(self._network((values.clamp(0, 1) - mean) / std).numpy(), np.float32)

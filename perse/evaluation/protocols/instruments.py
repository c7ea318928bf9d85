"""Instruments of the paper's metrics: the networks whose weights are here, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from jaxtyping import Float64, UInt8

from perse.errors import InputError, MissingWeightsError
from perse.evaluation.learned_distance import LearnedDistance
from perse.evaluation.metrics import SET_FEATURES
from perse.identity import DlibEmbedder, FaceEmbedder
from perse.synthesis.production.identity_net import NetworkEmbedderConfig
from perse.synthesis.production.model_store import Weights

Pictures = UInt8[np.ndarray, "n h w 3"]
Features = Float64[np.ndarray, "n w"]
T = TypeVar("T")

LPIPS, ID, DLIB_ID = "LPIPS", "ID", "dlib distance"
"""Names of metrics. ID is the paper's: the cosine of ArcFace descriptors. dlib's distance is another number."""

METRICS = (LPIPS, ID, "PPL", "PDV", "FID", "KID")
"""Those that take a network."""


@dataclass(frozen=True)
class Instruments:
    """Set of networks that measure, as far as their weights are here.

    Attributes:
        lpips: mean LPIPS of pictures and others.
        faces: embedders by the metric's name.
        spaces: descriptions of pictures, by the names of the Fréchet and the kernel distance.
        missing: by the metric's name, why it cannot be measured.
    """

    lpips: Callable[[Pictures, Pictures], float] | None
    faces: Mapping[str, FaceEmbedder]
    spaces: Mapping[tuple[str, str], Callable[[Pictures], Features]]
    missing: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def at_hand() -> Instruments:
        """Instruments whose weights lie in the model store, and those that need none."""
        missing: dict[str, str] = {}
        lpips = _built(
            lambda: LearnedDistance(Weights(name="vgg16").locate() / "model.safetensors"),
            (LPIPS, "PPL", "PDV"),
            missing,
        )
        arcface = _built(
            lambda: NetworkEmbedderConfig(file=Weights(name="arcface").locate() / "model.onnx").build(), (ID,), missing
        )  # fmt: skip
        faces: dict[str, FaceEmbedder] = {DLIB_ID: DlibEmbedder()}
        if arcface is not None:
            faces[ID] = arcface
        spaces = {names: _built(build, names, missing) for names, build in SET_FEATURES.items()}
        return Instruments(lpips, faces, {k: v for k, v in spaces.items() if v is not None}, missing)

    def require(self, names: Sequence[str]) -> None:
        """Refuse metrics that cannot be measured here.

        Raises:
            MissingWeightsError: the weights of one are not here; says where they belong.
            InputError: there is no such metric.
        """
        for name in names:
            if name in self.missing:
                raise MissingWeightsError(f"{name} cannot be measured: {self.missing[name]}")
            if name not in METRICS:
                raise InputError(f"there is no metric {name[:40]!r}; there are {', '.join(METRICS)}")


def _built(build: Callable[[], T], names: tuple[str, ...], missing: dict[str, str]) -> T | None:
    try:
        return build()
    except MissingWeightsError as error:
        missing.update(dict.fromkeys(names, " ".join(str(error).split())))
        return None

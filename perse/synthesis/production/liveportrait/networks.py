"""LivePortrait's networks together, from the files of their authors.

``F``, ``M``, ``W``, ``G`` are one file each, ``S`` and the two retargeting heads one file together. They are published
as pickles; ``perse models fetch liveportrait`` keeps the tensors as safetensors, under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from perse.data.tensor_files import load_tensors, shapes_of_tensors
from perse.errors import MissingWeightsError
from perse.synthesis.production.liveportrait.appearance import AppearanceExtractor
from perse.synthesis.production.liveportrait.generator import SpadeGenerator
from perse.synthesis.production.liveportrait.heads import KeypointHead, eye_head, lip_head, stitching_head
from perse.synthesis.production.liveportrait.motion_extractor import MotionExtractor
from perse.synthesis.production.liveportrait.shape import LivePortraitShape
from perse.synthesis.production.liveportrait.warping import WarpingNetwork

FILES = {
    "appearance": "base_models/appearance_feature_extractor",
    "motion": "base_models/motion_extractor",
    "warping": "base_models/warping_module",
    "generator": "base_models/spade_generator",
}
"""Of the four large networks, without suffix, in the folder ``liveportrait`` of the published repository."""
HEADS_FILE = "retargeting_models/stitching_retargeting_module"
HEAD_PREFIXES = {"stitching": "retarget_shoulder", "lips": "retarget_mouth", "eyes": "retarget_eye"}
"""What the heads are called in their common file."""


@dataclass(frozen=True)
class LivePortraitNetworks:
    """The networks, ready to run.

    Attributes:
        appearance, motion, warping, generator: F, M, W, G.
        stitching, lips, eyes: S and the retargeting heads.
    """

    appearance: AppearanceExtractor
    motion: MotionExtractor
    warping: WarpingNetwork
    generator: SpadeGenerator
    stitching: KeypointHead
    lips: KeypointHead
    eyes: KeypointHead

    @classmethod
    def of_shape(cls, shape: LivePortraitShape) -> LivePortraitNetworks:
        """Networks with random weights."""
        return cls(
            appearance=AppearanceExtractor(shape),
            motion=MotionExtractor(shape),
            warping=WarpingNetwork(shape),
            generator=SpadeGenerator(shape),
            stitching=stitching_head(shape),
            lips=lip_head(shape),
            eyes=eye_head(shape),
        ).frozen()

    @classmethod
    def load(cls, folder: Path, shape: LivePortraitShape, device: str) -> LivePortraitNetworks:
        """Networks of a folder that holds ``liveportrait/base_models`` and ``liveportrait/retargeting_models``.

        Raises:
            MissingWeightsError: a file is missing, a pickle, or of another model; names the first tensor that differs.
        """
        made = cls._read(folder, shape, load_tensors)
        for network in made.all():
            network.to(device)
        return made.frozen()

    @classmethod
    def check(cls, folder: Path, shape: LivePortraitShape) -> None:
        """Whether `load` will find what it expects. Reads the heads of the files.

        Raises:
            MissingWeightsError: as `load`.
        """
        cls._read(folder, shape, shapes_of_tensors)

    @classmethod
    def _read(
        cls, folder: Path, shape: LivePortraitShape, read: Callable[[Path], dict[str, Tensor]]
    ) -> LivePortraitNetworks:
        with torch.device("meta"):
            made = cls.of_shape(shape)
        for name, file in FILES.items():
            path = folder / "liveportrait" / f"{file}.safetensors"
            _fill(getattr(made, name), read(path), f"{path} is not LivePortrait's {name} network")
        path = folder / "liveportrait" / f"{HEADS_FILE}.safetensors"
        tensors = read(path)
        for name, prefix in HEAD_PREFIXES.items():
            head = _under(tensors, prefix)
            _fill(getattr(made, name), head, f"{path} holds not LivePortrait's {name} head")
        return made

    def all(self) -> list[nn.Module]:
        """Networks F, M, W, G and the heads, in this order."""
        return [getattr(self, field.name) for field in fields(self)]

    def frozen(self) -> LivePortraitNetworks:
        """Networks for inference: running statistics, no gradients."""
        for network in self.all():
            network.eval().requires_grad_(False)
        return self

    def compile(self) -> None:
        """Let torch compile the networks that run once a frame. The first batch then takes minutes."""
        self.warping.compile()
        self.generator.compile()


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with ``prefix.``, or, as saved by a data-parallel training, ``prefix.module.``."""
    found = {name.removeprefix(f"{prefix}."): one for name, one in tensors.items() if name.startswith(f"{prefix}.")}
    return {name.removeprefix("module."): one for name, one in found.items()}


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], otherwise: str) -> None:
    """Put tensors into a network made on the meta device, every one of them."""
    expected = {name: tuple(one.shape) for name, one in network.state_dict().items()}
    found = {name: tuple(one.shape) for name, one in tensors.items()}
    if wrong := [name for name in expected if found.get(name) != expected[name]]:
        have = found.get(wrong[0], "nothing")
        raise MissingWeightsError(
            f"{otherwise}: {wrong[0]} should be {expected[wrong[0]]} and is {have}; fetch the weights again, or give "
            "the shape that they were trained with"
        )
    if unknown := sorted(set(found) - set(expected)):
        raise MissingWeightsError(f"{otherwise}: it has {unknown[0]}, which that network does not know")
    network.load_state_dict(dict(tensors), assign=True)

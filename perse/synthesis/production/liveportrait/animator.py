"""LivePortrait as a `PortraitAnimator` (P A.3, Table 4): the edited portrait, moved by a driver's keypoints.

::

    edit ─► crop ─► F ─► features ──────────────────────┐
             └───► M ─► source keypoints ─► transfer ─► S ─► W ─► G ─► put back ─► parse ─► clip
    driver ──────► M ─► driving keypoints ──┘
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from perse.data import EditedPortrait, PortraitClip, TrackedPortrait
from perse.errors import GenerationError
from perse.head import HeadModel
from perse.shapes import Picture
from perse.synthesis.production.finished_clip import checked_picture, finished_clip, still_of
from perse.synthesis.production.generation import Batches, Outcome, device, resized
from perse.synthesis.production.liveportrait.crop import CropFraming, HeadCrop
from perse.synthesis.production.liveportrait.driving import INPUT_PX, DrivingConfig
from perse.synthesis.production.liveportrait.keypoints import (
    HeadKeypoints,
    RelativeMotion,
    Transfer,
    retargeted,
    stitched,
)
from perse.synthesis.production.liveportrait.networks import LivePortraitNetworks
from perse.synthesis.production.liveportrait.openness import Openness
from perse.synthesis.production.liveportrait.shape import LivePortraitShape
from perse.synthesis.production.liveportrait.template import MotionTemplate, MotionTemplates, as_tensor, keypoints_in
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.segmenter import SegmenterConfig, TransformersSegmenterConfig
from perse.synthesis.seams import Shot

_LIVEPORTRAIT = Weights(name="liveportrait")
_LIPS_DIFFER, _EYES_DIFFER = 0.03, 0.1
"""Openness by which source and anchor must differ before lips or eyes are brought into line."""


@dataclass(frozen=True, kw_only=True)
class LivePortraitConfig:
    """Configuration of LivePortrait: 256² in, 512² out."""

    driving: DrivingConfig
    """Who performs the motion."""
    weights: Weights = _LIVEPORTRAIT
    """Code and weights are MIT; the face detectors that its authors bundle are not, and are not used."""
    shape: LivePortraitShape = field(default_factory=LivePortraitShape)
    """Of the networks in the weights."""
    transfer: Transfer = field(default_factory=RelativeMotion)
    """How the driver's motion becomes the source's."""
    stitching: float = 1.0
    """How much of the correction that keeps the shoulders in place is applied; 0 leaves it out."""
    framing: CropFraming = field(default_factory=CropFraming)
    """The window that is animated."""
    segmenter: SegmenterConfig = field(default_factory=TransformersSegmenterConfig)
    """Finds alpha and parts in the frames."""
    frames_at_once: int = 8
    """Frames drawn together; halved, for the rest of the run, when memory does not suffice."""
    precision: str = "bfloat16"
    """Of W and G: "bfloat16", "float16" or "float32". A CPU always computes in float32."""
    compile: bool = False
    """Let torch compile W and G: the first batch takes minutes, the others less."""

    def __post_init__(self) -> None:
        if self.precision not in ("bfloat16", "float16", "float32") or self.frames_at_once < 1:
            raise ValueError("precision must be bfloat16, float16 or float32, and frames_at_once positive")

    def check_weights(self) -> None:
        """Check the heads of the weights' files.

        Raises:
            MissingWeightsError: the weights are missing, or of another model.
        """
        LivePortraitNetworks.check(self.weights.locate(), self.shape)

    def build(self, head: HeadModel) -> LivePortraitAnimator:
        """Animator with its networks in memory.

        Raises:
            MissingWeightsError: the weights are missing, or of another model.
        """
        networks = LivePortraitNetworks.load(self.weights.locate(), self.shape, device())
        if self.compile:
            networks.compile()
        return LivePortraitAnimator(self, networks, head)


@dataclass(frozen=True)
class Source:
    """A picture, ready to be moved.

    Attributes:
        keypoints: [1].
        features: [1, 32, 16, 64, 64], of F.
        landmarks_px: [478, 3], of its face.
    """

    keypoints: HeadKeypoints
    features: Float[Tensor, "1 c d h w"]
    landmarks_px: Float32[np.ndarray, "478 3"]


class LivePortraitAnimator:
    """Animator by LivePortrait. What lies outside the window stays as it is in the edit, in all frames."""

    def __init__(self, config: LivePortraitConfig, networks: LivePortraitNetworks, head: HeadModel) -> None:
        self._config = config
        self._networks = networks
        self._segmenter = config.segmenter.build(device())
        self._batches: Batches[int] = Batches(config.frames_at_once, "use a larger GPU")
        driver = config.driving.build(head)
        self.templates = MotionTemplates(driver, networks.motion, config.framing, config.frames_at_once)

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        """See `PortraitAnimator.animate`.

        Raises:
            GenerationError: the edit shows no face or cannot be parsed, or a frame is NaN, black or without a head.
            InputError: the driving video cannot be used.
        """
        still = still_of(portrait, edited, self._segmenter)
        crop = HeadCrop.around(portrait.landmarks_px, self._config.framing)  # the driver's, whatever the edit moved
        with torch.inference_mode():
            template = self.templates.of(portrait, shot)
            source = self._source(crop.cut(still.picture, INPUT_PX), still.landmarks_px)
            drawn = self._drawn(source, self._placed(source, template), shot)
        frame = resized(still.picture, (shot.size_px, shot.size_px))
        window = crop.resized(shot.size_px / len(still.picture))
        weight = window.weight(frame, self._config.framing)
        pictures = (window.put_back(one, frame, weight) for one in drawn)
        return finished_clip(portrait, edited, shot, pictures, self._segmenter)

    def _source(self, picture: Picture, landmarks_px: Float32[np.ndarray, "478 3"]) -> Source:
        features = self._networks.appearance(as_tensor([picture]))
        return Source(keypoints_in([picture], self._networks.motion), features, landmarks_px)

    def _placed(self, source: Source, template: MotionTemplate) -> Float[Tensor, "f k 3"]:
        """The source's keypoints in every frame, [f, k, 3]."""
        own = source.keypoints.placed()
        moved = self._config.transfer.transfer(source.keypoints, template.motion, template.anchor).placed()
        together = moved + self._config.stitching * (stitched(self._networks.stitching, own, moved) - moved)
        return together + self._in_line(source, own, template.openness)

    def _in_line(self, source: Source, own: Float[Tensor, "1 k 3"], wanted: Openness | None) -> Float[Tensor, "1 k 3"]:
        """How lips and eyes must move so that the source starts as open as the anchor is, [1, k, 3]."""
        shift = torch.zeros_like(own)
        if wanted is None:
            return shift
        have = Openness.of(source.landmarks_px)
        if abs(have.lips - wanted.lips) >= _LIPS_DIFFER:
            shift = shift + retargeted(self._networks.lips, own, own.new_tensor([[have.lips, wanted.lips]]))
        target = sum(wanted.eyes) / 2
        if abs(sum(have.eyes) / 2 - target) >= _EYES_DIFFER:
            shift = shift + retargeted(self._networks.eyes, own, own.new_tensor([[*have.eyes, target]]))
        return shift

    def _drawn(
        self, source: Source, placed: Float[Tensor, "f k 3"], shot: Shot
    ) -> list[UInt8[np.ndarray, "512 512 3"]]:
        """The window in every frame, [512, 512, 3] each."""
        own = source.keypoints.placed()

        def draw(rows: Sequence[int]) -> list[Outcome]:
            # A compiled network is compiled for one size of batch: the last one is filled up.
            filled = [*rows, *[rows[-1]] * (self._batches.size - len(rows))] if self._config.compile else list(rows)
            with self._arithmetic():
                many = (source.features.expand(len(filled), -1, -1, -1, -1), own.expand(len(filled), -1, -1))
                warp = self._networks.warping(*many, placed[filled])
                pictures = self._networks.generator(warp.features).float().movedim(1, -1).cpu().numpy()
            return [checked_picture(one, int(shot.frame_numbers[i])) for one, i in zip(pictures, rows, strict=False)]

        outcomes = self._batches.run(range(len(placed)), draw)
        if failed := next((one for one in outcomes if isinstance(one, GenerationError)), None):
            raise failed
        return [one for one in outcomes if not isinstance(one, GenerationError)]

    def _arithmetic(self) -> AbstractContextManager[object]:
        """Half precision for W and G where there is a GPU; keypoints and flows stay in float32."""
        half = self._config.precision != "float32" and device() != "cpu"
        kind = getattr(torch, self._config.precision) if half else torch.bfloat16
        return torch.autocast(device(), dtype=kind, enabled=half)

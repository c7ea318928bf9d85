"""portrait-Champ as a `PortraitAnimator` (P A.3.2, Table 4): edits with volume, filmed by a video diffusion model.

::

    edit on white ─┬─ VAE ─► reference UNet ─► features ─┐
                   └─ CLIP ─► tokens ────────────────────┤
    motion ─► depth, normals, keypoints ─► encoders ─────┴─► denoiser over windows ─► VAE ─► parse ─► clip
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Category
from perse.data import EditedPortrait, PartMasks, PortraitClip, TrackedPortrait
from perse.data.file_digests import cache_root
from perse.data.keys import content_key
from perse.errors import GenerationError, RecipeError
from perse.head import HeadModel, pose_head
from perse.shapes import ByteMask, FaceLandmarks, Picture, Pictures, SquarePicture
from perse.synthesis.production.finished_clip import checked_picture, finished_clip, over_white, parsed_head
from perse.synthesis.production.generation import device, resized
from perse.synthesis.production.guidance import (
    Guidance,
    GuidanceConfig,
    PictureKeypointMapsConfig,
    projected_landmarks,
)
from perse.synthesis.production.guidance.folder import load_guidance, save_guidance
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.portrait_champ.image_tokens import ClipImageTokensConfig, DescriptorTokensConfig
from perse.synthesis.production.portrait_champ.latents import BlockLatentsConfig, SdVaeConfig
from perse.synthesis.production.portrait_champ.networks import ChampNetworks, ChampSizes
from perse.synthesis.production.portrait_champ.sampling import SamplingConfig, sample
from perse.synthesis.production.portrait_champ.storage import check_networks, load_networks
from perse.synthesis.production.segmenter import Segmenter, SegmenterConfig, TransformersSegmenterConfig
from perse.synthesis.seams import PortraitAnimator, Shot
from perse.tracking import landmarks as marks
from perse.tracking.detection import landmarks_in_window

_PORTRAIT_CHAMP = Weights(name="portrait-champ")
_SEARCHED = 2.1
"""Face widths of the square in which the edit's face is looked for."""


class Driver(Protocol):
    """Configuration that builds an animator."""

    def build(self, head: HeadModel) -> PortraitAnimator: ...


@dataclass(frozen=True, kw_only=True)
class PortraitChampConfig:
    """Configuration of portrait-Champ. Nobody has published weights: train them by ``perse train-champ``."""

    weights: Weights = _PORTRAIT_CHAMP
    """What the training wrote."""
    sizes: ChampSizes = field(default_factory=ChampSizes)
    """The architecture of the weights."""
    latents: SdVaeConfig | BlockLatentsConfig = field(default_factory=SdVaeConfig)
    """From pictures to latents, as in training."""
    tokens: ClipImageTokensConfig | DescriptorTokensConfig = field(default_factory=ClipImageTokensConfig)
    """What cross-attention sees of the portrait, as in training."""
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    """Maps of the motion, as in training."""
    driver: Driver | None = None
    """Films the motion, for keypoints that are found in pictures; an animator without weights of its own."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Denoising."""
    size_px: int = 512
    """Size of the pictures that the networks draw, as in training; frames are resized to the shot's."""
    segmenter: SegmenterConfig = field(default_factory=TransformersSegmenterConfig)
    """Finds alpha and parts in the frames."""
    guidance_folder: Path | None = field(default=None, compare=False)
    """Where guidance maps are kept as pictures, made if it is not there; None: ``$PERSE_CACHE/guidance``."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if isinstance(self.guidance.keypoints, PictureKeypointMapsConfig) and self.driver is None:
            raise RecipeError(
                "keypoints that are found in pictures need a driver that films the motion: set driver, or use "
                "LandmarkKeypointMapsConfig()"
            )

    def check_weights(self) -> None:
        """
        Raises:
            MissingWeightsError: the weights are missing, or of another model.
        """
        check_networks(self.weights.locate(), self.sizes)

    def build(self, head: HeadModel) -> PortraitChamp:
        """
        Raises:
            MissingWeightsError: the weights are missing, or of another model.
        """
        return PortraitChamp(self, load_networks(self.weights.locate(), self.sizes), head)


class PortraitChamp:
    """See `PortraitChampConfig`. Deterministic: the noise depends on the seed and on what is filmed."""

    def __init__(self, config: PortraitChampConfig, networks: ChampNetworks, head: HeadModel) -> None:
        self._config = config
        self._device = torch.device(device())
        self._networks = networks.to(self._device)
        self._latents = config.latents.build(self._device)
        self._tokens = config.tokens.build(self._device)
        self._drawer = config.guidance.build(head)
        self._driver = config.driver.build(head) if config.driver is not None else None
        self._segmenter = config.segmenter.build(str(self._device))
        self._kept: OrderedDict[str, Guidance] = OrderedDict()
        self._head = head
        self._head_key = content_key(head.template, head.faces)

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        """See `PortraitAnimator.animate`.

        Raises:
            GenerationError: the edit shows no face or cannot be parsed, or a frame is NaN, black or without a head.
        """
        picture, masks = (portrait.image, portrait.masks) if edited is None else (edited.image, edited.masks)
        what = "the portrait" if edited is None else "the edit"
        _check_face(portrait, picture, what)
        parsed_head(picture, self._segmenter, what)
        frames = self.film(portrait, over_white(picture, masks), shot)
        return finished_clip(portrait, edited, shot, frames, self._following(portrait, shot))

    def _following(self, portrait: TrackedPortrait, shot: Shot) -> Segmenter:
        """The segmenter, told where each frame's landmarks are: the motion knows, and need not look for a face."""
        vertices = pose_head(self._head, shot.motion.with_identity(portrait.head)).vertices
        camera = portrait.camera.resized(shot.size_px, shot.size_px)
        points = [projected_landmarks(self._head, frame, camera) for frame in vertices]
        return _Following(self._segmenter, points)

    def film(self, portrait: TrackedPortrait, still: Picture, shot: Shot) -> list[SquarePicture]:
        """The frames alone, [s, s, 3] each, s the shot's size.

        Args:
            still: the picture to animate, [h, w, 3], the person on white, framed as the portrait.

        Raises:
            GenerationError: a frame is NaN or black.
        """
        size = self._config.size_px
        small = resized(still, (size, size))
        guidance = self.guidance(portrait, shot)
        reference = self._latents.encode_pictures(_tensor(small[None]).to(self._device))
        maps = torch.from_numpy(guidance.stacked()).to(self._device).float() / 255
        seed = int(content_key(self._config.seed, still, shot.frame_numbers)[:12], 16)
        found = sample(
            self._networks, reference, self._tokens.encode(small[None]), maps, self._config.sampling, seed=seed
        )  # fmt: skip
        drawn = self._latents.decode_pictures(found[0]).permute(0, 2, 3, 1).cpu().numpy()
        return [self._checked(one, int(number), shot) for one, number in zip(drawn, shot.frame_numbers, strict=True)]

    def guidance(self, portrait: TrackedPortrait, shot: Shot) -> Guidance:
        """Maps of the motion, performed by the portrait's head: drawn once for all edits, and kept as pictures."""
        key = content_key(
            self._head_key, portrait.head, portrait.camera, shot.motion, shot.frame_numbers, self._config.size_px,
            self._config.guidance,
        )  # fmt: skip
        if key not in self._kept:
            folder = (self._config.guidance_folder or cache_root() / "guidance") / key
            found = load_guidance(folder)
            if found is None:
                found = self._drawn(portrait, shot)
                save_guidance(folder, found)
            self._kept[key] = found
            while len(self._kept) > 2:
                self._kept.popitem(last=False)
        return self._kept[key]

    def _drawn(self, portrait: TrackedPortrait, shot: Shot) -> Guidance:
        pictures = None
        if self._driver is not None:
            pictures = np.stack(list(self._driver.animate(portrait, None, shot).images))
        cameras = [portrait.camera] * len(shot.frame_numbers)
        motion = shot.motion.with_identity(portrait.head)
        return self._drawer.draw(motion, cameras, self._config.size_px, pictures)

    def _checked(self, picture: Float32[np.ndarray, "h w 3"], number: int, shot: Shot) -> SquarePicture:
        found = checked_picture(picture, number)
        if isinstance(found, GenerationError):
            raise found
        return resized(found, (shot.size_px, shot.size_px))


class _Following:
    """Parses one frame after the other, each with its landmarks."""

    def __init__(self, segmenter: Segmenter, points_px: Sequence[NDArray[np.float32]]) -> None:
        self._segmenter, self._points = segmenter, iter(points_px)

    def segment(self, image: Picture) -> PartMasks:
        """See `Segmenter.segment`; of the next frame."""
        points = next(self._points)
        known = np.isfinite(points[:, 0])
        if not known[: marks.N_SURFACE].all():  # a head model that embeds only some
            return self._segmenter.segment(image)
        irises = points[marks.N_SURFACE :]
        irises[~known[marks.N_SURFACE :]] = irises[known[marks.N_SURFACE :]].mean(0)
        return self._segmenter.parse(image, np.pad(points, ((0, 0), (0, 1))))

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        """See `Segmenter.parse`."""
        return self._segmenter.parse(image, landmarks_px, inside=inside)

    def knows(self, category: Category) -> bool:
        """See `Segmenter.knows`."""
        return self._segmenter.knows(category)


def _tensor(pictures: Pictures) -> Float[Tensor, "n 3 h w"]:
    """[n, h, w, 3] uint8 to [n, 3, h, w] in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _check_face(portrait: TrackedPortrait, picture: Picture, what: str) -> None:
    side = _SEARCHED * portrait.face_width_px
    points = portrait.landmarks_px
    middle = (points[:, :2].min(0) + points[:, :2].max(0)) / 2
    if landmarks_in_window(picture, float(middle[0]) - side / 2, float(middle[1]) - side / 2, side) is None:
        raise GenerationError(f"{what} shows no face where the portrait has one; another seed may show it")

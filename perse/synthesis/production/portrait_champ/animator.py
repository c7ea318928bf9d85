"""portrait-Champ as a `PortraitAnimator` (P A.3.2, Table 4): edits with volume, filmed by a video diffusion model.

::

    edit on white ─┬─ VAE ─► reference UNet ─► features ─┐
                   └─ CLIP ─► tokens ────────────────────┤
    motion ─► depth, normals, keypoints ─► encoders ─────┴─► denoiser over windows ─► VAE ─► parse ─► clip
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32

from perse.data import EditedPortrait, PortraitClip, TrackedPortrait
from perse.data.file_digests import cache_root
from perse.data.keys import content_key
from perse.errors import GenerationError, RecipeError
from perse.head import HeadModel, pose_head
from perse.shapes import FaceLandmarks, Picture, SquarePicture
from perse.synthesis.production.finished_clip import checked_picture, finished_clip, still_of
from perse.synthesis.production.generation import device, resized
from perse.synthesis.production.guidance import (
    Guidance,
    GuidanceConfig,
    PictureKeypointMapsConfig,
    projected_landmarks,
)
from perse.synthesis.production.guidance.folder import load_guidance, save_guidance
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.portrait_champ.batches import as_tensor
from perse.synthesis.production.portrait_champ.image_tokens import ClipImageTokensConfig, DescriptorTokensConfig
from perse.synthesis.production.portrait_champ.latents import BlockLatentsConfig, SdVaeConfig
from perse.synthesis.production.portrait_champ.networks import ChampNetworks, ChampSizes
from perse.synthesis.production.portrait_champ.sampling import SamplingConfig, sample
from perse.synthesis.production.portrait_champ.storage import check_networks, load_networks
from perse.synthesis.production.segmenter import SegmenterConfig, TransformersSegmenterConfig
from perse.synthesis.seams import PortraitAnimator, Shot
from perse.tracking import landmarks as marks

_PORTRAIT_CHAMP = Weights(name="portrait-champ")


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
        """Check the heads of the weights' files.

        Raises:
            MissingWeightsError: the weights are missing, or of another model.
        """
        check_networks(self.weights.locate(), self.sizes)

    def build(self, head: HeadModel) -> PortraitChamp:
        """Animator with its networks in memory.

        Raises:
            MissingWeightsError: the weights are missing, or of another model.
        """
        return PortraitChamp(self, load_networks(self.weights.locate(), self.sizes), head)


class PortraitChamp:
    """Animator by portrait-Champ. Deterministic: the noise depends on the seed and on what is filmed."""

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
        still = still_of(portrait, edited, self._segmenter)
        frames = self.film(portrait, still.picture, shot)
        return finished_clip(portrait, edited, shot, frames, self._segmenter, self._landmarks(portrait, shot))

    def _landmarks(self, portrait: TrackedPortrait, shot: Shot) -> list[FaceLandmarks] | None:
        """[478, 3] of every frame: the motion knows them, and nobody need look for a face. None for a head model that
        embeds only some."""
        vertices = pose_head(self._head, shot.motion.with_identity(portrait.head)).vertices
        camera = portrait.camera.resized(shot.size_px, shot.size_px)
        found = [_with_irises(projected_landmarks(self._head, frame, camera)) for frame in vertices]
        return found if np.isfinite(found).all() else None

    def film(self, portrait: TrackedPortrait, still: Picture, shot: Shot) -> list[SquarePicture]:
        """Frames alone, [s, s, 3] each, s the shot's size.

        Args:
            still: the picture to animate, [h, w, 3], the person on white, framed as the portrait.

        Raises:
            GenerationError: a frame is NaN or black.
        """
        size = self._config.size_px
        small = resized(still, (size, size))
        guidance = self.guidance(portrait, shot)
        reference = self._latents.encode_pictures(as_tensor(small[None], self._device))
        maps = torch.from_numpy(guidance.stacked()).to(self._device).float() / 255
        seed = int(content_key(self._config.seed, still, shot.frame_numbers)[:12], 16)
        found = sample(
            self._networks, reference, self._tokens.encode(small[None]), maps, self._config.sampling, seed=seed
        )  # fmt: skip
        drawn = self._latents.decode_pictures(found[0]).permute(0, 2, 3, 1).cpu().numpy()
        return [self._checked(one, int(number), shot) for one, number in zip(drawn, shot.frame_numbers, strict=True)]

    def guidance(self, portrait: TrackedPortrait, shot: Shot) -> Guidance:
        """Maps of the motion, performed by the portrait's head: drawn once for all edits, and kept as pictures."""
        config = self._config
        filmed = None if config.driver is None else (config.driver, portrait.key)  # keypoints are those of its pictures
        key = content_key(
            self._head_key, portrait.head, portrait.camera, shot.motion, shot.frame_numbers, config.size_px,
            config.guidance, filmed,
        )  # fmt: skip
        if key not in self._kept:
            folder = (config.guidance_folder or cache_root() / "guidance") / key
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


def _with_irises(points_px: Float32[np.ndarray, "478 2"]) -> FaceLandmarks:
    """[478, 3]; an iris point that the head model does not embed lies in the middle of those that it does."""
    irises = points_px[marks.N_SURFACE :]
    known = np.isfinite(irises[:, 0])
    irises[~known] = irises[known].mean(0)
    return np.pad(points_px, ((0, 0), (0, 1)))

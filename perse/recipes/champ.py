"""Trainings of portrait-Champ: the paper's, and one that two cores finish in minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from perse.errors import RecipeError
from perse.head.sources import EmbeddedHead, FlameHead
from perse.recipes.resources import WorkerPool
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.portrait_champ import (
    BlockLatentsConfig,
    ChampSizes,
    ChampTrainingConfig,
    ClipImageTokensConfig,
    DescriptorTokensConfig,
    EightBitAdamConfig,
    FootageConfig,
    GuidanceEncoderSizes,
    MotionSizes,
    NoiseSchedule,
    PortraitChampConfig,
    PretrainedStart,
    SamplingConfig,
    SdVaeConfig,
    UNetSizes,
)
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig, SegmenterConfig, TransformersSegmenterConfig
from perse.tracking.video_tracker import VideoTrackerConfig


@dataclass(frozen=True, kw_only=True)
class ChampRecipe:
    """Recipe of one training: videos in, an animator out."""

    name: str
    """How people call it."""
    head: EmbeddedHead | FlameHead = field(default_factory=EmbeddedHead)
    """The parametric head of the guidance."""
    footage: FootageConfig = field(default_factory=FootageConfig)
    """How videos are prepared."""
    sizes: ChampSizes = field(default_factory=ChampSizes)
    """The architecture."""
    start: PretrainedStart | None
    """Whose weights the networks start with; None: random ones."""
    latents: SdVaeConfig | BlockLatentsConfig = field(default_factory=SdVaeConfig)
    """From pictures to latents."""
    tokens: ClipImageTokensConfig | DescriptorTokensConfig = field(default_factory=ClipImageTokensConfig)
    """What cross-attention sees of a portrait."""
    frames: ChampTrainingConfig
    """First stage: single frames."""
    motion: ChampTrainingConfig
    """Second stage: motion modules on windows of frames."""
    held_out_every: int
    """Every n-th frame of every video is never trained on, and is what samples are measured on."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How samples and clips are drawn."""
    segmenter: SegmenterConfig = field(default_factory=TransformersSegmenterConfig)
    """Parses the frames of the animator that comes out."""
    prepare: WorkerPool = field(default_factory=WorkerPool)
    """Workers that prepare videos."""
    workers: int = 0
    """Workers that train; 0: this process."""
    worker: WorkerPool = field(default_factory=WorkerPool)
    """What one of them claims."""
    held_weights: Literal["all", "parts"] = "all"
    """What each of several workers holds: all weights, or a part of each (FSDP2), for GPUs with less memory."""
    checkpoint_every: int = 500
    """Steps between two checkpoints."""
    sample_every: int = 5000
    """Steps between two strips of samples."""

    def __post_init__(self) -> None:
        if self.frames.moves or not self.motion.moves:
            raise RecipeError("the first stage trains on single frames, the second on several")
        if self.held_out_every < 2:
            raise RecipeError("held_out_every must be at least 2, so that frames are left to train on")
        eight_bit = any(isinstance(one.optimiser, EightBitAdamConfig) for one in (self.frames, self.motion))
        if self.held_weights == "parts" and eight_bit:
            raise RecipeError("8-bit Adam cannot update weights that are held in parts: use AdamConfig()")

    def check(self) -> None:
        """Refuse now what would only fail when the second stage begins, days later.

        Raises:
            RecipeError: an optimiser's package is not installed.
        """
        for training in (self.frames, self.motion):
            training.optimiser.build([torch.nn.Parameter(torch.zeros(1))], training.rate)

    def animator(self, folder: Path) -> PortraitChampConfig:
        """The animator with weights that this recipe has trained."""
        return PortraitChampConfig(
            weights=Weights(name="portrait-champ", folder=folder),
            sizes=self.sizes,
            latents=self.latents,
            tokens=self.tokens,
            guidance=self.footage.guidance,
            sampling=self.sampling,
            size_px=self.footage.sizes_px[0],
            segmenter=self.segmenter,
        )


def champ_paper() -> ChampRecipe:
    """Recipe of the paper (A.3.2) and, where it is silent, of Champ: eight GPUs with 80 GB; days."""
    return ChampRecipe(
        name="champ-paper",
        start=PretrainedStart(),
        frames=ChampTrainingConfig(
            iterations=58_732, batch=32, precision="bfloat16", save_memory=True, moving_average=0.9999
        ),
        motion=ChampTrainingConfig(
            iterations=26_450, batch=8, frames=24, stride=4, precision="bfloat16", save_memory=True,
            moving_average=0.9999, schedule=NoiseSchedule(betas="linear"), optimiser=EightBitAdamConfig(),
        ),
        held_out_every=100,
        prepare=WorkerPool(workers=(4, 64), cpus=1, memory_gib=4, time_limit_s=3600),
        workers=8,
        worker=WorkerPool(cpus=4, gpus=1, memory_gib=64, threads=4),
    )  # fmt: skip


def champ_tiny() -> ChampRecipe:
    """Recipe of small networks on 64 px without any weights: shows that everything works, on two cores, in minutes."""
    schedule = NoiseSchedule()
    latents = BlockLatentsConfig(block_px=8, kept=4)
    return ChampRecipe(
        name="champ-tiny",
        footage=FootageConfig(
            sizes_px=(64,), lengths=(6,), tracker=VideoTrackerConfig(views=3, resting=1, first_look=12)
        ),
        sizes=ChampSizes(
            unet=UNetSizes(
                latent_channels=latents.channels, channels=(64, 64), attended=(True, True), layers=1, heads=4,
                norm_groups=8, token_width=512,
            ),
            motion=MotionSizes(heads=4),
            guidance=GuidanceEncoderSizes(channels=(8, 16, 32, 64), heads=4),
            normals="own ends",
        ),
        start=None,
        latents=latents,
        tokens=DescriptorTokensConfig(),
        frames=ChampTrainingConfig(
            iterations=400, batch=6, rate=2e-3, warm_up=20, final_rate=0.05, unconditional=0.05,
            moving_average=0.98, schedule=schedule
        ),
        motion=ChampTrainingConfig(
            iterations=40, batch=1, frames=6, rate=1e-3, warm_up=10, moving_average=0.95, schedule=schedule
        ),
        held_out_every=4,
        sampling=SamplingConfig(schedule=schedule, steps=1, guidance=1.0, window=6, overlap=2),
        segmenter=LandmarkSegmenterConfig(),
        prepare=WorkerPool(workers=(2, 2), cpus=0.1, time_limit_s=600),
        worker=WorkerPool(threads=1),
        checkpoint_every=50,
        sample_every=200,
    )  # fmt: skip


RECIPES: dict[str, Callable[[], ChampRecipe]] = {"champ-paper": champ_paper, "champ-tiny": champ_tiny}


def champ_recipe_named(name: str) -> ChampRecipe:
    """Built-in recipe of that name.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in RECIPES:
        raise RecipeError(f"there is no recipe {name!r} for portrait-Champ; known: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()

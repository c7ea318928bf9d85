"""Mask portrait I_text (Eq. 7): somebody else with the wanted attribute, in the input's pose and framing.

Only its parsed part is used: it says *where* a hat or a beard of this description goes, never what the person looks
like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from perse.errors import MissingWeightsError
from perse.shapes import Picture
from perse.synthesis.production.generation import (
    LESS_MEMORY,
    Batches,
    Outcome,
    PipelineSettings,
    PromptCache,
    load_model,
    load_pipeline,
    outcomes,
    resized,
    seeded,
)
from perse.synthesis.production.inpainting import encode_sdxl, sdxl_embeddings
from perse.synthesis.production.model_store import Weights

_SDXL_BASE_1_0 = Weights(name="sdxl-base-1.0")
_CONTROLNET_UNION_SDXL_1_0 = Weights(name="controlnet-union-sdxl-1.0")
_SDXL_VAE_FP16_FIX = Weights(name="sdxl-vae-fp16-fix")
_HALF = PipelineSettings(precision="float16")


@dataclass(frozen=True)
class MaskPortraitRequest:
    """Request for one mask portrait.

    Attributes:
        keypoints: [s, s, 3] uint8, the keypoint picture.
        text: the sentence.
        seed: of the noise.
        size: height and width of the result.
    """

    keypoints: Picture
    text: str
    seed: int
    size: tuple[int, int]


class MaskPortraitMaker(Protocol):
    """Generator of mask portraits."""

    size_px: int
    """Working size, which keypoints are drawn at."""

    def make(self, requests: Sequence[MaskPortraitRequest]) -> list[Outcome]:
        """Picture for each request, or why there is none. Deterministic in each request."""
        ...


@dataclass(frozen=True, kw_only=True)
class SdxlMaskPortraitConfig:
    """Configuration of SDXL base with a pose ControlNet (docs/reference.md#synthesis)."""

    base: Weights = _SDXL_BASE_1_0
    """SDXL base 1.0."""
    controlnet: Weights = _CONTROLNET_UNION_SDXL_1_0
    """A pose ControlNet, or a union ControlNet."""
    union_mode: int | None = 0
    """Number of the pose condition of a union ControlNet (0 for xinsir's); None for a ControlNet of poses alone."""
    vae: Weights | None = _SDXL_VAE_FP16_FIX
    """A VAE that half precision does not turn black; None keeps the folder's own."""
    size_px: int = 1024
    """Working size."""
    steps: int = 30
    """Denoising steps, Euler ancestral."""
    guidance: float = 5.0
    """Classifier-free guidance."""
    control_scale: float = 1.0
    """Strength of the ControlNet."""
    negative: str = "drawing, cartoon, deformed, blurry, several people"
    """What is not to be seen."""
    settings: PipelineSettings = _HALF
    """Precision, offloading, batches."""

    def build(self) -> MaskPortraitMaker:
        return SdxlMaskPortraits(self)


class SdxlMaskPortraits:
    """Generator of mask portraits by SDXL; see `SdxlMaskPortraitConfig`."""

    def __init__(self, config: SdxlMaskPortraitConfig) -> None:
        """
        Raises:
            MissingWeightsError: a folder is missing, incomplete, pickled, or of another kind.
        """
        from diffusers import EulerAncestralDiscreteScheduler

        self.size_px = config.size_px
        self.pipeline = _load(config)
        self.pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(self.pipeline.scheduler.config)
        self.batches: Batches[MaskPortraitRequest] = Batches(config.settings.batch_size, LESS_MEMORY)
        self.prompts = PromptCache(
            lambda texts: encode_sdxl(self.pipeline, texts, config.negative), config.settings.encoded_prompts
        )
        self._config = config

    def make(self, requests: Sequence[MaskPortraitRequest]) -> list[Outcome]:
        """See `MaskPortraitMaker.make`."""
        return self.batches.run(requests, self._batch)

    def _batch(self, requests: Sequence[MaskPortraitRequest]) -> list[Outcome]:
        from PIL import Image as Pillow

        size = (self.size_px, self.size_px)
        drawn = [Pillow.fromarray(resized(request.keypoints, size)) for request in requests]
        output = self.pipeline(
            **self._condition(drawn),
            **sdxl_embeddings(self.pipeline, self.prompts([request.text for request in requests])),
            height=self.size_px,
            width=self.size_px,
            generator=seeded([request.seed for request in requests]),
            num_inference_steps=self._config.steps,
            guidance_scale=self._config.guidance,
            controlnet_conditioning_scale=self._config.control_scale,
            output_type="np",
        )
        return outcomes(output, [request.size for request in requests])

    def _condition(self, drawn: list[Any]) -> dict[str, Any]:
        if self._config.union_mode is None:
            return {"image": drawn}
        # A union pipeline takes one entry a condition; ours is one condition for the whole batch of pictures.
        return {"control_image": [drawn], "control_mode": [self._config.union_mode]}


def _load(config: SdxlMaskPortraitConfig) -> Any:
    from diffusers import (
        AutoencoderKL,
        ControlNetModel,
        ControlNetUnionModel,
        StableDiffusionXLControlNetPipeline,
        StableDiffusionXLControlNetUnionPipeline,
    )

    base, folder = config.base.locate(), config.controlnet.locate()
    union = config.union_mode is not None
    net = load_model(ControlNetUnionModel if union else ControlNetModel, folder, config.settings)
    if union and not 0 <= int(config.union_mode or 0) < net.config.num_control_type:
        raise MissingWeightsError(f"{folder} knows conditions 0 to {net.config.num_control_type - 1}; set union_mode")
    parts: dict[str, Any] = {"controlnet": net}
    if config.vae is not None:
        parts["vae"] = load_model(AutoencoderKL, config.vae.locate(), config.settings)
    kind = StableDiffusionXLControlNetUnionPipeline if union else StableDiffusionXLControlNetPipeline
    return load_pipeline(kind, base, config.settings, **parts)

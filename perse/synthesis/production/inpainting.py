"""Inpainting of a region from a sentence (Eq. 6): FLUX with an inpainting ControlNet, FLUX Fill, or SDXL.

==============================  ===============================  =====================================
configuration                   paper                            licence of its weights
==============================  ===============================  =====================================
`FluxControlNetInpainterConfig`  yes                             FLUX.1 [dev], non-commercial
`FluxFillInpainterConfig`        no, newer                       FLUX.1 [dev], non-commercial
`SdxlInpainterConfig`            no, the permissive choice       CreativeML Open RAIL++-M, commercial
==============================  ===============================  =====================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from perse.shapes import Picture, SoftMask
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
    rows_of,
    seeded,
)
from perse.synthesis.production.model_store import Weights

_FLUX_1_DEV = Weights(name="flux.1-dev")
_FLUX_1_DEV_CONTROLNET_INPAINTING_BETA = Weights(name="flux.1-dev-controlnet-inpainting-beta")
_FLUX_1_FILL_DEV = Weights(name="flux.1-fill-dev")
_SDXL_INPAINTING = Weights(name="sdxl-inpainting")
_SDXL_VAE_FP16_FIX = Weights(name="sdxl-vae-fp16-fix")
_BRAIN_FLOAT = PipelineSettings()
_HALF = PipelineSettings(precision="float16")

_REPAINTED = 0.02
"""Everything with at least this much mask is repainted; the soft border is blended when the picture is composed."""


@dataclass(frozen=True)
class InpaintRequest:
    """Picture to repaint, and the region.

    Attributes:
        image: [h, w, 3] uint8 RGB.
        mask: [h, w] float32 in [0, 1], where to repaint.
        text: what is to be seen.
        seed: of the noise.
    """

    image: Picture
    mask: SoftMask
    text: str
    seed: int


class Inpainter(Protocol):
    """Model that repaints regions."""

    def inpaint(self, requests: Sequence[InpaintRequest]) -> list[Outcome]:
        """Picture of each request's size, or why there is none. Deterministic in each request."""
        ...


@dataclass(frozen=True, kw_only=True)
class FluxControlNetInpainterConfig:
    """Configuration of FLUX.1-dev with alimama's inpainting ControlNet: the paper's (numbers:
    docs/reference.md#synthesis)."""

    base: Weights = _FLUX_1_DEV
    """FLUX.1-dev."""
    controlnet: Weights = _FLUX_1_DEV_CONTROLNET_INPAINTING_BETA
    """The inpainting ControlNet."""
    size_px: int = 768
    """Working size."""
    steps: int = 28
    """Denoising steps."""
    control_scale: float = 0.9
    """Strength of the ControlNet."""
    guidance: float = 3.5
    """Distilled guidance."""
    settings: PipelineSettings = _BRAIN_FLOAT
    """Precision, offloading, batches."""

    def build(self) -> Inpainter:
        return FluxControlNetInpainter(self)


@dataclass(frozen=True, kw_only=True)
class FluxFillInpainterConfig:
    """Configuration of FLUX.1-Fill-dev, which was trained to repaint and needs no ControlNet."""

    base: Weights = _FLUX_1_FILL_DEV
    """FLUX.1-Fill-dev."""
    size_px: int = 768
    """Working size."""
    steps: int = 28
    """Denoising steps."""
    guidance: float = 30.0
    """Distilled guidance, its authors' number."""
    settings: PipelineSettings = _BRAIN_FLOAT
    """Precision, offloading, batches."""

    def build(self) -> Inpainter:
        return FluxFillInpainter(self)


@dataclass(frozen=True, kw_only=True)
class SdxlInpainterConfig:
    """Configuration of SDXL's inpainting UNet: weaker, and free for commercial use."""

    base: Weights = _SDXL_INPAINTING
    """SDXL inpainting 0.1."""
    vae: Weights | None = _SDXL_VAE_FP16_FIX
    """A VAE that half precision does not turn black; None keeps the folder's own."""
    size_px: int = 1024
    """Working size."""
    steps: int = 30
    """Denoising steps."""
    guidance: float = 8.0
    """Classifier-free guidance."""
    negative: str = "drawing, cartoon, deformed, blurry"
    """What is not to be seen."""
    settings: PipelineSettings = _HALF
    """Precision, offloading, batches."""

    def build(self) -> Inpainter:
        return SdxlInpainter(self)


InpainterConfig = FluxControlNetInpainterConfig | FluxFillInpainterConfig | SdxlInpainterConfig


class _DiffusersInpainter:
    """Batches, prompts and sizes; subclasses call their pipeline."""

    def __init__(self, pipeline: Any, size_px: int, settings: PipelineSettings) -> None:
        self.pipeline = pipeline
        self.size_px = size_px
        self.batches: Batches[InpaintRequest] = Batches(settings.batch_size, LESS_MEMORY)
        self.prompts = PromptCache(self._encode, settings.encoded_prompts)

    def inpaint(self, requests: Sequence[InpaintRequest]) -> list[Outcome]:
        """See `Inpainter.inpaint`."""
        for request in requests:
            if request.image.shape[:2] != request.mask.shape:
                raise ValueError(f"image {request.image.shape} and mask {request.mask.shape} differ in size")
        return self.batches.run(requests, self._batch)

    def _batch(self, requests: Sequence[InpaintRequest]) -> list[Outcome]:
        from PIL import Image as Pillow

        size = (self.size_px, self.size_px)
        images = [Pillow.fromarray(resized(request.image, size)) for request in requests]
        masks = [Pillow.fromarray(_hard(request.mask, size)) for request in requests]
        common = {
            "image": images,
            "mask_image": masks,
            "height": self.size_px,
            "width": self.size_px,
            "generator": seeded([request.seed for request in requests]),
            "output_type": "np",
        }
        output = self._call([request.text for request in requests], common)
        return outcomes(output, [(request.image.shape[0], request.image.shape[1]) for request in requests])

    def _encode(self, texts: list[str]) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def _call(self, texts: list[str], common: dict[str, Any]) -> Any:
        raise NotImplementedError


class _FluxInpainter(_DiffusersInpainter):
    """FLUX's two text encoders: pooled CLIP and a sequence of T5."""

    def _encode(self, texts: list[str]) -> list[tuple[Any, ...]]:
        sequence, pooled, _ = self.pipeline.encode_prompt(prompt=texts, prompt_2=texts)
        return rows_of(sequence, pooled)

    def _embedded(self, texts: list[str]) -> dict[str, Any]:
        sequence, pooled = self.prompts(texts)
        where = self.pipeline._execution_device
        return {"prompt_embeds": sequence.to(where), "pooled_prompt_embeds": pooled.to(where)}


class FluxControlNetInpainter(_FluxInpainter):
    """Inpainter by FLUX.1-dev with a ControlNet; see `FluxControlNetInpainterConfig`."""

    def __init__(self, config: FluxControlNetInpainterConfig) -> None:
        """
        Raises:
            MissingWeightsError: a folder is missing, incomplete, pickled, or of another kind.
        """
        from diffusers import FluxControlNetInpaintPipeline

        from perse.synthesis.production.flux_controlnet import MaskedFluxControlNet

        base, folder = config.base.locate(), config.controlnet.locate()
        self.controlnet = load_model(MaskedFluxControlNet, folder, config.settings)
        pipeline = load_pipeline(FluxControlNetInpaintPipeline, base, config.settings, controlnet=self.controlnet)
        super().__init__(pipeline, config.size_px, config.settings)
        self._config = config

    def _call(self, texts: list[str], common: dict[str, Any]) -> Any:
        from perse.synthesis.production.flux_controlnet import mask_tokens

        mask = self.pipeline.mask_processor.preprocess(common["mask_image"], height=self.size_px, width=self.size_px)
        with self.controlnet.seeing(mask_tokens(mask, self.pipeline.vae_scale_factor)):
            return self.pipeline(
                **common,
                **self._embedded(texts),
                control_image=[_blackened(i, m) for i, m in zip(common["image"], common["mask_image"], strict=True)],
                strength=1.0,  # from pure noise, as the ControlNet was trained; what is kept is blended at each step
                num_inference_steps=self._config.steps,
                guidance_scale=self._config.guidance,
                controlnet_conditioning_scale=self._config.control_scale,
            )


class FluxFillInpainter(_FluxInpainter):
    """Inpainter by FLUX.1-Fill-dev; see `FluxFillInpainterConfig`."""

    def __init__(self, config: FluxFillInpainterConfig) -> None:
        """
        Raises:
            MissingWeightsError: the folder is missing, incomplete, pickled, or of another kind.
        """
        from diffusers import FluxFillPipeline

        pipeline = load_pipeline(FluxFillPipeline, config.base.locate(), config.settings)
        super().__init__(pipeline, config.size_px, config.settings)
        self._config = config

    def _call(self, texts: list[str], common: dict[str, Any]) -> Any:
        return self.pipeline(
            **common,
            **self._embedded(texts),
            strength=1.0,
            num_inference_steps=self._config.steps,
            guidance_scale=self._config.guidance,
        )


class SdxlInpainter(_DiffusersInpainter):
    """Inpainter by SDXL; see `SdxlInpainterConfig`."""

    def __init__(self, config: SdxlInpainterConfig) -> None:
        """
        Raises:
            MissingWeightsError: a folder is missing, incomplete, pickled, or of another kind.
        """
        from diffusers import AutoencoderKL, StableDiffusionXLInpaintPipeline

        base = config.base.locate()
        parts = {} if config.vae is None else {"vae": load_model(AutoencoderKL, config.vae.locate(), config.settings)}
        pipeline = load_pipeline(StableDiffusionXLInpaintPipeline, base, config.settings, **parts)
        super().__init__(pipeline, config.size_px, config.settings)
        self._config = config

    def _encode(self, texts: list[str]) -> list[tuple[Any, ...]]:
        return encode_sdxl(self.pipeline, texts, self._config.negative)

    def _call(self, texts: list[str], common: dict[str, Any]) -> Any:
        return self.pipeline(
            **common,
            **sdxl_embeddings(self.pipeline, self.prompts(texts)),
            strength=1.0,
            num_inference_steps=self._config.steps,
            guidance_scale=self._config.guidance,
        )


def encode_sdxl(pipeline: Any, texts: list[str], negative: str) -> list[tuple[Any, ...]]:
    """Embeddings of SDXL's two text encoders, with those of what is not to be seen."""
    encoded = pipeline.encode_prompt(
        prompt=texts, negative_prompt=[negative] * len(texts), do_classifier_free_guidance=True
    )
    return rows_of(*encoded)


def sdxl_embeddings(pipeline: Any, tensors: tuple[Any, ...]) -> dict[str, Any]:
    """Embeddings of `encode_sdxl` by the names of the pipeline's arguments, on its device."""
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    where = pipeline._execution_device
    return {name: tensor.to(where) for name, tensor in zip(names, tensors, strict=True)}


def _hard(mask: SoftMask, size: tuple[int, int]) -> UInt8[np.ndarray, "h2 w2"]:
    """255 where a picture is repainted, 0 where it is kept."""
    return resized(((mask >= _REPAINTED) * 255).astype(np.uint8), size)


def _blackened(image: Any, mask: Any) -> Any:
    """The ControlNet's condition: the picture with the region to repaint in black."""
    from PIL import Image as Pillow

    kept = np.asarray(mask)[..., None] < 128
    return Pillow.fromarray(np.asarray(image) * kept)

"""A latent diffusion model of the Stable Diffusion 1 and 2 families: UNet, VAE, text encoder, DDIM schedules."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray
from torch import Tensor

from perse.errors import GenerationError, MissingWeightsError
from perse.shapes import Picture
from perse.synthesis.production import model_store
from perse.synthesis.production.generation import PipelineSettings, device, load_model, resized
from perse.synthesis.production.model_store import Weights

UNET_DEFAULTS = {
    "in_channels": 4, "out_channels": 4, "cross_attention_dim": 1280, "block_out_channels": (320, 640, 1280, 1280)
}  # fmt: skip
VAE_DEFAULTS = {"latent_channels": 4, "block_out_channels": (64,)}

_SD_2_1_BASE = Weights(name="sd-2.1-base")


@dataclass(frozen=True, kw_only=True)
class LatentDiffusionConfig:
    """Choice of a diffusion model and its picture size."""

    weights: Weights = _SD_2_1_BASE
    """A folder in diffusers' layout."""
    size_px: int = 512
    """Working size; pictures of other sizes are resized."""
    precision: str = "bfloat16"
    """Of the networks; latents stay in float32. A CPU always computes in float32."""

    def digest(self) -> str:
        """Digest of the model's files.

        Raises:
            MissingWeightsError: they are not there.
        """
        return model_store.digest(self.weights.locate())

    def check_weights(self) -> None:
        """Check what the folder says about itself, without reading a tensor.

        Raises:
            MissingWeightsError: the folder is missing, or holds another kind of model.
        """
        folder = self.weights.locate()
        _scheduler_config(folder)
        unet, vae, text = (_note(folder / name / "config.json") for name in ("unet", "vae", "text_encoder"))
        _refuse_another_kind(folder, self.size_px, unet, vae, text)

    def load(self) -> LatentDiffusion:
        """Model in memory.

        Raises:
            MissingWeightsError: the folder is missing or incomplete, or holds another kind of model.
        """
        return LatentDiffusion(self)


class LatentDiffusion:
    """Loaded diffusion model. Counts the UNet's work.

    Attributes:
        unet_calls: forward passes.
        unet_rows: pictures in them.
    """

    def __init__(self, config: LatentDiffusionConfig) -> None:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel

        folder = config.weights.locate()
        settings = PipelineSettings(precision=config.precision, offload=False)
        self.device = torch.device(device())
        self.size_px = config.size_px
        self.digest = model_store.digest(folder)
        self.unet: Any = load_model(UNet2DConditionModel, folder / "unet", settings).to(self.device)
        self.vae: Any = load_model(AutoencoderKL, folder / "vae", settings).to(self.device)
        self._text: Any = load_model(CLIPTextModel, folder / "text_encoder", settings).to(self.device)
        self._tokenizer = _tokenizer(folder / "tokenizer")
        self._scheduler = _scheduler_config(folder)
        self.dtype: torch.dtype = self.unet.dtype
        self.unet_calls = self.unet_rows = 0
        text = self._text.config.to_dict()
        _refuse_another_kind(folder, config.size_px, self.unet.config, self.vae.config, text)
        for network in (self.unet, self.vae, self._text):
            network.requires_grad_(False)
        self.text = lru_cache(maxsize=64)(self._encoded)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture's latent."""
        side = self.size_px // _factor(self.vae)
        return self.vae.config.latent_channels, side, side

    @property
    def prediction(self) -> str:
        """Kind of the UNet's prediction: "epsilon" or "v_prediction"."""
        return str(self.scheduler().config.prediction_type)

    def scheduler(self) -> Any:
        """A fresh DDIM scheduler of the model's noise schedule."""
        from diffusers import DDIMScheduler

        return DDIMScheduler(**_understood(DDIMScheduler, self._scheduler))

    def inverse_scheduler(self) -> Any:
        """Inverse of `scheduler`."""
        from diffusers import DDIMInverseScheduler

        return DDIMInverseScheduler(**_understood(DDIMInverseScheduler, self._scheduler))

    def predict(
        self, latents: Float[Tensor, "b c h w"], timestep: Shaped[Tensor, "*t"], text: Float[Tensor, "_ n e"]
    ) -> Float[Tensor, "b c h w"]:
        """Answer [b, c, h, w] float32 of the UNet to noisy latents, at one time or at [b] times."""
        self.unet_calls += 1
        self.unet_rows += len(latents)
        text = text.expand(len(latents), -1, -1) if len(text) == 1 else text
        answer: Tensor = self.unet(latents.to(self.dtype), timestep, encoder_hidden_states=text).sample
        return answer.float()

    @torch.no_grad()
    def encode(
        self, images: UInt8[NDArray[np.uint8], "b _ _ 3"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
        """Mean and deviation [b, c, h, w] float32 of the latents of pictures [b, h, w, 3], scaled as the UNet wants."""
        square = np.stack([resized(image, (self.size_px, self.size_px)) for image in images])
        pixels = torch.from_numpy(square).to(self.device).movedim(-1, 1).to(self.dtype) / 127.5 - 1
        latents = self.vae.encode(pixels).latent_dist
        scale = float(self.vae.config.scaling_factor)
        return latents.mean.float() * scale, latents.std.float() * scale

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> list[Picture]:
        """Pictures of latents, resized to a height and width.

        Raises:
            GenerationError: a latent is not finite, or what the VAE makes of it.
        """
        if not torch.isfinite(latents).all():
            raise GenerationError(
                "the latents are NaN or infinite: half precision overflowed, or the subject's adapter diverged; "
                'use precision="float32", or delete the adapter and train it again'
            )
        pixels = self.vae.decode((latents / self.vae.config.scaling_factor).to(self.dtype)).sample
        if not torch.isfinite(pixels).all():  # as bytes NaN would be black, and a target like any other
            raise GenerationError(
                "the VAE's pictures are NaN or infinite: half precision overflowed, or its weights are damaged; "
                'use precision="float32", or fetch the weights again'
            )
        levels = ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return [resized(image, size) for image in levels.movedim(1, -1).cpu().numpy()]

    @torch.no_grad()
    def _encoded(self, prompt: str) -> Tensor:
        """The embedding [1, tokens, c] of a prompt."""
        length = self._tokenizer.model_max_length
        tokens = self._tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        encoded: Tensor = self._text(tokens.input_ids.to(self.device))[0]
        return encoded.to(self.dtype)


def _refuse_another_kind(
    folder: Path, size_px: int, unet: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any]
) -> None:
    """By the configurations of its parts; what they leave out is as diffusers has it."""
    unet, vae = {**UNET_DEFAULTS, **unet}, {**VAE_DEFAULTS, **vae}
    channels, width = vae["latent_channels"], text.get("hidden_size")
    levels = len(vae["block_out_channels"]) - 1 + len(unet["block_out_channels"]) - 1
    problem = ""
    if (unet["in_channels"], unet["out_channels"]) != (channels, channels):
        problem = f"its UNet maps {unet['in_channels']} to {unet['out_channels']} channels, the VAE has {channels}"
    elif unet["cross_attention_dim"] != width or unet.get("addition_embed_type") is not None:
        problem = f"its UNet wants other text than the encoder's {width} numbers a token (is it an SDXL?)"
    elif size_px % 2**levels:
        raise MissingWeightsError(f"{folder}: size_px must be a multiple of {2**levels} for this model")
    if problem:
        raise MissingWeightsError(f"{folder}: {problem}; expected Stable Diffusion 1 or 2, such as sd-2.1-base")


def _factor(vae: Any) -> int:
    """How many pixels a side of a latent's pixel has."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def _tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise MissingWeightsError(f"{folder} does not hold a CLIPTokenizer: {error}") from error


def _note(file: Path) -> dict[str, Any]:
    """A part's own description."""
    try:
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise MissingWeightsError(f"{file} cannot be read: {error}; give a folder in diffusers' layout") from error
    return found


def _scheduler_config(folder: Path) -> dict[str, Any]:
    """The noise schedule, with what DDIM in latent space needs: nothing is clipped, and steps are spaced evenly."""
    from diffusers import DDIMScheduler

    file = folder / "scheduler" / "scheduler_config.json"
    config = _note(file)
    name = config.get("_class_name", "")
    if name not in {"DDIMScheduler", *DDIMScheduler._compatibles}:
        raise MissingWeightsError(
            f"{file}: {name or 'an unnamed scheduler'} has no DDIM form, and without it a picture cannot be inverted; "
            "use a model with a noise schedule of betas, such as sd-2.1-base"
        )
    known = {key: value for key, value in config.items() if not key.startswith("_")}
    return {**known, "clip_sample": False, "thresholding": False, "timestep_spacing": "leading"}


def _understood(scheduler: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The settings that a scheduler has too."""
    known = inspect.signature(scheduler.__init__).parameters
    return {key: value for key, value in config.items() if key in known}

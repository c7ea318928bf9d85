"""A tiny Stable Diffusion of the real classes, saved as `StableDiffusionPipeline` saves it.

All weights are random but the UNet's last layer, which is fitted by least squares to predict noise on pictures of
discs. A UNet that predicts nothing like noise describes no diffusion, and DDIM along it leads nowhere and not back.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from perse.morphing.diffusion import LatentDiffusion, LatentDiffusionConfig
from perse.synthesis.production.model_store import Weights

TEXT = 24
SIZE_PX = 32
STEPS = 6
"""Of DDIM, where a test says nothing else."""
CHARACTERS = "abcdefghijklmnopqrstuvwxyz,"


def save_tiny_diffusion(folder: Path, *, channels: int = 4, text: int = TEXT, seed: int = 0) -> None:
    """UNet with two levels, VAE with factor 2, CLIP text encoder, SD's own schedule: 1 MB."""
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(seed)
    UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=(2, 2),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True, cross_attention_dim=text, sample_size=SIZE_PX // 2, in_channels=channels,
        out_channels=4,
    ).save_pretrained(folder / "unet")  # fmt: skip
    AutoencoderKL(
        block_out_channels=[8, 16], latent_channels=4, norm_num_groups=4, scaling_factor=1.0,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
    ).save_pretrained(folder / "vae")  # fmt: skip
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=64, hidden_size=TEXT, intermediate_size=32, projection_dim=TEXT, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1,
            hidden_act="gelu",
        )
    ).save_pretrained(folder / "text_encoder")  # fmt: skip
    tokens = ["<|startoftext|>", "<|endoftext|>", *CHARACTERS, *(f"{c}</w>" for c in CHARACTERS)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77).save_pretrained(folder / "tokenizer")
    PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")  # fmt: skip


def tiny_config(folder: Path) -> LatentDiffusionConfig:
    return LatentDiffusionConfig(weights=Weights(name=folder.name, folder=folder), size_px=SIZE_PX)


def discs(count: int, seed: int) -> NDArray[np.uint8]:
    """Pictures [n, SIZE_PX, SIZE_PX, 3] of a coloured disc on white."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    images = np.full((count, SIZE_PX, SIZE_PX, 3), 255, np.uint8)
    for image in images:
        x, y = rng.uniform(10, 22, 2)
        image[np.hypot(columns - x, rows - y) < rng.uniform(5, 10)] = rng.integers(0, 255, 3)
    return images


def noise_loss(model: LatentDiffusion, images: NDArray[np.uint8], seed: int) -> float:
    """How badly the UNet predicts noise on pictures; the same noise and times for the same seed."""
    noisy, noise, times = _noisy(model, images, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return float(F.mse_loss(model.predict(noisy, times, model.text("")), noise))


def save_fitted_tiny_diffusion(folder: Path) -> None:
    """`save_tiny_diffusion`, with the last layer fitted."""
    save_tiny_diffusion(folder)
    model = tiny_config(folder).load()
    generator, layer = torch.Generator().manual_seed(0), model.unet.conv_out
    inputs: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: inputs.append(F.unfold(given[0], 3, padding=1)))
    for seed in range(4):
        noisy, noise, times = _noisy(model, discs(64, seed), generator)
        with torch.no_grad():
            model.predict(noisy, times, model.text(""))
        targets.append(noise.flatten(2))
    hook.remove()
    seen, wanted = (torch.cat(values).transpose(1, 2).flatten(0, 1).double() for values in (inputs, targets))
    seen = torch.cat([seen, torch.ones(len(seen), 1)], 1)
    solution = torch.linalg.lstsq(seen, wanted).solution.float()
    layer.weight.data = solution[:-1].T.reshape(layer.weight.shape).contiguous()
    layer.bias.data = solution[-1].clone()
    model.unet.save_pretrained(folder / "unet")


def _noisy(
    model: LatentDiffusion, images: NDArray[np.uint8], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    latents, _ = model.encode(images)
    noise = torch.randn(latents.shape, generator=generator)
    times = torch.randint(1000, (len(latents),), generator=generator)
    return model.scheduler().add_noise(latents, noise, times), noise, times

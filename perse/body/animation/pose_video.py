"""A video diffusion model with pose guidance, of the class of MimicMotion (Zhang et al. 2024, arXiv 2406.19680).

::

    picture of the person ─┬─ CLIP ─► tokens ──────────────────────┐
                           └─ VAE ──► beside every frame's noise ──┤
    skeleton pictures ─► pose encoder ─► added after conv_in ──────┴► SVD's UNet over windows ─► VAE ─► frames

The network is Stable Video Diffusion's, from a folder as diffusers saves it; the pose encoder lies beside it in
`pose_encoder/`. Long motions are denoised in overlapping windows whose predictions are blended at every step. This is
our own implementation, from the paper; nobody has trained weights for our skeleton pictures, and none are shipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin, StableVideoDiffusionPipeline
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor, nn

from perse.errors import GenerationError
from perse.shapes import Frames
from perse.synthesis.production.generation import PipelineSettings, load_model, load_pipeline
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.portrait_champ.windows import blended

Pictures = NDArray[np.uint8]

FOLDER = "pose_encoder"
HALVINGS = 3
"""Of SVD's VAE: a latent is an eighth of a picture."""


class PoseEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Skeleton pictures [f, 3, h, w] in [-1, 1] to features [f, c, h/8, w/8] of the UNet's first layer.

    Its last layer begins at zero: before training the guidance changes nothing.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: int = 320, width: int = 16, halvings: int = HALVINGS) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.SiLU()]
        for level in range(halvings):
            layers += [nn.Conv2d(width << level, width << (level + 1), 3, stride=2, padding=1), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(width << halvings, channels, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, pictures: Float[Tensor, "f 3 h w"]) -> Float[Tensor, "f c h2 w2"]:
        """Features [f, c, h/8, w/8] of skeleton pictures [f, 3, h, w]."""
        features: Tensor = self.last(self.body(pictures))
        return features


@dataclass(frozen=True, kw_only=True)
class PoseVideoConfig:
    """Numbers of the denoising of frames."""

    weights: Weights
    """Folder of Stable Video Diffusion with a pose encoder."""
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    """Precision and memory."""
    steps: int = 25
    """Of Euler's method."""
    window: int = 16
    """Frames that the network sees at once (MimicMotion's)."""
    overlap: int = 6
    """Frames that neighbouring windows share (MimicMotion's)."""
    guidance: float = 2.0
    """Classifier-free guidance."""
    fps: int = 7
    """What SVD is told about speed."""
    motion_bucket: int = 127
    """What SVD is told about how much moves."""
    seed: int = 0
    """Of the noise."""


class PoseVideo:
    """Model of pose-guided video in memory."""

    def __init__(self, config: PoseVideoConfig) -> None:
        """
        Raises:
            MissingWeightsError: the folder does not hold them.
        """
        folder = config.weights.locate()
        self.config = config
        self._pipe: Any = load_pipeline(StableVideoDiffusionPipeline, folder, config.pipeline)
        self._poses: Any = load_model(PoseEncoder, folder / FOLDER, config.pipeline)

    @torch.no_grad()
    def frames(self, person: UInt8[NDArray[np.uint8], "_ _ 3"], skeletons: Frames, seed: int) -> Frames:
        """Frames [f, h, w, 3] of a motion.

        Args:
            person: [h, w, 3], what the person looks like.
            skeletons: [f, h, w, 3], see `skeleton_pictures`.
            seed: beside the configuration's.

        Raises:
            GenerationError: a frame is not finite.
        """
        pipe, config = self._pipe, self.config
        device, dtype = pipe._execution_device, pipe.unet.dtype
        poses = self._poses.to(device)(_signed(skeletons).to(device, dtype))  # [f, c, h', w']
        tokens = pipe._encode_image(Pillow.fromarray(person), device, 1, True)
        beside = pipe._encode_vae_image(_signed(person[None]), device, 1, True).to(dtype)  # [2, 4, h', w']
        told = pipe._get_add_time_ids(config.fps, config.motion_bucket, 0.0, dtype, 1, 1, True).to(device)
        pipe.scheduler.set_timesteps(config.steps, device=device)
        generator = torch.Generator().manual_seed(config.seed + seed)
        shape = (1, len(skeletons), beside.shape[1], *beside.shape[2:])
        latents = torch.randn(shape, generator=generator).to(device, dtype) * pipe.scheduler.init_noise_sigma

        for time in pipe.scheduler.timesteps:
            scaled = pipe.scheduler.scale_model_input(latents, time)
            predict = partial(self._predicted, scaled, poses, beside, tokens, told, time)
            predicted = blended(predict, len(skeletons), config.window, config.overlap, 1)
            latents = pipe.scheduler.step(predicted, time, latents).prev_sample
        decoded = pipe.decode_latents(latents, len(skeletons), config.window)[0].permute(1, 2, 3, 0)
        if not bool(torch.isfinite(decoded).all()):
            raise GenerationError("the video model made frames that are not finite; try float32, or another seed")
        return np.round(255 * (decoded.clamp(-1, 1).cpu().numpy() + 1) / 2).astype(np.uint8)

    def _predicted(
        self, scaled: Tensor, poses: Tensor, beside: Tensor, tokens: Tensor, told: Tensor, time: Tensor, start: int,
        end: int,
    ) -> Tensor:  # fmt: skip
        """The guided prediction [1, f, 4, h', w'] for a window; the unguided half sees neither picture nor pose."""
        scaled, poses = scaled[:, start:end], poses[start:end]
        halves = []
        for half, own in ((0, torch.zeros_like(poses)), (1, poses)):
            joined = torch.cat([scaled, beside[half : half + 1, None].expand(-1, scaled.shape[1], -1, -1, -1)], 2)
            with _added(self._pipe.unet.conv_in, own):
                halves.append(
                    self._pipe.unet(
                        joined, time, encoder_hidden_states=tokens[half : half + 1],
                        added_time_ids=told[half : half + 1], return_dict=False,
                    )[0]
                )  # fmt: skip
        guided: Tensor = halves[0] + self.config.guidance * (halves[1] - halves[0])
        return guided


@contextmanager
def _added(layer: nn.Module, features: Tensor) -> Iterator[None]:
    """Features [f, c, h, w] are added to what a layer puts out."""
    hook = layer.register_forward_hook(lambda _layer, _inputs, output: output + features)
    try:
        yield
    finally:
        hook.remove()


def _signed(pictures: Pictures) -> Tensor:
    """[f, h, w, 3] uint8 to [f, 3, h, w] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1

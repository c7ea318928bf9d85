"""Networks of portrait-Champ together: who is trained when, and one pass from latents to v."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.synthesis.production.portrait_champ.denoiser import Denoiser, OwnEnds, SharedTrunk
from perse.synthesis.production.portrait_champ.guidance_encoder import GuidanceEncoders, GuidanceEncoderSizes
from perse.synthesis.production.portrait_champ.reference_attention import ReferenceFeatures, ReferenceWriter
from perse.synthesis.production.portrait_champ.sizes import MotionSizes, UNetSizes

JOINED = {"shared trunk": SharedTrunk, "own ends": OwnEnds}


@dataclass(frozen=True, kw_only=True)
class ChampSizes:
    """Sizes of the architecture; what is stored beside trained weights."""

    unet: UNetSizes = field(default_factory=UNetSizes)
    """Reference UNet and denoiser."""
    motion: MotionSizes = field(default_factory=MotionSizes)
    """Motion modules of the denoiser."""
    guidance: GuidanceEncoderSizes = field(default_factory=GuidanceEncoderSizes)
    """The three guidance encoders."""
    normals: Literal["shared trunk", "own ends"] = "shared trunk"
    """How the normal domain joins the picture's: as the paper has it, or as MagicMan (`denoiser`)."""

    def build(self, *, moves: bool) -> ChampNetworks:
        """Networks with random weights from torch's global generator.

        Args:
            moves: with motion modules, for windows of several frames; without, for single frames.
        """
        unet: Any = self.unet.build()
        reference = self.unet.build()
        if moves:
            from diffusers import UNetMotionModel

            flat, motion = unet, self.motion.build(self.unet)
            unet = UNetMotionModel.from_unet2d(flat, motion, load_weights=False)
            unet.load_state_dict(flat.state_dict(), strict=False)
            unet.load_motion_modules(motion)
        return ChampNetworks(reference, JOINED[self.normals](unet), self.guidance, self.unet.channels[0])


class ChampNetworks(nn.Module):
    """Reference UNet, denoiser, guidance encoders."""

    def __init__(self, reference: Any, denoiser: Denoiser, guidance: GuidanceEncoderSizes, channels: int) -> None:
        super().__init__()
        self.reference, self.denoiser = reference, denoiser
        self.guidance = GuidanceEncoders(guidance, channels)
        self._writer = ReferenceWriter(reference)

    def look(self, latents: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b t width"]) -> ReferenceFeatures:
        """Reference features of portraits: latents [b, c, h, w] without noise, tokens [b, t, width]."""
        still = torch.zeros(len(latents), device=latents.device)
        self.reference(latents, still, encoder_hidden_states=tokens)
        return self._writer.taken()

    def guide(self, maps: Float[Tensor, "b f kinds 3 h w"]) -> Float[Tensor, "b f channels h2 w2"]:
        """Guidance [b, f, channels, h', w'] of maps [b, f, kinds, 3, h, w] in [0, 1]."""
        return self.guidance(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])

    def frame_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters that the first stage trains: everything but motion modules and the last block of the reference
        UNet, whose output nobody looks at."""
        last = f"reference.up_blocks.{len(self.reference.up_blocks) - 1}."
        unused = (last, "reference.conv_norm_out.", "reference.conv_out.")
        for name, parameter in self.named_parameters():
            if "motion_modules" not in name and not name.startswith(unused):
                yield name, parameter

    def motion_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters that the second stage trains: the motion modules alone."""
        for name, parameter in self.named_parameters():
            if "motion_modules" in name:
                yield name, parameter

    def save_memory(self) -> None:
        """Compute activations a second time in the backward pass instead of keeping them."""
        self.reference.enable_gradient_checkpointing()
        self.denoiser.save_memory()

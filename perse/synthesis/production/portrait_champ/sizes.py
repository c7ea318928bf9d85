"""Sizes of the networks: Stable Diffusion 1.5 with AnimateDiff's motion modules, or anything smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers import MotionAdapter, UNet2DConditionModel


@dataclass(frozen=True, kw_only=True)
class UNetSizes:
    """Sizes of both UNets; the defaults are Stable Diffusion 1.5's, so that its weights fit."""

    latent_channels: int = 4
    """Channels of a latent picture."""
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    """Of the levels, from fine to coarse."""
    attended: tuple[bool, ...] = (True, True, True, False)
    """Which levels have attention."""
    layers: int = 2
    """Residual blocks a level on the way down; one more on the way up."""
    heads: int = 8
    """Attention heads."""
    norm_groups: int = 32
    """Groups of the group normalisations."""
    token_width: int = 768
    """Width of the image tokens that cross-attention looks at."""

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.attended) or not self.attended[0]:
            raise ValueError("every level needs its channels and its attention, and the finest must have attention")

    def build(self) -> UNet2DConditionModel:
        """A UNet with random weights."""
        from diffusers import UNet2DConditionModel

        down = tuple("CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in self.attended)
        up = tuple("CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(self.attended))
        return UNet2DConditionModel(
            in_channels=self.latent_channels,
            out_channels=self.latent_channels,
            block_out_channels=self.channels,
            down_block_types=down,
            up_block_types=up,
            layers_per_block=self.layers,
            attention_head_dim=self.heads,  # diffusers' name for the number of heads, kept for old checkpoints
            norm_num_groups=self.norm_groups,
            cross_attention_dim=self.token_width,
        )


@dataclass(frozen=True, kw_only=True)
class MotionSizes:
    """Sizes of the motion modules: two temporal self-attentions in every level and in the middle, as in AnimateDiff."""

    heads: int = 8
    """Attention heads."""
    longest: int = 32
    """Frames that have a temporal position; no window may be longer."""

    def build(self, unet: UNetSizes) -> MotionAdapter:
        """Motion modules that do nothing yet: their last layers are zero."""
        from diffusers import MotionAdapter

        adapter: Any = MotionAdapter(
            block_out_channels=unet.channels,
            motion_layers_per_block=unet.layers,
            motion_num_attention_heads=self.heads,
            motion_norm_num_groups=unet.norm_groups,
            motion_max_seq_length=self.longest,
            use_motion_mid_block=True,
        )
        for name, parameter in adapter.named_parameters():
            if ".proj_out." in name:
                parameter.data.zero_()
        return adapter

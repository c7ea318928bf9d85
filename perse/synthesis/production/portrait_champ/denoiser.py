"""The denoising UNet over two domains: the picture, and its normals.

::

    noisy picture ─conv_in─┐            ┌─ conv_out ─► v of the picture
            guidance ──────+── trunk ───┤                               trunk: Stable Diffusion 1.5's UNet, with motion
    noisy normals ─conv_in'┘            └─ conv_out ─► v of the normals        modules in the second stage of training

Two ways to join the domains: the paper's, and that of the work that it follows.

* `SharedTrunk` (P A.3.2): the normal domain shares all weights but the first layer; both domains go through the
  trunk side by side, as one batch.
* `OwnEnds` (MagicMan): the normal domain has copies of the first layer, the first and the last block and the last
  layers; after the first block the domains are averaged, and the trunk between runs once. Half the cost.

A latent is [b, domain, f, c, h, w] with domain 0 = picture, 1 = normals. Pictures of one portrait follow each other in
a batch: domain, then portrait, then frame.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from perse.synthesis.production.portrait_champ.reference_attention import ReferenceFeatures, ReferenceReader

DOMAINS = 2
"""Picture and normals."""


class Denoiser(nn.Module):
    """Network that predicts v. Abstract: see `SharedTrunk` and `OwnEnds`.

    Args:
        unet: `UNet2DConditionModel` for single frames, `UNetMotionModel` for windows of a video.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet
        self.normal_in = copy.deepcopy(unet.conv_in)
        self._moves = any("motion_modules" in name for name, _ in unet.named_modules())

    def forward(
        self,
        latents: Float[Tensor, "b 2 f c h w"],
        timesteps: Int[Tensor, " b"],
        tokens: Float[Tensor, "b t width"],
        guidance: Float[Tensor, "b f channels h w"],
        reference: ReferenceFeatures | None,
    ) -> Float[Tensor, "b 2 f c h w"]:
        """Prediction of v.

        Args:
            latents: [b, 2, f, c, h, w] noisy.
            timesteps: [b].
            tokens: [b, t, width] of the portraits.
            guidance: [b, f, channels, h, w], added after the first layer of both domains.
            reference: features of the portraits, or None for the unconditional pass.

        Returns:
            v, shaped as the latents.
        """
        raise NotImplementedError

    def copy_ends(self) -> None:
        """Let the normal domain start from the picture's weights."""
        self.normal_in.load_state_dict(self.unet.conv_in.state_dict())

    def save_memory(self) -> None:
        """Compute activations a second time in the backward pass instead of keeping them."""
        self.unet.enable_gradient_checkpointing()

    def _start(
        self, latents: Float[Tensor, "b 2 f c h w"], guidance: Float[Tensor, "b f channels h w"]
    ) -> tuple[Float[Tensor, "bf channels h w"], Float[Tensor, "bf channels h w"]]:
        """Both domains after the first layer, [b f, channels, h, w] each."""
        told = guidance.flatten(0, 1)
        picture, normals = (latents[:, domain].flatten(0, 1) for domain in range(DOMAINS))
        return self.unet.conv_in(picture) + told, self.normal_in(normals) + told

    def _time(self, timesteps: Tensor, frames: int, dtype: torch.dtype) -> Tensor:
        """Embeddings [b f, width]."""
        return self.unet.time_embedding(self.unet.time_proj(timesteps).to(dtype)).repeat_interleave(frames, 0)

    def _down(
        self, block: Any, hidden: Tensor, time: Tensor, told: dict[str, Any]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        return block(hidden_states=hidden, temb=time, **self._arguments(block, told))

    def _up(self, block: Any, hidden: Tensor, skips: list[Tensor], time: Tensor, told: dict[str, Any]) -> Tensor:
        count = len(block.resnets)
        own = tuple(skips[-count:])
        del skips[-count:]
        return block(hidden_states=hidden, temb=time, res_hidden_states_tuple=own, **self._arguments(block, told))

    def _middle(self, hidden: Tensor, time: Tensor, told: dict[str, Any]) -> Tensor:
        return self.unet.mid_block(hidden, time, **self._arguments(self.unet.mid_block, told))

    def _finish(self, hidden: Tensor) -> Tensor:
        return self.unet.conv_out(self.unet.conv_act(self.unet.conv_norm_out(hidden)))

    def _arguments(self, block: Any, told: dict[str, Any]) -> dict[str, Any]:
        """What a block of its kind wants to know: tokens where it attends, frames where it moves."""
        wanted = {"num_frames": told["frames"]} if self._moves else {}
        if getattr(block, "has_cross_attention", False):
            wanted["encoder_hidden_states"] = told["tokens"]
        return wanted


class SharedTrunk(Denoiser):
    """Denoiser of the paper: everything but the first layer is shared, the domains side by side."""

    def __init__(self, unet: Any) -> None:
        super().__init__(unet)
        self._reader = ReferenceReader(unet)

    def forward(
        self,
        latents: Float[Tensor, "b 2 f c h w"],
        timesteps: Int[Tensor, " b"],
        tokens: Float[Tensor, "b t width"],
        guidance: Float[Tensor, "b f channels h w"],
        reference: ReferenceFeatures | None,
    ) -> Float[Tensor, "b 2 f c h w"]:
        """See `Denoiser.forward`."""
        frames = latents.shape[2]
        self._reader.show(reference, frames)
        hidden = torch.cat(self._start(latents, guidance))
        time = self._time(timesteps, frames, hidden.dtype).repeat(DOMAINS, 1)
        told = {"tokens": tokens.repeat_interleave(frames, 0).repeat(DOMAINS, 1, 1), "frames": frames}
        skips = [hidden]
        for block in self.unet.down_blocks:
            hidden, more = self._down(block, hidden, time, told)
            skips += more
        hidden = self._middle(hidden, time, told)
        for block in self.unet.up_blocks:
            hidden = self._up(block, hidden, skips, time, told)
        return _side_by_side(self._finish(hidden).chunk(DOMAINS), frames)


class OwnEnds(Denoiser):
    """Denoiser of MagicMan: each domain has the ends for itself, the trunk between is shared and sees their mean."""

    def __init__(self, unet: Any) -> None:
        super().__init__(unet)
        self.normal_first = copy.deepcopy(unet.down_blocks[0])
        self.normal_last = copy.deepcopy(unet.up_blocks[-1])
        self.normal_norm_out = copy.deepcopy(unet.conv_norm_out)
        self.normal_out = copy.deepcopy(unet.conv_out)
        self._reader = ReferenceReader(unet)
        # The copies look at the features of the blocks that they are copies of.
        ends = {"down_blocks.0": self.normal_first, f"up_blocks.{len(unet.up_blocks) - 1}": self.normal_last}
        self._end_readers = [(name, ReferenceReader(module)) for name, module in ends.items()]

    def forward(
        self,
        latents: Float[Tensor, "b 2 f c h w"],
        timesteps: Int[Tensor, " b"],
        tokens: Float[Tensor, "b t width"],
        guidance: Float[Tensor, "b f channels h w"],
        reference: ReferenceFeatures | None,
    ) -> Float[Tensor, "b 2 f c h w"]:
        """See `Denoiser.forward`."""
        frames = latents.shape[2]
        self._show(reference, frames)
        picture, normals = self._start(latents, guidance)
        time = self._time(timesteps, frames, picture.dtype)
        told = {"tokens": tokens.repeat_interleave(frames, 0), "frames": frames}
        first, *rest = self.unet.down_blocks
        entered, normals_entered = picture, normals
        picture, more = self._down(first, picture, time, told)
        normals, normal_more = self._down(self.normal_first, normals, time, told)
        hidden = (picture + normals) / 2
        # What leaves the first block is the trunk's, the rest waits for each domain's own last block.
        skips, normal_skips = [entered, *more[:-1], hidden], [normals_entered, *normal_more[:-1]]
        for block in rest:
            hidden, more = self._down(block, hidden, time, told)
            skips += more
        hidden = self._middle(hidden, time, told)
        *before, last = self.unet.up_blocks
        for block in before:
            hidden = self._up(block, hidden, skips, time, told)
        picture = self._finish(self._up(last, hidden, skips, time, told))
        normals = self._up(self.normal_last, hidden, normal_skips, time, told)
        normals = self.normal_out(self.unet.conv_act(self.normal_norm_out(normals)))
        return _side_by_side((picture, normals), frames)

    def copy_ends(self) -> None:
        """See `Denoiser.copy_ends`."""
        super().copy_ends()
        for own, original in (
            (self.normal_first, self.unet.down_blocks[0]),
            (self.normal_last, self.unet.up_blocks[-1]),
            (self.normal_norm_out, self.unet.conv_norm_out),
            (self.normal_out, self.unet.conv_out),
        ):
            own.load_state_dict(original.state_dict())

    def save_memory(self) -> None:
        """See `Denoiser.save_memory`."""
        super().save_memory()
        pairs = ((self.unet.down_blocks[0], self.normal_first), (self.unet.up_blocks[-1], self.normal_last))
        for original, copied in pairs:
            for one, other in zip(original.modules(), copied.modules(), strict=True):
                if hasattr(one, "_gradient_checkpointing_func"):
                    other.gradient_checkpointing = one.gradient_checkpointing
                    other._gradient_checkpointing_func = one._gradient_checkpointing_func

    def _show(self, reference: ReferenceFeatures | None, frames: int) -> None:
        self._reader.show(reference, frames)
        for place, reader in self._end_readers:
            own = None
            if reference is not None:
                own = {name.removeprefix(f"{place}."): value for name, value in reference.items()}
            reader.show(own, frames)


def _side_by_side(domains: Sequence[Float[Tensor, "bf c h w"]], frames: int) -> Float[Tensor, "b 2 f c h w"]:
    """A new tensor: FSDP does not like to hand out views."""
    return torch.stack([domain.unflatten(0, (-1, frames)) for domain in domains], 1)

"""Attribute transfer with low-rank updates of MLP_z, MLP_d and MLP_c (P A.4, Eq. 16 and 40–44).

::

    W' = W + B A,  A [r, in] random, B [out, r] zero at first, r = 4
    loss = image loss inside the part + L_3d,  L_3d = |Gaussians(z) with − without the update|  for random z

torch's own parametrisation and not the package peft: `Networks` reads rows of a layer's weight, and what peft wraps
around a layer is passed by there. The numbers are the paper's. Its codes are drawn around zero; here half of L_3d looks
at codes of the subjects that are to stay, through MLP_z as well, whose update nothing else would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from perse.attributes import CATEGORY_PARTS
from perse.avatar import Avatar, CanonicalGaussians
from perse.avatar.networks import Networks
from perse.training.finetune import grown

if TYPE_CHECKING:
    from perse.training.transfer import NewAttribute

MaskedLoss = Callable[[CanonicalGaussians, Sequence[int], Float[Tensor, "b h w"], float], Float[Tensor, ""]]
"""(canonical Gaussians, frames, mask [f, h, w] of all frames, weight elsewhere) to a loss."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Numbers of the low-rank updates."""

    rank: int = 4
    """Of every layer's update (P A.4)."""
    rate: float = 1e-4
    """Adam's (P A.4)."""
    epochs: int = 5
    """Times that every frame of the clip is seen (P A.4)."""
    code_std: float = 0.05
    """Standard deviation of the random codes of L_3d (C, docs/reference.md#method-numbers)."""
    preservation: float = 1.0
    """Weight of L_3d."""
    elsewhere: float = 0.25
    """Weight of pixels outside the part, as in fine-tuning."""


class LowRank(nn.Module):
    """Low-rank update of a weight: W + B A. With `on` False it is W."""

    def __init__(self, weight: Float[Tensor, "rows columns"], rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.a = nn.Parameter(torch.randn(rank, columns).to(weight) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank).to(weight))
        self.on = True

    def forward(self, weight: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        return weight + self.b @ self.a if self.on else weight


class LoraTransfer:
    """Low-rank updates of one avatar, from their beginning to their merging.

    Attributes:
        updates: one a layer of MLP_z, MLP_d and MLP_c.
    """

    def __init__(self, avatar: Avatar, config: LoraConfig, *, seed: int) -> None:
        assert isinstance(avatar.decoder, Networks), "the caller has looked"
        self._avatar, self._decoder, self._config = avatar, avatar.decoder, config
        self._draws = torch.Generator().manual_seed(seed)
        self.updates: list[LowRank] = []
        self._layers: list[nn.Linear] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for network in (avatar.latents.encoder, self._decoder.deform, self._decoder.color):
                for layer in (one for one in network.modules() if isinstance(one, nn.Linear)):
                    self.updates.append(LowRank(layer.weight.detach(), config.rank))
                    self._layers.append(layer)
        for layer, update in zip(self._layers, self.updates, strict=True):
            parametrize.register_parametrization(layer, "weight", update)

    def learn(
        self,
        batches: Iterable[Sequence[int]],
        masked_loss: MaskedLoss,
        new: NewAttribute,
        tick: Callable[[float], None] | None = None,
    ) -> list[float]:
        """Train the updates and merge them; the avatar is then one without parametrisation. Losses of every step.

        Args:
            batches: frames of every step.
        """
        row, steps, losses = len(self._avatar.subjects) - 1, list(batches), []
        mask = _part_mask(new).to(self._avatar.device)
        learned = [parameter for update in self.updates for parameter in update.parameters()]
        before = {p: p.requires_grad for p in self._avatar.parameters()}
        for parameter in before:
            parameter.requires_grad_(any(parameter is one for one in learned))
        adam = torch.optim.Adam(learned, lr=self._config.rate)
        for step, frames in enumerate(steps):
            adam.zero_grad(set_to_none=True)
            code = self._avatar.subject_codes(torch.tensor([row], device=self._avatar.device))
            loss = masked_loss(self._avatar.canonicalise(code), frames, mask, self._config.elsewhere)
            loss = loss + self._config.preservation * self.preservation(row)
            loss.backward()
            adam.step()
            losses.append(float(loss.detach()))
            if tick is not None:
                tick((step + 1) / len(steps))
        for parameter, learns in before.items():
            parameter.requires_grad_(learns)
        self.merge()
        return losses

    def preservation(self, row: int) -> Float[Tensor, ""]:
        """Loss L_3d: mean absolute difference of the Gaussians with and without the updates, for a random code and for
        one of the first `row` subjects."""
        avatar = self._avatar
        noise = self._config.code_std * torch.randn(avatar.latents.reference.shape, generator=self._draws)
        kept = torch.randint(row, (1,), generator=self._draws).to(avatar.device)

        def shown() -> Tensor:
            codes = torch.cat([noise[None].to(avatar.device), avatar.subject_codes(kept)])
            return avatar.canonicalise(codes).attributes

        with torch.no_grad():
            self._switch(False)
            wanted = shown()
            self._switch(True)
        return (shown() - wanted).abs().mean()

    def merge(self) -> None:
        """Put the updates into the weights."""
        for layer in self._layers:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)

    def _switch(self, on: bool) -> None:
        for update in self.updates:
            update.on = on


def _part_mask(new: NewAttribute) -> Tensor:
    """Pixels [f, h, w] that show the category's parts in the new clip or in the reference's."""
    labels = torch.tensor([int(part) for part in CATEGORY_PARTS[new.category]])
    shown = [torch.isin(torch.from_numpy(clip.parts[:]).long(), labels) for clip in (new.clip, new.reference)]
    return grown(shown[0] | shown[1])

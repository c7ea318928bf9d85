"""Training of the part network on prepared examples: a few minutes on one core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from perse.tracking.kinds import PixelKind
from perse.tracking.learned.part_network import PartInputs, PartNetwork
from perse.training.parsing.examples import PartExample

ACROSS = 36
"""The channel of `PartInputs.fine` that changes its sign when a picture is mirrored: the coordinate across the face."""


@dataclass(frozen=True, kw_only=True)
class PartTrainingConfig:
    """Numbers of the network's training."""

    steps: int = 400
    """Optimiser steps."""
    batch: int = 6
    """Examples a step."""
    rate: float = 3e-3
    """Largest learning rate (AdamW, warm-up over a tenth, then a cosine)."""
    decay: float = 0.02
    """Weight decay."""
    kind_weights: tuple[float, ...] = (1.0, 1.0, 1.2, 2.0, 1.0, 1.5)
    """Weight of a pixel by its kind: small parts count a little more."""
    noise: float = 0.05
    """Standard deviation of noise on the features: what is learned must not hang on one channel's last digit."""
    seed: int = 0
    """Of the weights and of the order of the examples."""


def train_parts(
    examples: Sequence[PartExample],
    config: PartTrainingConfig,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> PartNetwork:
    """Trained network. Deterministic in examples and configuration on one kind of machine.

    Args:
        report: told the step and its loss now and then.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    network = PartNetwork().train().to(memory_format=torch.channels_last)  # a third quicker on a CPU
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=config.steps, pct_start=0.1)
    weights = torch.tensor(config.kind_weights)
    for step in range(config.steps):
        chosen = [examples[n] for n in rng.integers(len(examples), size=config.batch)]
        inputs, wanted = _stacked(chosen, rng.random(config.batch) < 0.5, config.noise)
        loss = parts_loss(network(inputs), wanted, weights)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 25 == 0 or step == config.steps - 1:
            report(step, float(loss.detach()))
    return network.eval()


def parts_loss(
    logits: Float[Tensor, "b k h w"], wanted: Int[Tensor, "b h w"], weights: Float[Tensor, " k"]
) -> Float[Tensor, ""]:
    """Weighted cross-entropy and, for the kinds that a batch shows, one minus the soft Dice overlap.

    Args:
        logits: [b, k, h, w]; wanted: [b, h, w] int64, −1 is not counted; weights: [k].
    """
    entropy = F.cross_entropy(logits, wanted, weights, ignore_index=-1)
    known = (wanted >= 0)[:, None]
    shares = logits.softmax(1) * known
    truth = F.one_hot(wanted.clamp(min=0), len(PixelKind)).permute(0, 3, 1, 2) * known
    overlap = 2 * (shares * truth).sum((0, 2, 3)) + 1
    area = (shares + truth).sum((0, 2, 3)) + 1
    return entropy + 0.5 * (1 - overlap / area)[truth.sum((0, 2, 3)) > 0].mean()


def _stacked(examples: Sequence[PartExample], mirrored: NDArray[np.bool_], noise: float) -> tuple[PartInputs, Tensor]:
    """A batch; some of it mirrored, with noise on the features."""

    def maps(name: str) -> Tensor:
        rows = []
        for example, turned in zip(examples, mirrored, strict=True):
            values = getattr(example.inputs, name).float()
            values = values + noise * torch.randn_like(values)
            if turned:
                values = values.flip(-1)
                if name == "fine":
                    values[:, ACROSS] = -values[:, ACROSS]
            rows.append(values)
        return torch.cat(rows).contiguous(memory_format=torch.channels_last)

    wanted = torch.stack(
        [
            torch.from_numpy(example.kinds[:, ::-1].copy() if turned else example.kinds).long()
            for example, turned in zip(examples, mirrored, strict=True)
        ]
    )
    return PartInputs(maps("fine"), maps("middle"), maps("coarse"), maps("deep")), wanted

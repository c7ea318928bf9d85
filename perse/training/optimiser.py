"""Adam with a rate for each kind of parameter, and moments that can be written down and carried along.

A parameter that a step did not touch (the basis of a category that was not drawn) has no gradient at all; Adam then
leaves it and its moments alone. That is what makes rare categories learn at their own pace.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from perse.training.config import LearningRates, TrainingConfig, rate_factor

_RATE_OF_PREFIX: tuple[tuple[str, str], ...] = (
    ("latents.", "latents"),
    ("decoder.base", "points"),  # and not "decoder.bases", which is matched before
    ("decoder.positions", "positions"),
    ("decoder.features", "features"),
    ("decoder.directions", "directions"),
    ("decoder.skinning_residual", "skinning"),
    ("decoder.", "networks"),
)


def rate_of(name: str, rates: LearningRates) -> float:
    """Learning rate, in full, of a parameter by its name in the avatar."""
    if name.startswith(("decoder.bases.", "decoder.added.")):
        return rates.bases
    if name == "decoder.response":  # a tensor in part bases; a network of this name is a network
        return rates.response
    for prefix, kind in _RATE_OF_PREFIX:
        if name.startswith(prefix):
            return float(getattr(rates, kind))
    raise ValueError(f"no learning rate is known for the parameter {name}")


class Optimiser:
    """Adam over an avatar's named parameters, one group each."""

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], config: TrainingConfig) -> None:
        self._config = config
        named = [(name, p) for name, p in parameters if p.numel()]
        self._names = [name for name, _ in named]
        self._full = [rate_of(name, config.rates) for name in self._names]
        groups = [{"params": [p], "lr": rate} for (_, p), rate in zip(named, self._full, strict=True)]
        self._adam = torch.optim.Adam(groups, betas=config.betas, eps=config.epsilon, fused=True)

    def apply(self, step: int) -> None:
        """Do one update with the rates of this step; parameters without a gradient stay as they are."""
        factor = rate_factor(self._config, step)
        for group, full in zip(self._adam.param_groups, self._full, strict=True):
            group["lr"] = full * factor
        self._adam.step()

    def zero_gradients(self) -> None:
        self._adam.zero_grad(set_to_none=True)

    def moments(self) -> dict[str, Tensor]:
        """Adam's state as plain tensors, named "<parameter>/<exp_avg | exp_avg_sq | step>"."""
        out = {}
        for name, group in zip(self._names, self._adam.param_groups, strict=True):
            for field, value in self._adam.state.get(group["params"][0], {}).items():
                out[f"{name}/{field}"] = value.detach().cpu().contiguous()
        return out

    @torch.no_grad()
    def restore(self, moments: dict[str, Tensor]) -> None:
        """Take over moments of parameters with the same names and shapes."""
        for name, group in zip(self._names, self._adam.param_groups, strict=True):
            parameter = group["params"][0]
            if f"{name}/step" in moments:
                # In the parameter's own memory layout: the fused kernel walks both in memory order.
                self._adam.state[parameter] = {
                    "step": moments[f"{name}/step"].clone().to(parameter.device),
                    "exp_avg": torch.empty_like(parameter).copy_(moments[f"{name}/exp_avg"]),
                    "exp_avg_sq": torch.empty_like(parameter).copy_(moments[f"{name}/exp_avg_sq"]),
                }

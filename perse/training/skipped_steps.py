"""Steps whose loss or gradients are not finite: they change nothing, and several in a row end a training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.errors import TrainingDiverged
from perse.training.replicas import Replicas

MAX_SKIPPED_IN_A_ROW = 5
"""Steps without finite gradients after which it is not the steps."""


@torch.no_grad()
def all_finite(loss: Float[Tensor, ""], parameters: Iterable[nn.Parameter], replicas: Replicas) -> bool:
    """Whether loss and gradients are finite on every replica: one that is not would be averaged into all."""
    gradients = [p.grad for p in parameters if p.grad is not None and p.numel()]
    norms = torch._foreach_norm(gradients) if gradients else []
    sums = torch.stack([loss.detach().float(), *(norm.float() for norm in norms)])
    bad = (~torch.isfinite(sums)).any().float().reshape(1)
    return not _read(replicas.maximum(bad))


def _read(flag: Tensor) -> bool:
    """A number [1] of the device, waited for."""
    return bool(flag.item())


class SkippedSteps:
    """Count of skipped steps.

    Attributes:
        total: all so far.
    """

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self._in_a_row = 0

    @property
    def is_settled(self) -> bool:
        """Whether the last step was finite: a checkpoint in the middle of skipped ones would lose them for ever, since
        too many of them go back to it."""
        return not self._in_a_row

    def done(self) -> None:
        """Take note of a step that was finite."""
        self._in_a_row = 0

    def skip(self, what: str, remedy: str) -> None:
        """Take note of a step that was not.

        Args:
            what: names the step; remedy: what a person can do should there be too many.

        Raises:
            TrainingDiverged: that happened several times in a row.
        """
        self.total += 1
        self._in_a_row += 1
        if self._in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise TrainingDiverged(
                f"{self._in_a_row} steps in a row had losses or gradients that are not finite, the last was {what}; "
                f"{remedy}"
            )

"""Multilayer perceptrons over points that are conditioned on a latent code.

``W [x; z] + b = W_x x + (W_z z + b)``: the condition enters the first layer as one vector per *subject*, instead of
being copied to every one of the n points and multiplied there. With d = 288 and n = 130,000 that is the difference
between 19 GFLOP and none. `perse.avatar.naive` is the same function written the long way; tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.avatar.precision import Precision, network_arithmetic

CONDITION_GAIN = 4.0
"""W_z starts this many times larger than PyTorch's default, with which points hardly notice z
[M, docs/reference.md#the-laptop-avatar]."""


class ConditionedLinear(nn.Module):
    """A linear layer on [x; z] with the two halves kept apart."""

    def __init__(self, point_width: int, code_width: int, out_width: int) -> None:
        """`code_width` 0 gives an ordinary linear layer."""
        super().__init__()
        self.of_point = nn.Linear(point_width, out_width)
        self.of_code = nn.Linear(code_width, out_width, bias=False) if code_width else None
        if self.of_code is not None:
            with torch.no_grad():
                self.of_code.weight.mul_(CONDITION_GAIN)

    def forward(self, points: Float[Tensor, "*p n x"], codes: Float[Tensor, "s z"] | None) -> Float[Tensor, "*q n out"]:
        """Outputs [s, n, out] of points [(s,) n, x] and codes [s, z]; without codes in the shape of the points."""
        through = self.of_point(points)
        if self.of_code is None or codes is None:
            return through
        return through + self.of_code(codes)[:, None]


class ConditionedMLP(nn.Module):
    """Linear layers with one activation, the code entering first and, if asked, the points again at a skip."""

    def __init__(
        self,
        point_width: int,
        code_width: int,
        out_width: int,
        *,
        hidden: int,
        depth: int,
        activation: Callable[[Float[Tensor, "..."]], Float[Tensor, "..."]],
        skip_at: int | None = None,
        out_gain: float = 1.0,
        precision: Precision = "float32",
    ) -> None:
        """
        Args:
            depth: number of hidden layers.
            skip_at: hidden layer that receives points and code again (NeRF's skip connection).
            out_gain: factor on the last layer's first weights; its bias starts at 0. 0 makes the first output zero.
            precision: of the layers; results are float32 in any case.
        """
        super().__init__()
        self.activation = activation
        self.skip_at = skip_at
        self.precision: Precision = precision
        self.first = ConditionedLinear(point_width, code_width, hidden)
        self.again = ConditionedLinear(point_width, code_width, hidden) if skip_at is not None else None
        self.hidden = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth - 1))
        self.out = nn.Linear(hidden, out_width)
        with torch.no_grad():
            self.out.weight.mul_(out_gain)
            self.out.bias.zero_()

    def forward(
        self, points: Float[Tensor, "*shared n x"], codes: Float[Tensor, "s z"] | None = None
    ) -> Float[Tensor, "*s n out"]:
        """Outputs [s, n, out] of points [(s,) n, x] and codes [s, z], or [n, out] without codes."""
        with network_arithmetic(self.precision, points.device):
            entered = self.first(points, codes)
        return self.tail(entered, points, codes)

    def tail(
        self,
        entered: Float[Tensor, "*p n hidden"],
        points: Float[Tensor, "*q n x"] | None = None,
        codes: Float[Tensor, "s z"] | None = None,
    ) -> Float[Tensor, "*p n out"]:
        """Outputs from what left the first layer, for callers that compute the first layer's halves at different
        times."""
        with network_arithmetic(self.precision, entered.device):
            return self.out(self._features(entered, points, codes)).float()

    def features(
        self, points: Float[Tensor, "*p n x"], codes: Float[Tensor, "s z"] | None = None
    ) -> Float[Tensor, "*q n hidden"]:
        """Inputs of the last layer, [s, n, hidden], for callers that need only some of its rows."""
        with network_arithmetic(self.precision, points.device):
            return self._features(self.first(points, codes), points, codes).float()

    def _features(self, entered: Tensor, points: Tensor | None, codes: Tensor | None) -> Tensor:
        hidden = self.activation(entered)
        for index, layer in enumerate(self.hidden, start=1):
            through = layer(hidden)
            if index == self.skip_at and self.again is not None and points is not None:
                through = through + self.again(points, codes)
            hidden = self.activation(through)
        return hidden


def encoding_width(octaves: int) -> int:
    """Width of `positional_encoding` for 3D points."""
    return 3 + 6 * octaves


def positional_encoding(points: Float[Tensor, "*s n 3"], octaves: int) -> Float[Tensor, "*s n w"]:
    """Positional encoding [..., n, 3 + 6 · octaves] of points [..., n, 3]: x, sin(2^l π/2 x), cos(2^l π/2 x) for l <
    octaves.

    Points should lie in about [-1, 1]; the lowest octave then covers half a period a unit and is one-to-one.
    """
    frequencies = (2.0 ** torch.arange(octaves, dtype=points.dtype, device=points.device)) * (math.pi / 2)
    phases = (points[..., None] * frequencies).flatten(-2)
    return torch.cat([points, torch.sin(phases), torch.cos(phases)], -1)

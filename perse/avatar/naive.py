"""Reference implementation of the `networks` decoder: the condition at every point, E and P in full.

The specification of `perse.avatar.mlp` and `perse.avatar.networks`, for tests and benchmarks; nothing else calls it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.avatar.canonical import CanonicalGaussians
from perse.avatar.mlp import ConditionedLinear, ConditionedMLP
from perse.avatar.networks import HEAD_RADIUS_M, Networks


def naive_linear(
    layer: ConditionedLinear, points: Float[Tensor, "*p n x"], codes: Float[Tensor, "s z"] | None
) -> Float[Tensor, "*q n out"]:
    """``W [x; z] + b`` with points [(s,) n, x] and codes [s, z] concatenated at every point: [s, n, out]."""
    if layer.of_code is None or codes is None:
        return layer.of_point(points)
    spread_points = points.expand(codes.shape[0], *points.shape[-2:])
    spread_codes = codes[:, None].expand(-1, points.shape[-2], -1)
    weight = torch.cat([layer.of_point.weight, layer.of_code.weight], 1)
    return nn.functional.linear(torch.cat([spread_points, spread_codes], -1), weight, layer.of_point.bias)


def naive_mlp(
    mlp: ConditionedMLP, points: Float[Tensor, "*p n x"], codes: Float[Tensor, "s z"] | None = None
) -> Float[Tensor, "*q n out"]:
    """Outputs of `ConditionedMLP.forward`, computed on concatenated inputs in float32."""
    hidden = mlp.activation(naive_linear(mlp.first, points, codes))
    for index, layer in enumerate(mlp.hidden, start=1):
        through = layer(hidden)
        if index == mlp.skip_at and mlp.again is not None:
            through = through + naive_linear(mlp.again, points, codes)
        hidden = mlp.activation(through)
    return mlp.out(hidden)


def naive_canonicalise(decoder: Networks, codes: Float[Tensor, "s k d"]) -> CanonicalGaussians:
    """Canonical Gaussians of `Networks.canonicalise` for codes [s, k, d], with E and P [s, n, 3, m] written out."""
    z = codes.flatten(1)
    out = naive_mlp(decoder.deform, decoder.positions / HEAD_RADIUS_M, z)  # [s, n, ·]
    offsets, learned, skinning = out.split(decoder.deform_rows(), -1)
    basis = decoder.blend_basis + HEAD_RADIUS_M * learned.unflatten(-1, decoder.blend_basis.shape[1:])
    x_sc, x_fc = decoder.displaced(offsets)
    seen = naive_mlp(decoder.color, decoder.encoded(x_sc), z)
    return decoder.assembled(z, x_fc, seen, basis, skinning, None)

"""Smooth ReLU of the networks, as one fused function: on a CPU torch's own takes as long as the matrix products around
it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from perse.avatar.activation_kernels import SHARPNESS, softplus, softplus_gradient
from perse.render.threads import limited_threads, thread_count


def softplus_100(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """ln(1 + e^{βx}) / β, β = 100.

    On the CPU in float32 the result takes the place of x, which must not be used again: the layers of an MLP, whose
    products fill it afresh and do not need it for their gradients, never do.
    """
    if (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.is_contiguous()
        and not (x.is_leaf and x.requires_grad)
    ):
        return _Softplus.apply(x)  # type: ignore[no-any-return]
    with torch.autocast(x.device.type, enabled=False):  # which would make it float32
        return torch.nn.functional.softplus(x, beta=SHARPNESS)


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        with limited_threads(thread_count(None)):
            softplus(x.detach().view(-1).numpy())
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        gradient = torch.empty_like(result)
        with limited_threads(thread_count(None)):
            softplus_gradient(
                *(t.detach().contiguous().view(-1).numpy() for t in (result, cotangent)), gradient.view(-1).numpy()
            )
        return gradient

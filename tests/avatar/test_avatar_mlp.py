"""Conditioned networks: splitting the condition out changes nothing."""

from __future__ import annotations

import torch
from tolerances import CHAIN, SINGLE, SINGLE_SUM

from perse.avatar.activations import SHARPNESS, softplus_100
from perse.avatar.mlp import ConditionedMLP, encoding_width, positional_encoding
from perse.avatar.naive import naive_mlp


def test_the_split_condition_equals_the_concatenated_one_in_value_and_gradient() -> None:
    net = ConditionedMLP(6, 10, 4, hidden=16, depth=4, activation=softplus_100, skip_at=2)
    points, codes = torch.randn(9, 6, requires_grad=True), torch.randn(3, 10, requires_grad=True)
    cotangent = torch.randn(3, 9, 4)
    leaves = [points, codes, *net.parameters()]
    fast, naive = net(points, codes), naive_mlp(net, points, codes)
    torch.testing.assert_close(fast, naive)
    for ours, theirs in zip(
        torch.autograd.grad((fast * cotangent).sum(), leaves),
        torch.autograd.grad((naive * cotangent).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, **CHAIN)


def test_points_and_codes_both_matter() -> None:
    net = ConditionedMLP(6, 10, 4, hidden=16, depth=2, activation=torch.relu)
    points, codes = torch.randn(9, 6), torch.randn(2, 10)
    out = net(points, codes)
    assert (out[0] - out[1]).abs().max() > 1e-3
    assert (out[:, 0] - out[:, 1]).abs().max() > 1e-3


def test_the_encoding_has_its_width_and_tells_points_apart() -> None:
    points = torch.linspace(-1, 1, 200)[:, None].expand(-1, 3)
    encoded = positional_encoding(points, 4)
    assert encoded.shape == (200, encoding_width(4))
    assert (torch.cdist(encoded, encoded) + torch.eye(200)).min() > 0.05


def test_the_fused_softplus_is_softplus_in_value_and_gradient() -> None:
    """Far from zero, at zero, and for a count that no register divides; float64 goes to torch's own."""
    x = torch.cat([torch.linspace(-3, 3, 1001), torch.tensor([-100.0, 100.0, 0.0])])[:, None]
    weights = torch.randn_like(x)
    ours, exact = x.clone().requires_grad_(), x.double().requires_grad_()
    value, wanted = softplus_100(1.0 * ours), torch.nn.functional.softplus(exact, beta=SHARPNESS, threshold=500)
    assert torch.equal(softplus_100(exact), torch.nn.functional.softplus(exact, beta=SHARPNESS))
    # Float32 in registers; where softplus is nearly zero only an absolute bound says something.
    torch.testing.assert_close(value.double(), wanted, atol=1e-7, rtol=SINGLE)
    (weights * value).sum().backward()
    (weights * wanted).sum().backward()
    torch.testing.assert_close(
        ours.grad.double(), exact.grad, atol=SINGLE_SUM, rtol=1e-4
    )  # β = 100 times the rounding of its argument


def test_the_fused_softplus_leaves_parameters_alone() -> None:
    parameter = torch.nn.Parameter(torch.randn(8, 16))
    before = parameter.detach().clone()
    softplus_100(parameter)
    assert torch.equal(parameter, before)


def test_bf16_networks_answer_and_learn_in_float32() -> None:
    nets = []
    for precision in ("float32", "bf16"):
        torch.manual_seed(1)
        nets.append(
            ConditionedMLP(6, 10, 4, hidden=32, depth=3, activation=softplus_100, skip_at=2, precision=precision)  # type: ignore[arg-type]
        )
    points, codes = torch.randn(50, 6), torch.randn(3, 10)
    exact, coarse = (net(points, codes) for net in nets)
    assert coarse.dtype == torch.float32
    torch.testing.assert_close(exact, coarse, atol=0.03, rtol=0.05)  # bfloat16 has 8 bits: 0.4 % a product
    assert not torch.equal(exact, coarse)
    for net, out in zip(nets, (exact, coarse), strict=True):
        out.square().sum().backward()
        assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())

"""Conditioned networks: splitting the condition out changes nothing."""

from __future__ import annotations

import torch

from perse.avatar.mlp import ConditionedMLP, encoding_width, positional_encoding, softplus_100


def test_the_split_condition_equals_the_concatenated_one_in_value_and_gradient() -> None:
    net = ConditionedMLP(6, 10, 4, hidden=16, depth=4, activation=softplus_100, skip_at=2)
    points, codes = torch.randn(9, 6, requires_grad=True), torch.randn(3, 10, requires_grad=True)
    cotangent = torch.randn(3, 9, 4)
    leaves = [points, codes, *net.parameters()]
    fast, naive = net(points, codes), net.naive_forward(points, codes)
    torch.testing.assert_close(fast, naive)
    for ours, theirs in zip(
        torch.autograd.grad((fast * cotangent).sum(), leaves),
        torch.autograd.grad((naive * cotangent).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


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

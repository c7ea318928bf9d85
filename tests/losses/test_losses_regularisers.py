"""Regularisers, and the perceptual term's manners."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tolerances import SINGLE, SINGLE_SUM

from perse.errors import MissingWeightsError
from perse.losses import DeformationLossConfig, VggLoss, decayed, deformation_loss, latent_loss, nearest_mean


def test_latents_are_pulled_to_zero() -> None:
    z = torch.randn(9, 32, requires_grad=True)
    latent_loss(z).backward()
    torch.testing.assert_close(z.grad, 2 * z.detach() / z.numel())


def test_the_head_models_own_deformation_costs_nothing() -> None:
    e, p, w = torch.randn(50, 3, 6), torch.randn(50, 3, 4), torch.rand(50, 5)
    given = {"head_expression_basis": e, "head_pose_basis": p, "head_skinning_weights": w}
    assert float(deformation_loss(e, p, w, **given)) == 0
    config = DeformationLossConfig(expression=2.0, pose=3.0, skinning=5.0)
    assert float(deformation_loss(e + 1, p, w, **given, config=config)) == pytest.approx(2, rel=SINGLE_SUM)
    assert float(deformation_loss(e, p + 1, w, **given, config=config)) == pytest.approx(3, rel=SINGLE_SUM)
    assert float(deformation_loss(e, p, w + 1, **given, config=config)) == pytest.approx(5, rel=SINGLE_SUM)
    only_first = torch.zeros(50)
    only_first[0] = 1
    changed = e.clone()
    changed[1:] += 1
    assert float(deformation_loss(changed, p, w, **given, point_weights=only_first)) == 0
    with pytest.raises(ValueError, match="one shape"):
        deformation_loss(e[:, :, :2], p, w, **given)


def test_weights_halve_on_schedule() -> None:
    assert [decayed(8.0, epoch) for epoch in (0, 9, 10, 25, 40, 99)] == [8, 8, 4, 2, 0.5, 0.5]


def test_nearest_mean_at_a_vertex_is_its_value() -> None:
    vertices = torch.randn(40, 3)
    values = torch.randn(40, 3, 2)
    # A vertex weighs 1e9, its neighbours a few units: what they add is below float32's last digit.
    torch.testing.assert_close(nearest_mean(values, vertices[:7], vertices), values[:7], atol=SINGLE, rtol=0)
    constant = nearest_mean(torch.ones(40, 5), torch.randn(9, 3), vertices)
    torch.testing.assert_close(constant, torch.ones(9, 5))


def test_vgg_without_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="VGG-16 checkpoint"):
        VggLoss(None)
    with pytest.raises(MissingWeightsError, match="VGG-16 checkpoint"):
        VggLoss(tmp_path / "absent.safetensors")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(MissingWeightsError, match=r"no VGG-16"):
        VggLoss(tmp_path / "other.safetensors")


def test_vgg_with_a_checkpoint_of_the_real_shape(tmp_path: Path) -> None:
    from torchvision.models import vgg16

    path = tmp_path / "vgg16.safetensors"
    save_file({f"features.{key}": value for key, value in vgg16(weights=None).features.state_dict().items()}, path)
    loss = VggLoss(path)
    image = torch.rand(1, 32, 32, 3, requires_grad=True)
    target = torch.rand(1, 32, 32, 3)
    value = loss(image, target)
    value.backward()
    assert float(value.detach()) > 0 and float(image.grad.abs().sum()) > 0
    assert float(loss(target, target)) == 0
    assert not any(parameter.requires_grad for parameter in loss.parameters())

"""Image losses: the textbook, and the fused kernel against it in value and gradient."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.metrics
import torch
from shape_checker import unchecked
from tolerances import DOUBLE, SINGLE_SUM
from torch import Tensor

from perse.losses import PictureLossConfig, l1, multiscale_ssim, picture_loss, ssim, ssim_map
from perse.losses.fused import _one_scale_torch

VARIANCES = 1e-4
"""float32 variances E[x²] − E[x]² cancel: they, and what is divided by them, keep four digits."""


def _pair(*shape: int, seed: int = 0, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """Smooth pictures that resemble each other."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(shape[0], shape[-1], 8, 8, generator=generator)
    image = torch.nn.functional.interpolate(coarse, shape[1:3], mode="bilinear").movedim(1, -1)
    return image, (image + noise * torch.randn(image.shape, generator=generator)).clamp(0, 1)


def test_ssim_is_scikit_image() -> None:
    a, b = _pair(1, 48, 60, 3)
    expected = skimage.metrics.structural_similarity(
        a[0].double().numpy(), b[0].double().numpy(), channel_axis=-1, data_range=1.0,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert float(ssim(a[0].double(), b[0].double(), inner=True)) == pytest.approx(expected, abs=DOUBLE)


def test_equal_pictures_are_similar_and_others_less() -> None:
    a, b = _pair(2, 40, 40, 3)
    _, worse = _pair(2, 40, 40, 3, noise=0.4)
    for similarity in (ssim, multiscale_ssim):
        assert float(similarity(a, a)) == pytest.approx(1, abs=SINGLE_SUM)
        assert 1 > float(similarity(a, b)) > float(similarity(a, worse))
    assert float(l1(a, a)) == 0


def test_multiscale_ssim_forgives_what_a_blur_would_hide() -> None:
    a, _ = _pair(1, 192, 192, 3)
    fine = a + 0.1 * (torch.arange(192)[None, None, :, None] % 2)
    shifted = a.roll(12, 2)
    assert float(ssim(a, fine)) < float(ssim(a, shifted)) + 0.2
    assert float(multiscale_ssim(a, fine)) > float(multiscale_ssim(a, shifted))


def test_a_mask_shields_what_is_outside() -> None:
    a, b = _pair(1, 40, 40, 3)
    mask = torch.zeros(1, 40, 40)
    mask[:, 10:25, 12:30] = 1
    image = a.clone().requires_grad_()
    (l1(image, b, mask) + 1 - ssim(image, b, mask)).backward()
    assert float(image.grad[mask == 0].abs().max()) == 0
    assert float(image.grad[mask == 1].abs().min()) > 0
    elsewhere = torch.where(mask[..., None] == 1, a, torch.rand_like(a))
    assert float(l1(elsewhere, b, mask)) == pytest.approx(float(l1(a, b, mask)), rel=SINGLE_SUM)
    assert float(ssim(elsewhere, b, mask)) == pytest.approx(float(ssim(a, b, mask)), rel=SINGLE_SUM)


def test_masked_l1_is_the_mean_inside() -> None:
    a, b = _pair(1, 20, 20, 3)
    mask = torch.zeros(1, 20, 20)
    mask[:, 5:9, 5:15] = 1
    assert float(l1(a, b, mask)) == pytest.approx(float((a - b).abs()[mask == 1].mean()), rel=SINGLE_SUM)


CASES = [
    pytest.param((3, 40, 56, 3), torch.uint8, False, False, id="uint8"),
    pytest.param((2, 33, 47, 3), torch.float32, True, True, id="masked and weighted"),
    pytest.param((1, 19, 21, 1), torch.float32, False, False, id="one channel"),
    pytest.param((1, 280, 24, 4), torch.uint8, True, False, id="several bands"),
    pytest.param((1, 5, 4, 3), torch.float32, False, False, id="smaller than the window"),
]


@pytest.mark.parametrize(("shape", "target_dtype", "use_mask", "use_weights"), CASES)
def test_fused_equals_textbook(
    shape: tuple[int, ...], target_dtype: torch.dtype, use_mask: bool, use_weights: bool
) -> None:
    image, target = _pair(*shape, seed=3)
    generator = torch.Generator().manual_seed(5)
    alpha, target_alpha = torch.rand(2, *shape[:3], generator=generator)
    masks = torch.rand(shape[:3], generator=generator).round() if use_mask else None
    weights = torch.rand(shape[0], generator=generator) if use_weights else None
    if target_dtype == torch.uint8:
        target, target_alpha = (target * 255).round().to(torch.uint8), (target_alpha * 255).round().to(torch.uint8)
    config = PictureLossConfig(l1=0.8, ssim=0.3, alpha=0.2)

    a, b = image.clone().requires_grad_(), alpha.clone().requires_grad_()
    fused = picture_loss(a, b, target, target_alpha, masks=masks, frame_weights=weights, config=config, threads=2)
    (fused.total * 2).backward()

    p, q = image.double().requires_grad_(), alpha.double().requires_grad_()
    shares = torch.ones(shape[0]) if weights is None else weights
    full = 255.0 if target_dtype == torch.uint8 else 1.0
    total, terms = _one_scale_torch(
        p, q, target.double() / full, target_alpha.double() / full, None if masks is None else masks.double(),
        (shares / shares.sum()).tolist(), config, 1, None,
    )  # fmt: skip
    (total * 2).backward()

    assert float(fused.total.detach()) == pytest.approx(float(total.detach()), rel=SINGLE_SUM)
    assert [float(t.detach()) for t in (fused.l1, fused.ssim, fused.alpha)] == pytest.approx(
        terms.tolist(), rel=SINGLE_SUM
    )
    for found, expected in ((a.grad, p.grad), (b.grad, q.grad)):
        assert float(expected.norm()) > 0
        assert float((found - expected).norm() / expected.norm()) < 10 * VARIANCES  # of a quotient of them


def test_fused_is_the_same_on_any_number_of_threads() -> None:
    image, target = _pair(2, 300, 40, 3)
    alpha = torch.rand(2, 300, 40)
    results = []
    for threads in (1, 2, 2):
        leaf = image.clone().requires_grad_()
        total = picture_loss(leaf, alpha, target, alpha, threads=threads).total
        total.backward()
        results.append((total.detach(), leaf.grad))
    assert all(torch.equal(t, results[0][0]) and torch.equal(g, results[0][1]) for t, g in results)


def test_coarse_scales_are_the_half_pictures() -> None:
    image, target = _pair(1, 64, 64, 3)
    alpha = torch.ones(1, 64, 64)
    only_ssim = PictureLossConfig(l1=0.0, ssim=1.0, alpha=0.0, scales=2)
    found = picture_loss(image, alpha, target, alpha, config=only_ssim, threads=1)
    half = torch.nn.functional.avg_pool2d(image.movedim(-1, 1), 2).movedim(1, -1)
    half_target = torch.nn.functional.avg_pool2d(target.movedim(-1, 1), 2).movedim(1, -1)
    expected = 1 - (ssim(image, target) + ssim(half, half_target)) / 2
    assert float(found.total) == pytest.approx(float(expected), rel=VARIANCES)
    assert float(found.ssim) == pytest.approx(float(expected), rel=VARIANCES)


def test_shapes_are_checked() -> None:
    image, target = _pair(1, 20, 20, 3)
    alpha = torch.ones(1, 20, 20)
    with pytest.raises(ValueError, match="targets must have"):
        unchecked(picture_loss)(image, alpha, target[:, :10], alpha)
    with pytest.raises(ValueError, match="masks must have"):
        unchecked(picture_loss)(image, alpha, target, alpha, masks=torch.ones(20, 20))


def test_the_map_is_symmetric() -> None:
    a, b = _pair(1, 24, 24, 3)
    np.testing.assert_allclose(ssim_map(a, b), ssim_map(b, a), atol=SINGLE_SUM)

"""Image losses in plain torch: the definitions, and the twins of the fused ones in `perse.losses.fused`.

Images are channel-last, [..., h, w, c] in [0, 1], as the rasterizers give them. A *mask* [..., h, w] in [0, 1] says
where a picture counts: elsewhere it is replaced by the target, so that nothing outside of the mask can earn or cost
anything, not even through a window that reaches across the mask's border (Eq. 13-15, 36-39).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from perse.losses.constants import SSIM_C1, SSIM_C2, SSIM_RADIUS_PX, SSIM_SIGMA_PX

Picture = Float[Tensor, "*frames h w c"]
Mask = Float[Tensor, "*frames h w"]
Scalar = Float[Tensor, ""]

MULTISCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang et al. 2003)."""


def masked(image: Picture, target: Picture, mask: Mask | None) -> Picture:
    """Image where the mask is one, target where it is zero."""
    return image if mask is None else target + mask[..., None] * (image - target)


def l1(image: Picture, target: Picture, mask: Mask | None = None) -> Scalar:
    """Mean absolute difference per channel; with a mask, of the masked pixels."""
    return _mean((masked(image, target, mask) - target).abs(), mask)


def ssim_window(like: Float[Tensor, "..."]) -> Float[Tensor, " 11"]:
    """The normalised Gaussian window."""
    offsets = torch.arange(-SSIM_RADIUS_PX, SSIM_RADIUS_PX + 1, dtype=like.dtype, device=like.device)
    window = torch.exp(-0.5 * (offsets / SSIM_SIGMA_PX) ** 2)
    return window / window.sum()


def _blurred(planes: Float[Tensor, "m 1 h w"]) -> Float[Tensor, "m 1 h w"]:
    """Window means of planes; outside of the image is zero."""
    window = ssim_window(planes)
    rows = torch.nn.functional.conv2d(planes, window[None, None, None, :], padding=(0, SSIM_RADIUS_PX))
    return torch.nn.functional.conv2d(rows, window[None, None, :, None], padding=(SSIM_RADIUS_PX, 0))


def _similarity(image: Picture, target: Picture) -> tuple[Picture, Picture]:
    """Luminance and contrast-structure similarity of every window."""
    lead, (h, w, c) = image.shape[:-3], image.shape[-3:]

    def planes(x: Tensor) -> Tensor:
        return x.movedim(-1, -3).reshape(-1, 1, h, w)

    def back(x: Tensor) -> Tensor:
        return x.reshape(*lead, c, h, w).movedim(-3, -1)

    x, y = planes(image), planes(target)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = _blurred(x * x) - mean_x * mean_x
    variance_y = _blurred(y * y) - mean_y * mean_y
    covariance = _blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)
    return back(luminance), back(structure)


def ssim_map(image: Picture, target: Picture) -> Picture:
    """Structural similarity of the window around every pixel (Wang et al. 2004), in [-1, 1].

    Gaussian window of 11 px and sigma 1.5, zeros outside of the image as 3DGS does.
    """
    luminance, structure = _similarity(image, target)
    return luminance * structure


def ssim(image: Picture, target: Picture, mask: Mask | None = None, *, inner: bool = False) -> Scalar:
    """Mean structural similarity; 1 for equal images. Eq. 11 uses 1 - SSIM.

    Args:
        mask: see the module. Windows away from it are equal, hence 1; the loss 1 - SSIM is averaged over the mask.
        inner: leave out windows that reach over the image's border, as the textbook (and scikit-image) does. For
            measuring, not for training.
    """
    values = ssim_map(masked(image, target, mask), target)
    if inner:
        r = SSIM_RADIUS_PX
        if min(image.shape[-3:-1]) <= 2 * r:
            raise ValueError(f"images must be larger than {2 * r} px, got {tuple(image.shape[-3:-1])}")
        values = values[..., r:-r, r:-r, :]
        mask = None if mask is None else mask[..., r:-r, r:-r]
    return 1 - _mean(1 - values, mask)


def multiscale_ssim(image: Picture, target: Picture) -> Scalar:
    """Multi-scale structural similarity (Wang et al. 2003).

    Contrast-structure at up to five octaves, luminance at the coarsest, multiplied with the paper's exponents; octaves
    smaller than the window are left out and the exponents scaled to the same sum.
    """
    sizes = [min(image.shape[-3:-1]) // 2**k for k in range(len(MULTISCALE_WEIGHTS))]
    scales = max(1, sum(size > 2 * SSIM_RADIUS_PX for size in sizes))
    exponents = image.new_tensor(MULTISCALE_WEIGHTS[:scales])
    exponents = exponents / exponents.sum()
    product = image.new_ones(())
    for scale in range(scales):
        luminance, structure = _similarity(image, target)
        value = (luminance * structure if scale == scales - 1 else structure).mean()
        # A negative mean has no real power; clamping is what the common implementations do.
        product = product * value.clamp(min=1e-6) ** exponents[scale]
        image, target = halved(image), halved(target)
    return product


def halved(image: Picture) -> Float[Tensor, "*frames h//2 w//2 c"]:
    """Image of half the size, by averaging 2 × 2 pixels."""
    lead, (h, w, c) = image.shape[:-3], image.shape[-3:]
    even = image[..., : h // 2 * 2, : w // 2 * 2, :]
    return even.reshape(*lead, h // 2, 2, w // 2, 2, c).mean((-4, -2))


def _mean(values: Picture, mask: Mask | None) -> Scalar:
    """Mean over everything, or sum over everything divided by the mask's area, frame by frame."""
    if mask is None:
        return values.mean()
    area = mask.sum((-2, -1)).clamp(min=1.0)
    return (values.mean(-1).sum((-2, -1)) / area).mean()

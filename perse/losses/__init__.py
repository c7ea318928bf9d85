"""Image losses and regularisers: Eq. 11, 12, 13-15, 31, 36-39."""

from perse.losses.fused import PictureLoss, PictureLossConfig, picture_loss
from perse.losses.identity import IdentityLoss
from perse.losses.images import l1, masked, multiscale_ssim, ssim, ssim_map
from perse.losses.perceptual import VggLoss
from perse.losses.regularisers import DeformationLossConfig, decayed, deformation_loss, latent_loss, nearest_mean

__all__ = [
    "DeformationLossConfig",
    "IdentityLoss",
    "PictureLoss",
    "PictureLossConfig",
    "VggLoss",
    "decayed",
    "deformation_loss",
    "l1",
    "latent_loss",
    "masked",
    "multiscale_ssim",
    "nearest_mean",
    "picture_loss",
    "ssim",
    "ssim_map",
]

"""The loss of one frame: image terms, and geometry terms that count for more (Sim and Moon 2025, sec. 4).

::

    captured   image · 1 (seams · .1)   refined image · .1   geometry · .1   mask · 1
    generated  image · 1                refined image · .1   geometry · 1    mask · 1
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from perse.body.avatar.avatar import BodyAvatar, PosedAvatar
from perse.body.model.covers import Cover
from perse.body.model.upsampling import unit_normals
from perse.body.training.config import BodyLossConfig
from perse.body.training.frames import TargetFrame
from perse.losses import picture_loss
from perse.render import Rasterizer, Rendering, rasterize


@dataclass(frozen=True)
class FrameLoss:
    """Scalars of one frame: the weighted total, with gradient, and terms without their weights, detached."""

    total: Float[Tensor, ""]
    l1: Float[Tensor, ""]
    ssim: Float[Tensor, ""]
    mask: Float[Tensor, ""]
    geometry: Float[Tensor, ""]


def frame_loss(
    avatar: BodyAvatar, posed: PosedAvatar, target: TargetFrame, config: BodyLossConfig, rasterizer: Rasterizer,
    background: Float[Tensor, "3"],
) -> FrameLoss:  # fmt: skip
    """The loss of an avatar that is posed as the target is (one frame), both on a background [3].

    On one that changes from step to step no point can learn to be background: on white alone, those that stand outside
    of a silhouette became white specks, which are seen from elsewhere.
    """
    colors = avatar.shown_colors(generated=target.generated)
    plain = rasterize(
        avatar.gaussians(posed.plain[0], colors), target.camera, background=background, rasterizer=rasterizer
    )
    image = picture_loss(
        plain.colors[None], plain.alphas[None], target.within(plain.alphas, background)[None], target.alpha[None],
        masks=_trusted(target, config), config=config.image,
    )  # fmt: skip
    refined, values = _refined(avatar, posed.refined[0], colors, target, rasterizer)
    alpha = refined.alphas
    whole = values[..., :3] + (1 - alpha[..., None]) * background
    wanted = target.within(alpha, background)
    closer = picture_loss(whole[None], alpha[None], wanted[None], target.alpha[None], config=config.image)
    pixels = 1 + (config.hands - 1) * target.hands
    mask = (pixels * (alpha - target.alpha).abs()).mean() + (plain.alphas - target.alpha).abs().mean()
    geometry = _geometry(refined, values, target, pixels, config)
    weight = config.generated_geometry if target.generated else config.captured_geometry
    total = image.total + config.refined_image * closer.total + config.mask * mask + weight * geometry
    return FrameLoss(total, image.l1, image.ssim, mask.detach(), geometry.detach())


def patch_loss(
    avatar: BodyAvatar, posed: PosedAvatar, target: TargetFrame, config: BodyLossConfig, rasterizer: Rasterizer,
    background: Float[Tensor, "3"],
) -> Float[Tensor, ""]:  # fmt: skip
    """The image term of a close look at the captured frame: un-offset asset, own colours."""
    colors = avatar.shown_colors(generated=False)
    drawn = rasterize(
        avatar.gaussians(posed.plain[0], colors), target.camera, background=background, rasterizer=rasterizer
    )
    image = picture_loss(
        drawn.colors[None], drawn.alphas[None], target.within(drawn.alphas, background)[None], target.alpha[None],
        masks=_trusted(target, config), config=config.image,
    )  # fmt: skip
    return config.patches * image.total


def _trusted(target: TargetFrame, config: BodyLossConfig) -> Float[Tensor, "1 h w"] | None:
    """How much each pixel's colour counts. A generated frame is drawn from the avatar's own surface and is right
    everywhere."""
    return None if target.generated else (1 - (1 - config.seams) * target.seams)[None]


def _refined(
    avatar: BodyAvatar, points: Tensor, colors: Tensor, target: TargetFrame, rasterizer: Rasterizer
) -> tuple[Rendering, Tensor]:
    """Colours, normals and parts in one drawing, premultiplied: [h, w, 3 + 3 + c]."""
    normals = unit_normals(points, avatar.faces) @ target.camera.world_to_camera[:3, :3].T
    parts = torch.nn.functional.one_hot(avatar.covers, len(Cover))[:, 1:].float()
    values = torch.cat([colors, normals, parts], -1)
    drawn = rasterize(avatar.gaussians(points, values), target.camera, background=None, rasterizer=rasterizer)
    return drawn, drawn.colors


def _geometry(drawn: Rendering, values: Tensor, target: TargetFrame, pixels: Tensor, config: BodyLossConfig) -> Tensor:
    both = (target.depth > 0) & (drawn.alphas.detach() > 0.5)
    area = both.float().sum().clamp(min=1)
    depth = drawn.depths / drawn.alphas.clamp(min=1e-3)
    off = torch.where(both, depth.clamp(min=1e-3).log() - target.depth.clamp(min=1e-3).log(), torch.zeros(()).to(depth))
    mean = off.sum() / area
    silog = ((off - mean).square() * both).sum() / area + 0.15 * mean.square()
    normals = values[..., 3:6]
    cosine = torch.nn.functional.cosine_similarity(normals, target.normals, dim=-1)
    turned = (pixels * both * ((normals - target.normals).abs().mean(-1) + (1 - cosine))).sum() / area
    parts = (pixels[..., None] * (values[..., 6:] - target.parts).abs()).mean()
    return config.depth * silog.clamp(min=1e-12).sqrt() + config.normals * turned + config.parts * parts

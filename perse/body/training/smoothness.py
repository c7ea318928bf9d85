"""Laplacian penalties over the avatar's surface, and one that holds points that no picture shows where they were."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from perse.body.avatar.avatar import BodyAvatar, PosedAvatar
from perse.body.model.upsampling import one_ring
from perse.body.training.config import BodyLossConfig


class Smoothness:
    """Penalty of each point's distance from the mean of its neighbours, squared and weighed."""

    def __init__(self, avatar: BodyAvatar, config: BodyLossConfig) -> None:
        self._config = config
        faces = avatar.faces
        self._ends = one_ring(faces)
        count = torch.zeros(len(avatar), device=faces.device)
        for end in self._ends.T:
            count.index_add_(0, end, torch.ones(len(end), device=faces.device))
        self._count = count.clamp(min=1)
        weights = torch.ones(len(avatar), device=faces.device)
        weights[avatar.face] = config.face_laplacian
        weights[avatar.hands] = config.hand_laplacian
        self._weights = weights
        self._held = (config.fitted_colors * (1 + config.unseen_colors * (1 - avatar.seen)))[:, None]

    def laplacian(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Values [n, c] less the mean over each point's neighbours."""
        first, second = self._ends.T
        # The gradient of values[second] would be summed in whatever order threads arrive; these are summed in one.
        there, back = values.index_select(0, second), values.index_select(0, first)
        total = torch.zeros_like(values).index_add(0, first, there).index_add(0, second, back)
        return values - total / self._count[:, None]

    def __call__(self, avatar: BodyAvatar, posed: PosedAvatar) -> Float[Tensor, ""]:
        """The weighted sum for a step."""
        config = self._config
        means = sum(
            (self._weights * self.laplacian(values).square().sum(-1)).mean()
            for values in (avatar.moved, avatar.moved + posed.offsets[0])
        )
        scales = self.laplacian(avatar.log_scales[:, None]).square().mean()
        colors = (self._held * (avatar.colors - avatar.fitted).square()).mean()
        sizes = (avatar.log_scales - avatar.fitted_log_scales).square().mean()
        tint = self.laplacian(avatar.auxiliary).square().mean()
        return (
            config.mean_laplacian * means
            + config.scale_laplacian * scales
            + config.auxiliary_laplacian * tint
            + colors
            + config.fitted_scales * sizes
            + config.auxiliary * avatar.auxiliary.square().mean()
        )

"""The canonical avatar: everything that depends on the latent code and on nothing else.

Computed once per subject and training step, and cached by latent when serving.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

MEAN = slice(0, 3)
QUAT = slice(3, 7)
LOG_SCALE = slice(7, 10)
OPACITY = 10
COLOR = slice(11, 14)
N_ATTRIBUTES = 14


@dataclass(frozen=True)
class CanonicalGaussians:
    """Gaussians before they are posed: x_fc, r, s, o, c, E, P and W of P Eq. 18–23, not yet activated.

    Leading dimensions [...] count subjects and may be empty. Fields that do not depend on z in a decoder carry no
    leading dimensions; they broadcast.

    Attributes:
        attributes: [..., n, 14] in one piece, so that one kernel reads it and one gradient comes back: means x_fc
            (metres, the head model's rest space), quaternions wxyz (not normalised), logarithms of scales (metres),
            logit of opacity, logits of RGB.
        blend_basis: [(...,) n, 3, m], metres: E and P side by side; m = expressions + pose correctives.
        skinning: [(...,) n, j], rows sum to one.
        pose_condition: [(...,) n, p], what the decoder's pose stage needs to know about a point.
    """

    attributes: Tensor
    blend_basis: Tensor
    skinning: Tensor
    pose_condition: Tensor

    def __post_init__(self) -> None:
        if self.attributes.shape[-1] != N_ATTRIBUTES:
            raise ValueError(f"attributes must be [..., n, {N_ATTRIBUTES}], got {tuple(self.attributes.shape)}")

    def __len__(self) -> int:
        """Number of Gaussians n."""
        return self.attributes.shape[-2]

    @property
    def means(self) -> Tensor:
        return self.attributes[..., MEAN]

    @property
    def quats(self) -> Tensor:
        return self.attributes[..., QUAT]

    @property
    def log_scales(self) -> Tensor:
        return self.attributes[..., LOG_SCALE]

    @property
    def opacity_logits(self) -> Tensor:
        return self.attributes[..., OPACITY]

    @property
    def color_logits(self) -> Tensor:
        return self.attributes[..., COLOR]

    def subject(self, index: int) -> CanonicalGaussians:
        """One of several subjects."""
        if self.attributes.ndim != 3:
            raise ValueError("these canonical Gaussians describe a single subject")
        lead = (("attributes", 2), ("blend_basis", 3), ("skinning", 2), ("pose_condition", 2))
        picked = {
            name: getattr(self, name)[index] if getattr(self, name).ndim > rank else getattr(self, name)
            for name, rank in lead
        }
        return CanonicalGaussians(**picked)

    def detach(self) -> CanonicalGaussians:
        return CanonicalGaussians(*(getattr(self, f.name).detach() for f in fields(self)))


def per_frame(values: Tensor, rank: int, of_frame: Tensor) -> Tensor:
    """A field of `CanonicalGaussians` for each frame: indexed by subject if it has subjects, else as it is.

    Args:
        rank: number of dimensions that the field has for a single subject.
    """
    return values[of_frame] if values.ndim > rank else values


def pack_attributes(means: Tensor, quats: Tensor, log_scales: Tensor, opacity_logits: Tensor, colors: Tensor) -> Tensor:
    """Join attributes [..., n, 3 | 4 | 3 | – | 3] into [..., n, 14]."""
    return torch.cat([means, quats, log_scales, opacity_logits[..., None], colors], -1)

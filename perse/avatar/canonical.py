"""The canonical avatar: everything that depends on the latent code and on nothing else.

Computed once per subject and training step, and cached by latent when serving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
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
        blend_basis: [(...,) n, 3, m], metres: E and P side by side; m = expressions + pose correctives. Without what
            `blend_features` adds.
        skinning: [(...,) n, j], rows sum to one.
        pose_condition: [(...,) n, p], what the decoder's pose stage needs to know about a point.
        blend_features: [..., n, h], where the decoder adds a linear function of them to E and P; None where it does
            not. A frame needs that sum only along its ψ and θ: h numbers a point stand for 3 m.
    """

    attributes: Float[Tensor, "... n 14"]
    blend_basis: Float[Tensor, "... n 3 m"]
    skinning: Float[Tensor, "... n j"]
    pose_condition: Float[Tensor, "... n p"]
    blend_features: Float[Tensor, "... n h"] | None = None

    def __post_init__(self) -> None:
        if self.attributes.shape[-1] != N_ATTRIBUTES:
            raise ValueError(f"attributes must be [..., n, {N_ATTRIBUTES}], got {tuple(self.attributes.shape)}")

    def __len__(self) -> int:
        """Number of Gaussians n."""
        return self.attributes.shape[-2]

    @property
    def means(self) -> Float[Tensor, "*s n 3"]:
        return self.attributes[..., MEAN]

    @property
    def quats(self) -> Float[Tensor, "*s n 4"]:
        return self.attributes[..., QUAT]

    @property
    def log_scales(self) -> Float[Tensor, "*s n 3"]:
        return self.attributes[..., LOG_SCALE]

    @property
    def opacity_logits(self) -> Float[Tensor, "*s n"]:
        return self.attributes[..., OPACITY]

    def subject(self, index: int) -> CanonicalGaussians:
        """One of several subjects."""
        if self.attributes.ndim != 3:
            raise ValueError("these canonical Gaussians describe a single subject")
        return self._mapped(lambda values, rank: values[index] if values.ndim > rank else values)

    def first(self, count: int) -> CanonicalGaussians:
        """The first of several subjects."""
        return self._mapped(lambda values, rank: values[:count] if values.ndim > rank else values)

    def with_subjects(self) -> CanonicalGaussians:
        """One subject with a leading dimension, as the decoders expect it."""
        if self.attributes.ndim == 3:
            return self
        features = None if self.blend_features is None else self.blend_features[None]
        return replace(self, attributes=self.attributes[None], blend_features=features)

    def leading(self, count: int) -> CanonicalGaussians:
        """The first of the Gaussians."""
        if count == len(self):
            return self
        return self._mapped(lambda values, rank: values.narrow(values.ndim - rank, 0, count))

    def detach(self) -> CanonicalGaussians:
        return self._mapped(lambda values, _: values.detach())

    def _mapped(self, change: Callable[[Tensor, int], Tensor]) -> CanonicalGaussians:
        """Every field through a function of its values and of how many dimensions it has for a single subject."""
        present = {name: getattr(self, name) for name in _RANKS if getattr(self, name) is not None}
        return replace(self, **{name: change(values, _RANKS[name]) for name, values in present.items()})


_RANKS = {"attributes": 2, "blend_basis": 3, "skinning": 2, "pose_condition": 2, "blend_features": 2}


def per_frame(values: Float[Tensor, "..."], rank: int, of_frame: Int[Tensor, " f"]) -> Float[Tensor, "..."]:
    """A field of `CanonicalGaussians` for each frame: indexed by subject if it has subjects, else as it is.

    Args:
        rank: number of dimensions that the field has for a single subject.
    """
    if values.ndim == rank:
        return values
    # The usual step shows every subject once, in order; a copy would be made for nothing, and again for its gradient.
    if of_frame.device.type == "cpu" and of_frame.tolist() == list(range(len(values))):
        return values
    return values[of_frame]


def pack_attributes(
    means: Float[Tensor, "*s n 3"],
    quats: Float[Tensor, "*s n 4"],
    log_scales: Float[Tensor, "*s n 3"],
    opacity_logits: Float[Tensor, "*s n"],
    colors: Float[Tensor, "*s n 3"],
) -> Float[Tensor, "*s n 14"]:
    """Join attributes [..., n, 3 | 4 | 3 | – | 3] into [..., n, 14]."""
    return torch.cat([means, quats, log_scales, opacity_logits[..., None], colors], -1)


def attribute_units() -> Float[Tensor, "14"]:
    """Size of a step of 1 in each of the 14 attributes.

    One learning rate then serves them all: half a centimetre, a quarter of a unit quaternion, a factor e^0.25 of size,
    and logits of opacity and colour, which must travel far (from 0.05 to 0.9 is a change of 5).
    """
    units = torch.ones(N_ATTRIBUTES)
    units[MEAN] = 0.005
    units[QUAT] = 0.25
    units[LOG_SCALE] = 0.25
    units[OPACITY] = 1.0
    units[COLOR] = 1.0
    return units

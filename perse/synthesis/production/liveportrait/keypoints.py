"""LivePortrait's keypoint algebra: a head is canonical keypoints, turned, deformed, scaled and moved.

::

    x = s · (x_c R + δ) + t            x_c [k, 3] at rest, R rotation, δ expression, s scale, t translation (x, y)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from perse.synthesis.production.liveportrait.heads import KeypointHead
from perse.synthesis.production.liveportrait.motion_extractor import MotionOutputs

DEGREES_A_BIN = 3.0
FIRST_BIN_DEGREES = -97.5
"""Angles are the mean of bins three degrees apart."""

_MOVED_BY_OTHERS = (
    *((point, axis) for point in (1, 2, 6, *range(11, 21)) for axis in (0, 1, 2)),
    (3, 1), (4, 1), (5, 2), (8, 2), (9, 1), (9, 2),
)  # fmt: skip
"""Keypoints and axes whose expression another person may set absolutely. The others say whose face it is."""


@dataclass(frozen=True)
class HeadKeypoints:
    """Keypoints that M sees in pictures of a head, one a row.

    Attributes:
        canonical: [b, k, 3], keypoints of the face at rest; x to the right, y down, z inwards, the picture is −1…1.
        rotation: [b, 3, 3], acts on rows: x_c R.
        expression: [b, k, 3].
        scale: [b, 1].
        translation: [b, 3]; its z is not used.
    """

    canonical: Float[Tensor, "b k 3"]
    rotation: Float[Tensor, "b 3 3"]
    expression: Float[Tensor, "b k 3"]
    scale: Float[Tensor, "b 1"]
    translation: Float[Tensor, "b 3"]

    @classmethod
    def of(cls, outputs: MotionOutputs) -> HeadKeypoints:
        """Keypoints in M's outputs, in float32."""
        angles = (mean_degrees(logits.float()) for logits in (outputs.pitch, outputs.yaw, outputs.roll))
        return cls(
            canonical=outputs.canonical.float().unflatten(1, (-1, 3)),
            rotation=rotation_of_degrees(*angles),
            expression=outputs.expression.float().unflatten(1, (-1, 3)),
            scale=outputs.scale.float(),
            translation=outputs.translation.float(),
        )

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, rows: slice) -> HeadKeypoints:
        return HeadKeypoints(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def joined(cls, parts: list[HeadKeypoints]) -> HeadKeypoints:
        """All rows of several, in order."""
        return cls(**{field.name: torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)})

    def placed(self) -> Float[Tensor, "b k 3"]:
        """Keypoints x, [b, k, 3], where they lie in the picture."""
        shape = self.canonical @ self.rotation + self.expression
        shift = self.translation * self.translation.new_tensor([1.0, 1.0, 0.0])
        return self.scale[..., None] * shape + shift[:, None]


def mean_degrees(logits: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Mean angles [b], degrees, of logits [b, n] of angle bins."""
    bins = torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)
    return (logits.softmax(1) * bins).sum(1) * DEGREES_A_BIN + FIRST_BIN_DEGREES


def rotation_of_degrees(
    pitch: Float[Tensor, " b"], yaw: Float[Tensor, " b"], roll: Float[Tensor, " b"]
) -> Float[Tensor, "b 3 3"]:
    """Rotation matrices [b, 3, 3] of angles [b] in degrees: (R_z(roll) R_y(yaw) R_x(pitch))ᵀ."""
    (sx, cx), (sy, cy), (sz, cz) = ((a.sin(), a.cos()) for a in (x * (math.pi / 180) for x in (pitch, yaw, roll)))
    rows = [
        torch.stack([cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx], -1),
        torch.stack([sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx], -1),
        torch.stack([-sy, cy * sx, cy * cx], -1),
    ]
    return torch.stack(rows, -2).mT


@dataclass(frozen=True, kw_only=True)
class RelativeMotion:
    """Transfer in which the source changes as the driver changes from its anchor frame: whose face it is stays the
    source's."""

    def transfer(self, source: HeadKeypoints, driving: HeadKeypoints, anchor: HeadKeypoints) -> HeadKeypoints:
        """Keypoints of the source [1], performing what the driver does in frames [f], as seen against its anchor
        [1]."""
        return HeadKeypoints(
            canonical=source.canonical.expand_as(driving.canonical),
            rotation=driving.rotation @ anchor.rotation.mT @ source.rotation,
            expression=source.expression + driving.expression - anchor.expression,
            scale=source.scale * (driving.scale / anchor.scale),
            translation=source.translation + driving.translation - anchor.translation,
        )


@dataclass(frozen=True, kw_only=True)
class AbsoluteMotion:
    """Transfer in which the source takes on the driver's pose and expression as they are; size and what tells persons
    apart are its own.

    For a driver of whom no frame shows the source's pose. M is a few degrees off by person, which then stays.
    """

    def transfer(self, source: HeadKeypoints, driving: HeadKeypoints, anchor: HeadKeypoints) -> HeadKeypoints:
        """See `RelativeMotion.transfer`; the anchor has no say."""
        points, axes = (list(column) for column in zip(*_MOVED_BY_OTHERS, strict=True))
        expression = source.expression.expand_as(driving.expression).clone()
        expression[:, points, axes] = driving.expression[:, points, axes]
        own = replace(driving, expression=expression, canonical=source.canonical.expand_as(driving.canonical))
        return replace(own, scale=source.scale.expand_as(driving.scale))


Transfer = RelativeMotion | AbsoluteMotion


def stitched(
    head: KeypointHead, source: Float[Tensor, "1 k 3"], driving: Float[Tensor, "f k 3"]
) -> Float[Tensor, "f k 3"]:
    """Driving keypoints [f, k, 3] corrected so that the shoulders stay where the source [1, k, 3] has them."""
    change = head(source.expand_as(driving), driving).float()
    each, all_of_them = change[:, :-2].unflatten(1, (-1, 3)), change[:, -2:]
    moved = driving + each
    return torch.cat([moved[..., :2] + all_of_them[:, None], moved[..., 2:]], -1)


def retargeted(
    head: KeypointHead, source: Float[Tensor, "1 k 3"], openness: Float[Tensor, "1 n"]
) -> Float[Tensor, "1 k 3"]:
    """Displacement of keypoints [1, k, 3] when lips or eyes open or close, [1, k, 3].

    Args:
        head: of lips or eyes.
        openness: [1, n], how open they are and, last, are to be.
    """
    return head(source, openness).float().unflatten(1, (-1, 3))

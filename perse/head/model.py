"""The arrays of a parametric head, in FLAME's layout.

Sizes are read from the arrays: nothing in the project assumes 5,023 vertices, 100 shapes or 50 expressions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.geometry import transform_points


class Joint(IntEnum):
    """The five joints that FLAME and the embedded head share, in FLAME's order."""

    GLOBAL = 0
    NECK = 1
    JAW = 2
    LEFT_EYE = 3
    RIGHT_EYE = 4


class Region(IntEnum):
    """Region that a vertex belongs to. Models without such parts (FLAME has no teeth) simply lack the label."""

    SKIN = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    UPPER_TEETH = 3
    LOWER_TEETH = 4
    TONGUE = 5
    EARS = 6


@dataclass(frozen=True)
class HeadModel:
    """A head in rest pose, y up, z towards the front, metres; x is the person's left.

    Attributes:
        template: [v, 3].
        faces: [t, 3] int64, counter-clockwise seen from outside.
        shape_basis: [v, 3, s].
        expression_basis: [v, 3, e].
        pose_basis: [v, 3, 9 (j - 1)]; correctives driven by the rotation matrices of joints 1…, may have zero columns.
        joint_regressor: [j, v]; joints = regressor @ shaped rest vertices.
        parents: [j] int64; -1 for the root.
        skinning_weights: [v, j]; rows sum to one.
        regions: [v] int64, values of `Region`.
        uvs: [u, 2] in [0, 1]; uv_faces: [t, 3] int64 into uvs. Empty (0, 2) and (0, 3) where the model has none.
        landmark_ids: [l] int64, indices of the 478 mediapipe landmarks that are embedded.
        landmark_faces: [l] int64; landmark_weights: [l, 3] barycentric: where on the surface they lie.
        joint_names, expression_names: names for the axes j and e.
    """

    template: Float[Tensor, "v 3"]
    faces: Int[Tensor, "t 3"]
    shape_basis: Float[Tensor, "v 3 s"]
    expression_basis: Float[Tensor, "v 3 e"]
    pose_basis: Float[Tensor, "v 3 c"]
    joint_regressor: Float[Tensor, "j v"]
    parents: Int[Tensor, " j"]
    skinning_weights: Float[Tensor, "v j"]
    regions: Int[Tensor, " v"]
    uvs: Float[Tensor, "u 2"]
    uv_faces: Int[Tensor, "textured 3"]
    landmark_ids: Int[Tensor, " l"]
    landmark_faces: Int[Tensor, " l"]
    landmark_weights: Float[Tensor, "l 3"]
    joint_names: tuple[str, ...]
    expression_names: tuple[str, ...]

    @property
    def n_vertices(self) -> int:
        return self.template.shape[0]

    @property
    def n_joints(self) -> int:
        return self.joint_regressor.shape[0]

    @property
    def n_shape(self) -> int:
        return self.shape_basis.shape[-1]

    @property
    def n_expression(self) -> int:
        return self.expression_basis.shape[-1]

    def landmarks(self, vertices: Float[Tensor, "... v 3"]) -> Float[Tensor, "... l 3"]:
        """Embedded landmarks of posed vertices [..., v, 3]: [..., l, 3], metres, ordered as `landmark_ids`."""
        corners = vertices[..., self.faces[self.landmark_faces], :]
        return (corners * self.landmark_weights[..., None]).sum(-2)

    def landmark_rows(self, marks: Iterable[int]) -> list[int]:
        """Rows of `landmark_ids` that hold some of mediapipe's landmarks.

        Raises:
            ValueError: one of them is not embedded.
        """
        ids = self.landmark_ids.tolist()
        return [ids.index(mark) for mark in marks]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> HeadModel:
        """Move every array; integer arrays keep their type."""

        def move(value: Tensor | tuple[str, ...]) -> Tensor | tuple[str, ...]:
            if isinstance(value, tuple):
                return value
            return value.to(device=device, dtype=dtype if value.is_floating_point() else None)

        return HeadModel(**{f.name: move(getattr(self, f.name)) for f in fields(self)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class PosedHead:
    """A head after blendshapes and linear blend skinning.

    Attributes:
        vertices: [..., v, 3], metres, world space.
        joints: [..., j, 3], rest-pose joint positions, metres.
        transforms: [..., j, 4, 4], rest pose to posed world, per joint. Skin further points with `blend_transforms`.
    """

    vertices: Float[Tensor, "... v 3"]
    joints: Float[Tensor, "... j 3"]
    transforms: Float[Tensor, "... j 4 4"]

    @property
    def posed_joints(self) -> Float[Tensor, "... j 3"]:
        """Joint positions in the pose, metres, world space."""
        return transform_points(self.transforms, self.joints)

"""Learned edit: what an edit makes of an avatar's points."""

from __future__ import annotations

from dataclasses import dataclass, fields

from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from perse.errors import DamagedFile


@dataclass(frozen=True)
class LearnedEdit:
    """Change that an edit makes to an avatar's points, and the points that it adds.

    Attributes:
        members: [m] int64, points of the avatar that it changes.
        places: [m, 3] metres, rest pose; log_scales: [m]; colors: [m, 3] in [0, 1]: theirs after the edit.
        added_places, added_log_scales, added_colors: [p, 3], [p] and [p, 3], of its own points.
        added_skinning: [p, 55].
    """

    members: Int[Tensor, " m"]
    places: Float[Tensor, "m 3"]
    log_scales: Float[Tensor, " m"]
    colors: Float[Tensor, "m 3"]
    added_places: Float[Tensor, "p 3"]
    added_log_scales: Float[Tensor, " p"]
    added_colors: Float[Tensor, "p 3"]
    added_skinning: Float[Tensor, "p 55"]

    def to_bytes(self) -> bytes:
        """Content of a safetensors file."""
        return save({field.name: getattr(self, field.name).detach().contiguous() for field in fields(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> LearnedEdit:
        """Edit in the bytes of its file.

        Raises:
            DamagedFile: it is no such file.
        """
        try:
            return cls(**load(data))
        except (SafetensorError, TypeError) as error:
            raise DamagedFile(
                f"a learned edit is damaged ({type(error).__name__}); run the same command again"
            ) from None

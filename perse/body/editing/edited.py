"""An edited person: the dressed surface after the edit, and points that only the edit has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from perse.body.animation.dressed import DressedPerson
from perse.body.model.upsampling import FineMesh
from perse.data import AttributePrompt


@dataclass(frozen=True)
class WornPiece:
    """Piece that is put on: a coloured mesh that moves with some joints.

    Attributes:
        points: [p, 3], rest pose of the body, metres.
        faces: [t, 3] int64.
        colors: [p, 3] in [0, 1], lit.
        skinning: [p, 55].
    """

    points: Float[Tensor, "p 3"]
    faces: Int[Tensor, "t 3"]
    colors: Float[Tensor, "p 3"]
    skinning: Float[Tensor, "p 55"]


@dataclass(frozen=True)
class AddedPoints:
    """Starting points of the Gaussians of a piece.

    Attributes:
        points: [p, 3], rest pose, metres; colors: [p, 3]; skinning: [p, 55].
        scales: [p], standard deviations, metres.
    """

    points: Float[Tensor, "p 3"]
    colors: Float[Tensor, "p 3"]
    skinning: Float[Tensor, "p 55"]
    scales: Float[Tensor, " p"]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class EditedPerson:
    """Person after an edit.

    Attributes:
        prompt: what was asked for.
        dressed: to be filmed; the first points are the unedited person's, in their order.
        changed: [n] bool, which of those the edit may change.
        colors: [n, 3] in [0, 1], what the edit makes of the first colours.
        added: points that only this edit has.
        picture: [h, w, 3] uint8, the photograph after the edit.
    """

    prompt: AttributePrompt
    dressed: DressedPerson
    changed: Bool[Tensor, " n"]
    colors: Float[Tensor, "n 3"]
    added: AddedPoints
    picture: UInt8[NDArray[np.uint8], "h w 3"]


def with_piece(person: DressedPerson, piece: WornPiece, cover: int) -> DressedPerson:
    """The surface with a piece on it.

    Args:
        cover: what its pixels are labelled with.
    """
    n, p = len(person.rest), len(piece.points)
    empty = csr_matrix((p, person.fine.mixture.shape[1]))
    fine = FineMesh(
        csr_matrix(vstack([person.fine.mixture, empty])),
        np.concatenate([person.fine.faces, piece.faces.numpy() + n]),
    )
    nothing = torch.zeros(p)

    def also(values: Tensor, more: Tensor) -> Tensor:
        return torch.cat([values, more.to(values.dtype)])

    return replace(
        person, fine=fine, rest=also(person.rest, piece.points), thickness_m=also(person.thickness_m, nothing),
        looseness=also(person.looseness, nothing), skinning=also(person.skinning, piece.skinning),
        covers=also(person.covers, torch.full((p,), cover)), hands=also(person.hands, nothing),
        photo_px=also(person.photo_px, torch.zeros(p, 2)), seen=also(person.seen, nothing),
        fill=also(person.fill, piece.colors),
    )  # fmt: skip


def no_points(joints: int) -> AddedPoints:
    """Points of an edit that puts nothing on: none."""
    return AddedPoints(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, joints), torch.zeros(0))

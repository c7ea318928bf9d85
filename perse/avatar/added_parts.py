"""An attribute that an avatar learns after its training, as a column of its own beside the part bases (P A.4).

::

    φ(z) = w · (z_k − z_ref,k)         1 at the new subject, 0 at every other subject of its category
    a(z) = … the part bases at z − φ (z_new − z_ref) … + φ(z) · B_new

φ is linear in z, so on the way from another subject to the new one the old change leaves as steadily as the new one
comes. Where φ is zero, at all other subjects and wherever else nobody asked for the new one, nothing has changed to
the bit: that is what the paper's L_3d asks of its LoRA (Eq. 43), here by construction. The price is a dimension of z_k
a column: a category has room for as many subjects as its latent has numbers.

Points that only the new attribute needs are invisible elsewhere: their opacity is below what rasterizers draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from perse.attributes import Category
from perse.avatar.canonical import N_ATTRIBUTES
from perse.avatar.points import MeshPrior
from perse.errors import InputError

NOTHING = 1e-4
"""|φ| below this is nothing. It is what rounding leaves at the other subjects, and far below what an eye could see."""

LEAST_OWN_SHARE = 0.02
"""Of the new subject's code, at least this share must lie outside the span of the other subjects'."""


@dataclass(frozen=True)
class AttributeStart:
    """Start of a new attribute: e points that only it needs, and what it changes.

    Attributes:
        prior: of the new points.
        attributes: [e, 14], packed as in `canonical`: invisible, as all other subjects have them.
        change_of_points: [e, 14], what makes them visible.
        members: [m] int64, points that are there already and change.
        change: [m, 14], how.
    """

    prior: MeshPrior
    attributes: Float[Tensor, "e 14"]
    change_of_points: Float[Tensor, "e 14"]
    members: Int[Tensor, " m"]
    change: Float[Tensor, "m 14"]


class AddedPart(nn.Module):
    """One learned column.

    Attributes:
        category: index of the category.
        gate: buffer [d], w.
        offset: buffer [d], z_new − z_ref,k.
        members: buffer [m] int64, the points that it changes.
        change: parameter [m, 14], B_new in units of `attribute_units`.
    """

    category: Int[Tensor, ""]
    gate: Float[Tensor, " d"]
    offset: Float[Tensor, " d"]
    members: Int[Tensor, " m"]

    def __init__(
        self, category: int, offset: Float[Tensor, " d"], members: Int[Tensor, " m"], change: Float[Tensor, "m 14"]
    ) -> None:
        super().__init__()
        self.register_buffer("category", torch.tensor(category))
        self.register_buffer("gate", torch.zeros_like(offset))
        self.register_buffer("offset", offset)
        self.register_buffer("members", members)
        self.change = nn.Parameter(change)

    @classmethod
    def empty(cls, dimensions: int, points: int) -> AddedPart:
        """Part of the right sizes whose numbers are still to be loaded."""
        return cls(0, torch.zeros(dimensions), torch.zeros(points, dtype=torch.long), torch.zeros(points, N_ATTRIBUTES))


def parts_in(tensors: Mapping[str, Tensor], prefix: str) -> nn.ModuleList:
    """Empty parts for those that a state holds under ``<prefix>added.<number>.``."""
    parts = nn.ModuleList()
    while f"{prefix}added.{len(parts)}.change" in tensors:
        own = f"{prefix}added.{len(parts)}."
        parts.append(AddedPart.empty(len(tensors[f"{own}offset"]), len(tensors[f"{own}members"])))
    return parts


@torch.no_grad()
def set_gates(parts: Sequence[AddedPart], category: Category, others: Float[Tensor, "s d"]) -> None:
    """Set the gate w of every part of a category: 1 at the part's own subject, 0 at all other subjects of the category.

    Args:
        others: [s, d], z_s − z_ref,k of the subjects that have no part of their own.

    Raises:
        InputError: there is no such w: too many subjects, or a code that others nearly span.
    """
    own = [part for part in parts if int(part.category) == category.index]
    codes = torch.cat([torch.stack([part.offset for part in own]), others]).double()
    if len(codes) > codes.shape[1]:
        raise InputError(
            f"this avatar has no room for another {category.value}: its code has {codes.shape[1]} numbers, and "
            f"{len(codes) - 1} of them are taken"
        )
    for row, part in enumerate(own):
        rest = torch.cat([codes[:row], codes[row + 1 :]])
        free = codes[row] - codes[row] @ torch.linalg.pinv(rest, rtol=1e-6) @ rest if len(rest) else codes[row]
        if free.norm() < LEAST_OWN_SHARE * codes[row].norm():
            raise InputError(
                f"this {category.value} is described like one that the avatar has already; give it another --name"
            )
        part.gate.copy_(free / (free @ codes[row]))


def weights_of(
    parts: Sequence[AddedPart], codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]
) -> Float[Tensor, "s a"]:
    """φ of codes [s, k, d], [s, a]: exactly 0 where a part is not asked for."""
    differences = codes - reference
    found = [differences[:, int(part.category)] @ part.gate for part in parts]
    weights = torch.stack(found, -1)
    return torch.where(weights.abs() < NOTHING, 0.0, weights)


def without(
    parts: Sequence[AddedPart],
    weights: Float[Tensor, "s a"],
    codes: Float[Tensor, "s k d"],
    reference: Float[Tensor, "k d"],
) -> Float[Tensor, "s k d"]:
    """Codes [s, k, d] without what the parts stand for: what the part bases see. Equal to the bit where φ is 0."""
    left = codes.clone()
    for column, part in enumerate(parts):
        k = int(part.category)
        left[:, k] = left[:, k] - weights[:, column, None] * part.offset
    rest, whole = (left - reference).norm(dim=-1), (codes - reference).norm(dim=-1)
    return torch.where((rest < NOTHING * whole)[..., None], reference, left)


def joined(
    changes: Sequence[tuple[Int[Tensor, " _"], Float[Tensor, "_ 14"]]],
) -> tuple[Int[Tensor, " u"], Float[Tensor, "u 14"]]:
    """Changes [m, 14] at points [m] of one category, added up at the union of the points."""
    if len(changes) == 1:
        return changes[0]
    members = torch.unique(torch.cat([points for points, _ in changes]))
    total = torch.zeros(len(members), N_ATTRIBUTES).to(changes[0][1])
    for points, change in changes:
        total = total.index_add(0, torch.searchsorted(members, points), change)
    return members, total

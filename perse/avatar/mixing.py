"""Mixing of the changes of several edits at the points that more than one of them reaches."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from perse.avatar.canonical import N_ATTRIBUTES, OPACITY


def with_changes(
    attributes: Float[Tensor, "n 14"], changes: list[tuple[Int[Tensor, " _"], Float[Tensor, "_ 14"]]]
) -> Float[Tensor, "n 14"]:
    """Attributes [n, 14] with the changes [m, 14] of one or several categories at their points [m].

    A point in the regions of several edited categories cannot obey them all: hair and a hat's brim each move a colour
    logit by several units, and the sum is a colour that neither has. So each category's change counts with its share
    of the point's total, c_k² / Σ c_j² of `_claims`: the edit that changes a point most has it nearly to itself, and
    one edit alone, which is all that training sees, counts in full.
    """
    if len(changes) < 2:
        for members, change in changes:
            attributes = attributes.index_add(0, members, change)
        return attributes
    # The constant leaves an edit alone in full, however little it shows.
    claims = [_claims(attributes[members], change) + 1e-8 for members, change in changes]
    total = torch.zeros_like(attributes[:, :2])
    for (members, _), claim in zip(changes, claims, strict=True):
        total = total.index_add(0, members, claim)
    for (members, change), claim in zip(changes, claims, strict=True):
        look, opacity = (claim / total[members]).unbind(-1)
        shares = torch.where(torch.arange(N_ATTRIBUTES, device=look.device) == OPACITY, opacity[:, None], look[:, None])
        attributes = attributes.index_add(0, members, shares * change)
    return attributes


def _claims(attributes: Float[Tensor, "m 14"], change: Float[Tensor, "m 14"]) -> Float[Tensor, "m 2"]:
    """What changes [m, 14] of points [m, 14] have to say about looks and opacities: [m, 2].

    Whether a point is there is decided by whoever changes that most: a hoodie takes away a space suit's collar, and
    what a hat did to the collar's points, black on black, no longer matters. How it looks is said by those with whom
    it is there.
    """
    before, after = (torch.sigmoid(logits) for logits in (attributes[:, OPACITY], (attributes + change)[:, OPACITY]))
    others = torch.arange(N_ATTRIBUTES, device=change.device) != OPACITY
    look = after * change[:, others].square().sum(-1)
    return torch.stack([look, (10 * (after - before)).square()], -1).square()

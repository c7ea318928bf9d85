"""The *part bases* decoder: every point has attributes of its own, and every category a small basis of changes.

::

    a(z) = a_0 + MLP(x_gc) + Σ_k B_k · tanh(W_k (z_k − z_ref,k))          attributes of a point, [14]

Ours, and the default without a GPU. The sum over categories keeps the parts' coefficients apart: z_k of hair enters
nothing but B_hair. The reference is exactly zero in every term, and an edit costs one small product. B_k exists only
for points in the *region* of its category (where the training clips of that category differ from the reference), so
an edit cannot reach other parts' points at all, and memory and Adam's work shrink with the regions. Where several
edits meet at one point, the sum is weighted (see `_changed`).

tanh with near-fixed directions W_k cannot collapse: a learned net in its place suppresses small and rare edits
(REFERENCE §7).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perse.attributes import CATEGORIES
from perse.avatar.canonical import COLOR, LOG_SCALE, MEAN, N_ATTRIBUTES, OPACITY, QUAT, CanonicalGaussians
from perse.avatar.mlp import ConditionedMLP, encoding_width, positional_encoding
from perse.avatar.motion import FrameMotion
from perse.avatar.points import StartingPoints
from perse.avatar.posing import N_RESPONSES, pose_points
from perse.gaussians import Gaussians

HEAD_RADIUS_M = 0.15
"""x_gc is divided by this before it is encoded."""


@dataclass(frozen=True, kw_only=True)
class PartBasesConfig:
    """Sizes of the part-bases decoder."""

    rank: int = 8
    """Basis directions of one category. At least the number of its subjects lets each be exact."""
    bend: float = 0.25
    """How far the coefficients leave a straight line: tanh(bend · x) / bend. With 1 or more most of an interpolation's
    change happens in its middle third, and detours on the way are twice as long [M]."""
    features: int = 32
    """Learned features of a point that enter the shared MLP."""
    encoding_octaves: int = 5
    """Octaves of the positional encoding of x_gc."""
    hidden: int = 48
    """Width of the shared MLP: small beats large on a CPU (REFERENCE §7)."""
    depth: int = 2
    """Hidden layers of the shared MLP; 0 leaves it out."""
    pose_response: bool = True
    """Whether opacity and colour answer to the point's displacement and turn (the place of MLP_pose)."""
    learn_skinning: bool = True
    """Whether skinning weights may leave the head model's."""


class PartBases(nn.Module):
    """Shared attributes plus one region-bound basis for each category."""

    encoded: Tensor
    regions: Tensor
    blend_basis: Tensor
    skinning_logits: Tensor
    units: Tensor

    def __init__(self, config: PartBasesConfig, latent_dimensions: int, start: StartingPoints) -> None:
        super().__init__()
        self.config = config
        n = len(start)
        self.register_buffer("units", attribute_units())
        self.register_buffer("encoded", positional_encoding(start.prior.open_mouth / HEAD_RADIUS_M,
                                                            config.encoding_octaves))  # fmt: skip
        self.register_buffer("regions", start.regions)
        self.register_buffer("blend_basis", start.prior.blend_basis.contiguous())
        self.register_buffer("skinning_logits", torch.log(start.prior.skinning.clamp_min(1e-4)))
        self.base = nn.Parameter(start.attributes / self.units)
        self.features = nn.Parameter(0.1 * torch.randn(n, config.features))
        self.residual: ConditionedMLP | None = None
        if config.depth:
            width = encoding_width(config.encoding_octaves) + config.features
            self.residual = ConditionedMLP(
                width, 0, N_ATTRIBUTES, hidden=config.hidden, depth=config.depth, activation=torch.relu, out_gain=0.1
            )
        self.skinning_residual = nn.Parameter(torch.zeros_like(self.skinning_logits)) if config.learn_skinning else None
        self.response = nn.Parameter(torch.zeros(n, N_RESPONSES if config.pose_response else 0))
        members = [torch.nonzero(start.regions[:, k])[:, 0] for k in range(len(CATEGORIES))]
        for k, indices in enumerate(members):
            self.register_buffer(f"members_{k}", indices, persistent=False)
        self.bases = nn.ParameterList(nn.Parameter(torch.zeros(config.rank, len(m), N_ATTRIBUTES)) for m in members)
        directions = torch.randn(len(CATEGORIES), latent_dimensions, config.rank)
        self.directions = nn.Parameter(torch.linalg.qr(directions)[0].contiguous())

    def __len__(self) -> int:
        """Number of points n."""
        return self.base.shape[0]

    @property
    def members(self) -> list[Tensor]:
        """For each category, the points [m] of its region."""
        return [getattr(self, f"members_{k}") for k in range(len(CATEGORIES))]

    def coefficients(self, codes: Tensor, reference: Tensor) -> Tensor:
        """tanh(W_k (z_k − z_ref,k)) for codes [s, k, d]: [s, k, r]. Exactly 0 where a row is the reference's."""
        bend = self.config.bend
        return torch.tanh(bend * torch.einsum("skd,kdr->skr", codes - reference, self.directions)) / bend

    def shared_attributes(self) -> Tensor:
        """a_0 + MLP(x_gc): the reference, [n, 14] in units of `attribute_units`."""
        if self.residual is None:
            return self.base
        return self.base + self.residual(torch.cat([self.encoded, self.features], -1))

    def canonicalise(self, codes: Tensor, reference: Tensor) -> CanonicalGaussians:
        """Eq. 18–23 for codes [s, k, d], with z_ref [k, d].

        Only categories whose row differs from the reference are touched. Skipping the others is exact, their
        coefficients being zero, and leaves their parameters without a gradient: Adam then leaves them alone.
        """
        shared = self.shared_attributes()
        active = (codes != reference).any(-1)  # [s, k]
        weights = self.coefficients(codes, reference)
        subjects = []
        for subject in range(len(codes)):
            changes = [
                (self.members[k], torch.einsum("r,rmc->mc", weights[subject, k], self.bases[k]))
                for k in torch.nonzero(active[subject])[:, 0].tolist()
            ]
            subjects.append(_changed(shared, changes))
        logits = self.skinning_logits
        if self.skinning_residual is not None:
            logits = logits + self.skinning_residual
        return CanonicalGaussians(
            torch.stack(subjects) * self.units, self.blend_basis, torch.softmax(logits, -1), self.response
        )

    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Tensor) -> Gaussians:
        """Eq. 21–29 for f frames: [f, n]."""
        return pose_points(canonical, motion, of_frame)

    @torch.no_grad()
    def free_directions(self, category: int, codes: Tensor, reference: Tensor) -> Tensor:
        """Projector [r, r] on the changes of a category's basis that move none of its subjects.

        B_k g_s stays what it is for every subject s of the category when B_k moves orthogonally to all g_s. The way
        *between* two subjects, bent by the tanh, leaves their span, and can still be shaped. No subjects, no limits;
        with as many subjects as directions nothing is left to move.

        Args:
            codes: [s, k, d], those that shall stay.
        """
        coefficients = self.coefficients(codes, reference)[:, category]
        held = coefficients[coefficients.any(-1)]  # [s', r]
        identity = torch.eye(self.config.rank).to(held)
        return identity - torch.linalg.pinv(held, rtol=1e-4) @ held

    @torch.no_grad()
    def absorb_edits(self, codes: Tensor, reference: Tensor, edits: Tensor) -> None:
        """Choose the bases so that the training subjects start with given changes.

        For each category the smallest B_k with B_k g_s = edit_s for its subjects s (least squares through the
        pseudo-inverse of their coefficients, exact while there are no more subjects than directions).

        Args:
            codes: [s, k, d]; reference: [k, d]; edits: [s, n, 14], zero outside the subjects' regions.
        """
        active = (codes != reference).any(-1)
        weights = self.coefficients(codes, reference)
        for k, members in enumerate(self.members):
            subjects = torch.nonzero(active[:, k])[:, 0]
            if len(subjects) and len(members):
                wanted = (edits[subjects][:, members] / self.units).flatten(1)  # [s, m · 14]
                inverse = torch.linalg.pinv(weights[subjects, k], rtol=0.05)  # [r, s]
                self.bases[k].copy_((inverse @ wanted).unflatten(1, (len(members), N_ATTRIBUTES)))


def _changed(attributes: Tensor, changes: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Attributes [n, 14] with the changes [m, 14] of one or several categories at their points [m].

    A point in the regions of several edited categories cannot obey them all: hair and a hat's brim each move a colour
    logit by several units, and the sum is a colour that neither has. So each category's change counts with its share
    of the point's total, |Δ_k|⁴ / Σ |Δ_j|⁴: the edit that changes a point most has it nearly to itself, and one edit
    alone, which is all that training sees, counts in full.
    """
    if len(changes) < 2:
        for members, change in changes:
            attributes = attributes.index_add(0, members, change)
        return attributes
    claims = [change.square().sum(-1).square() for _, change in changes]
    total = torch.full_like(attributes[:, 0], 1e-8)
    for (members, _), claim in zip(changes, claims, strict=True):
        total = total.index_add(0, members, claim)
    for (members, change), claim in zip(changes, claims, strict=True):
        attributes = attributes.index_add(0, members, (claim / total[members])[:, None] * change)
    return attributes


def attribute_units() -> Tensor:
    """What a step of 1 means for each of the 14 attributes.

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

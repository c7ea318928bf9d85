"""*Part bases* decoder: every point has attributes of its own, and every category a small basis of changes.

::

    a(z) = a_0 + MLP(x_gc) + Σ_k B_k · tanh(W_k (z_k − z_ref,k))          attributes of a point, [14]

Ours, and the default without a GPU. The sum over categories keeps the parts' coefficients apart: z_k of hair enters
nothing but B_hair. The reference is exactly zero in every term, and an edit costs one small product. B_k exists only
for points in the *region* of its category (where the training clips of that category differ from the reference), so
an edit cannot reach other parts' points at all, and memory and Adam's work shrink with the regions. Points behind the
head and the body, which no frame shows, stay as they start (`perse.avatar.backs`). Where several edits meet at one
point, the sum is weighted (see `perse.avatar.mixing`).

*Between* two subjects of a category the coefficients run nearly straight, and the picture is a fade. Before
fine-tuning, `lay_hidden_points` puts what a subject hides onto its own surface, so that points travel from one surface
to the other. And `hold_pivots` lets coefficients leave the subjects' span: a term is added that is zero at every
subject and at the reference, and points where no subject's coefficients do, so that B_k can learn the middle there and
the ends cannot notice.

tanh with near-fixed directions W_k cannot collapse: a learned net in its place suppresses small and rare edits
(docs/reference.md#the-laptop-avatar).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from perse.attributes import CATEGORIES, Category
from perse.avatar.added_parts import AddedPart, AttributeStart, joined, parts_in, set_gates, weights_of, without
from perse.avatar.canonical import N_ATTRIBUTES, CanonicalGaussians, attribute_units
from perse.avatar.decoder import Decoder, layers_flop
from perse.avatar.hidden_points import ShownPoints, waiting_changes
from perse.avatar.mixing import with_changes
from perse.avatar.mlp import ConditionedMLP, encoding_width, positional_encoding
from perse.avatar.motion import FrameMotion
from perse.avatar.pivots import BETWEEN_BEND, PivotFrame, curve
from perse.avatar.points import Layer, StartingPoints
from perse.avatar.posing import N_RESPONSES, pose_points
from perse.gaussians import Gaussians

HEAD_RADIUS_M = 0.15
"""x_gc is divided by this before it is encoded."""


@dataclass(frozen=True, kw_only=True)
class PartBasesConfig:
    """Sizes of the part-bases decoder."""

    kind: ClassVar[str] = "part_bases"

    rank: int = 12
    """Basis directions of one category, at most as many as its latent has numbers. As many as it has subjects lets each
    be exact; the rest is what fine-tuning shapes the way between them with, and 8 to 12 for four subjects bring it a
    tenth nearer to the morphs [M]."""
    bend: float = 0.25
    """How far the coefficients leave a straight line: tanh(bend · x) / bend. With 1 or more most of an interpolation's
    change happens in its middle third, and detours on the way are twice as long [M]."""
    features: int = 32
    """Learned features of a point that enter the shared MLP."""
    encoding_octaves: int = 5
    """Octaves of the positional encoding of x_gc."""
    hidden: int = 48
    """Width of the shared MLP: small beats large on a CPU (docs/reference.md#the-laptop-avatar)."""
    depth: int = 2
    """Hidden layers of the shared MLP; 0 leaves it out."""
    pose_response: bool = True
    """Whether opacity and colour answer to the point's displacement and turn (the place of MLP_pose)."""
    learn_skinning: bool = True
    """Whether skinning weights may leave the head model's."""

    def build(self, latent_dimensions: int, start: StartingPoints, n_subjects: int) -> PartBases:
        """The decoder, with room for the codes of that many subjects."""
        return PartBases(self, latent_dimensions, start, n_subjects)

    def training_flop(self, points: int) -> float:
        """Operations of a training image; see `DecoderConfig`."""
        if not self.depth:
            return 0.0
        first = encoding_width(self.encoding_octaves) + self.features
        return layers_flop(points, [first, *[self.hidden] * self.depth, N_ATTRIBUTES])


class PartBases(Decoder):
    """Shared attributes plus one region-bound basis for each category."""

    LEAST_SKINNING: ClassVar[float] = 1e-4
    """Smallest share of a joint: what is below could not be learned away from zero."""

    encoded: Float[Tensor, "n e"]
    skinning_logits: Float[Tensor, "n j"]
    units: Float[Tensor, "14"]
    fixed: Bool[Tensor, " n"]
    pivots: Float[Tensor, "s d"]
    pivot_rows: Int[Tensor, " s"]

    def __init__(
        self, config: PartBasesConfig, latent_dimensions: int, start: StartingPoints, n_subjects: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        n = len(start)
        self.register_buffer("units", attribute_units())
        self.register_buffer("encoded", positional_encoding(start.prior.open_mouth / HEAD_RADIUS_M,
                                                            config.encoding_octaves))  # fmt: skip
        self.register_buffer("regions", start.regions)
        self.register_buffer("blend_basis", start.prior.blend_basis.contiguous())
        self.register_buffer("skinning_logits", torch.log(start.prior.skinning.clamp_min(self.LEAST_SKINNING)))
        self.register_buffer("fixed", start.layers == Layer.BACK)
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
        rank = min(config.rank, latent_dimensions)
        self.bases = nn.ParameterList(nn.Parameter(torch.zeros(rank, len(m), N_ATTRIBUTES)) for m in members)
        self.register_buffer("pivots", torch.zeros(n_subjects, latent_dimensions))
        self.register_buffer("pivot_rows", torch.full((n_subjects,), -1))
        directions = torch.randn(len(CATEGORIES), latent_dimensions, rank)
        self.directions = nn.Parameter(torch.linalg.qr(directions)[0].contiguous())
        self.added = nn.ModuleList()

    def __len__(self) -> int:
        """Number of points n."""
        return self.base.shape[0]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Avatars that were made before there were fixed points have none."""
        state_dict.setdefault(f"{prefix}fixed", torch.zeros_like(self.fixed))
        super()._load_from_state_dict(state_dict, prefix, *others)  # type: ignore[no-untyped-call]

    @property
    def n_in_front(self) -> int:
        """Number of leading points that a training draws: the fixed points come after all that an avatar starts
        with."""
        fixed = torch.nonzero(self.fixed)
        return int(fixed[0]) if len(fixed) else len(self)

    @property
    def backs(self) -> Bool[Tensor, " n"] | None:
        """Mask [n] of the points that close the back; see `Decoder`."""
        return self.fixed if bool(self.fixed.any()) else None

    @property
    def members(self) -> list[Int[Tensor, " _"]]:
        """Points [m] of each category's region."""
        return [getattr(self, f"members_{k}") for k in range(len(CATEGORIES))]

    def coefficients(self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]) -> Float[Tensor, "s k r"]:
        """Coefficients [s, k, r] of codes [s, k, d]: tanh(W_k (z_k − z_ref,k)). Exactly 0 where a row is the
        reference's."""
        differences = codes - reference
        return self._between(curve(differences, self.directions, self.config.bend), differences, reference)

    def _between(self, coefficients: Tensor, differences: Tensor, reference: Tensor) -> Tensor:
        """Add what leaves the pivots' span (`perse.avatar.pivots`); nothing before `hold_pivots`."""
        differ = (differences != 0).any(-1)  # [s, k]
        held = set(self.pivot_rows.tolist())
        rows = [k for k in torch.nonzero(differ.any(0))[:, 0].tolist() if k in held]
        if not rows:
            return coefficients
        bent = curve(differences, self.directions, BETWEEN_BEND)
        added = torch.zeros_like(coefficients)
        for k in rows:
            added[:, k] = self._pivot_frame(k, reference).between(coefficients[:, k], bent[:, k])
        # Exactly nothing at the reference, whatever the pivots.
        return coefficients + torch.where(differ[..., None], added, 0.0)

    @torch.no_grad()
    def _pivot_frame(self, category: int, reference: Tensor) -> PivotFrame:
        differences = self.pivots[self.pivot_rows == category] - reference[category]
        return PivotFrame.of(differences, self.directions[category], self.config.bend)

    def shared_attributes(self) -> Float[Tensor, "n 14"]:
        """Attributes of the reference, [n, 14] in units of `attribute_units`: a_0 + MLP(x_gc). Fixed points keep
        a_0."""
        learned = self.base
        if self.residual is not None:
            learned = learned + self.residual(torch.cat([self.encoded, self.features], -1))
        return torch.where(self.fixed[:, None], self.base.detach(), learned)

    def canonicalise(self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]) -> CanonicalGaussians:
        """Canonical Gaussians of codes [s, k, d], with z_ref [k, d] (Eq. 18–23).

        Only categories whose row differs from the reference are touched. Skipping the others is exact, their
        coefficients being zero, and leaves their parameters without a gradient: Adam then leaves them alone.
        """
        shared = self.shared_attributes()
        own = codes.new_zeros(len(codes), 0)
        if len(self.added):
            own = weights_of(self.parts, codes, reference)
            codes = without(self.parts, own, codes, reference)
        active = (codes != reference).any(-1)  # [s, k]
        weights = self.coefficients(codes, reference)
        subjects = []
        for subject in range(len(codes)):
            changes = {
                k: [(self.members[k], self._change(k, weights[subject, k]))]
                for k in torch.nonzero(active[subject])[:, 0].tolist()
            }
            for number in torch.nonzero(own[subject])[:, 0].tolist():
                part = self.parts[number]
                changes.setdefault(int(part.category), []).append((part.members, own[subject, number] * part.change))
            subjects.append(with_changes(shared, [joined(of_category) for of_category in changes.values()]))
        logits = self.skinning_logits
        if self.skinning_residual is not None:
            logits = logits + self.skinning_residual
        return CanonicalGaussians(
            torch.stack(subjects) * self.units, self.blend_basis, torch.softmax(logits, -1), self.response
        )

    @property
    def parts(self) -> list[AddedPart]:
        """Attributes that were learned after the training, see `perse.avatar.added_parts`."""
        return [part for part in self.added if isinstance(part, AddedPart)]

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Make the added parts of a state."""
        self.added = parts_in(tensors, "")

    @torch.no_grad()
    def add_part(
        self, category: Category, offset: Float[Tensor, " d"], others: Float[Tensor, "s d"], start: AttributeStart
    ) -> AddedPart:
        """Add a column for a new subject; the picture of no other one changes.

        Args:
            offset: [d], z_new − z_ref,k; others: [s, d], the same of the category's subjects without a part of
                their own.
            start: where the column begins.

        Raises:
            InputError: see `set_gates`; the decoder is as it was.
        """
        first = len(self)
        members = torch.cat([start.members, torch.arange(first, first + len(start.prior))])
        change = torch.cat([start.change, start.change_of_points]) / self.units.cpu()
        part = AddedPart(category.index, offset.detach().clone(), members.to(offset.device), change.to(offset.device))
        set_gates([*self.parts, part], category, others)
        self._add_points(start)
        self.pivots = torch.cat([self.pivots, self.pivots.new_zeros(1, self.pivots.shape[1])])
        self.pivot_rows = torch.cat([self.pivot_rows, self.pivot_rows.new_full((1,), -1)])
        self.added.append(part)
        return part

    def _add_points(self, start: AttributeStart) -> None:
        """Points that no other subject shows, after all others."""
        prior, device = start.prior, self.base.device
        encoded = positional_encoding(prior.open_mouth / HEAD_RADIUS_M, self.config.encoding_octaves).to(device)
        features = self.features.new_zeros(len(prior), self.features.shape[1])
        base = start.attributes.to(device) / self.units
        if self.residual is not None:
            base = base - self.residual(torch.cat([encoded, features], -1))
        for name, rows in {
            "base": base,
            "features": features,
            "response": self.response.new_zeros(len(prior), self.response.shape[1]),
            "encoded": encoded,
            "regions": self.regions.new_zeros(len(prior), self.regions.shape[1]),
            "fixed": self.fixed.new_zeros(len(prior)),
            "blend_basis": prior.blend_basis,
            "skinning_logits": torch.log(prior.skinning.clamp_min(self.LEAST_SKINNING)),
            "skinning_residual": torch.zeros(len(prior), self.skinning_logits.shape[1]),
        }.items():
            before = getattr(self, name)
            if before is not None:
                joined_rows = torch.cat([before.detach(), rows.to(before)])
                setattr(self, name, nn.Parameter(joined_rows) if isinstance(before, nn.Parameter) else joined_rows)

    def _change(self, category: int, weights: Float[Tensor, " r"]) -> Float[Tensor, "m 14"]:
        """B_k times coefficients [r]: [m, 14]. Fixed points carry no gradient: what is hardly seen has gradients of
        rounding errors, of which Adam makes full steps."""
        change = torch.einsum("r,rmc->mc", weights, self.bases[category])
        return torch.where(self.fixed[self.members[category], None], change.detach(), change)

    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
        """Gaussians [f, n] of f frames (Eq. 21–29)."""
        return pose_points(canonical, motion, of_frame)

    @torch.no_grad()
    def lay_hidden_points(
        self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"], categories: Int[Tensor, " s"]
    ) -> None:
        """Move what a subject of a category hides onto its own surface (`perse.avatar.hidden_points`).

        Exact for a category with no more subjects than directions; any other is left alone, and so are attributes that
        were added later.

        Args:
            codes: [s, k, d] of all subjects; categories: [s], their rows, -1 for the reference.
        """
        attributes = self.canonicalise(codes, reference).attributes
        weights = self.coefficients(codes, reference)
        before = self.shared_attributes() * self.units
        for k, members in enumerate(self.members):
            subjects = torch.nonzero(categories == k)[:, 0]
            if len(self.added) or not len(members) or not 2 <= len(subjects) <= self.directions.shape[-1]:
                continue
            look = ShownPoints(attributes[subjects][:, members].cpu(), before[members].cpu())
            changes = waiting_changes(look).to(before) / self.units
            inverse = torch.linalg.pinv(weights[subjects, k], rtol=1e-4)  # [r, s]
            self.bases[k].add_((inverse @ changes.flatten(1)).unflatten(1, (len(members), N_ATTRIBUTES)))

    @torch.no_grad()
    def hold_pivots(
        self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"], categories: Int[Tensor, " s"]
    ) -> None:
        """Make `free_part` of each basis invisible to these subjects from now on: it is seen only between them.

        What the bases hold there by accident is removed; no subject changes. Codes and directions must stay as they
        are from here on. Does nothing for a category with as many subjects as directions, and nothing where pivots
        are held already (a resumed fine-tuning).

        Args:
            codes: [s, k, d] of all subjects; categories: [s], their rows, -1 for the reference.
        """
        if (self.pivot_rows >= 0).any():
            return
        self.pivot_rows.copy_(categories)
        edited = torch.nonzero(categories >= 0)[:, 0]
        self.pivots[edited] = codes[edited, categories[edited]]
        for k in {k for k in categories.tolist() if k >= 0}:
            self.bases[k].sub_(self.free_part(k, self.bases[k], reference))

    @contextmanager
    def between_pivots(self, category: int, reference: Float[Tensor, "k d"]) -> Iterator[None]:
        """Context in which what an update does to the category's basis is projected onto `free_part`.

        Adam scales every number on its own and so leaves any subspace: not the gradient, its step is projected.
        """
        basis = self.bases[category]
        before = basis.detach().clone()
        yield
        with torch.no_grad():
            basis.copy_(before + self.free_part(category, basis - before, reference))

    @torch.no_grad()
    def free_part(
        self, category: int, change: Float[Tensor, "r m 14"], reference: Float[Tensor, "k d"]
    ) -> Float[Tensor, "r m 14"]:
        """Part of a basis, or of a change of one, [r, m, 14], that moves no pivot of its category."""
        return torch.einsum("rs,smc->rmc", self._pivot_frame(category, reference).free, change)

    @torch.no_grad()
    def absorb_edits(
        self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"], edits: Float[Tensor, "s n 14"]
    ) -> None:
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

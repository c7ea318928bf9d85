"""The decoder: what turns latent codes into Gaussians, and what a training may ask of it.

`canonicalise` and `pose` are the avatar (Eq. 18–29). The other methods are what one kind of decoder needs of a training
and another does not: whoever trains asks every decoder the same questions, and a decoder that a question does not
concern inherits an answer that changes nothing. A new decoder, such as a baseline's, is one file and a line in
`perse.avatar.storage`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from perse.avatar.canonical import CanonicalGaussians
from perse.avatar.facing import culled
from perse.avatar.motion import FrameMotion
from perse.avatar.points import StartingPoints
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render import Rasterizer, Rendering, rasterize


@dataclass(frozen=True)
class PointPlan:
    """The points after a densification event.

    Attributes:
        parents: [n'] int64, the old row each new row descends from.
        fresh: [n'] bool, True for rows that are new, False for old points that stay.
    """

    parents: Int[Tensor, " n2"]
    fresh: Bool[Tensor, " n2"]

    def __len__(self) -> int:
        return len(self.parents)


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, pictures: Shaped[Tensor, "f h w ..."]) -> Shaped[Tensor, "f height width ..."]:
        """The part of pictures [f, h, w, ...] that it covers."""
        return pictures[:, self.top : self.top + self.height, self.left : self.left + self.width].contiguous()

    def through(self, camera: Camera) -> Camera:
        """The camera that sees just that."""
        return camera.cropped(self.left, self.top, self.width, self.height)


@dataclass(frozen=True)
class LearnedDeformation:
    """Blendshapes and skinning weights of p points as learned, beside the head model's at the same places (Eq. 31).

    Attributes:
        basis, head_basis: [p, 3, m] metres; expressions first, then pose correctives.
        skinning, head_skinning: [p, j], rows sum to one.
    """

    basis: Float[Tensor, "p 3 m"]
    skinning: Float[Tensor, "p j"]
    head_basis: Float[Tensor, "p 3 m"]
    head_skinning: Float[Tensor, "p j"]


class Decoder(nn.Module, ABC):
    """Function from latent codes to Gaussians. `PartBases` and `Networks` are decoders.

    Attributes:
        blend_basis: buffer [n, 3, m], metres, E and P of the head model at every point.
        regions: buffer [n, k] bool, the points that a category may change.
    """

    blend_basis: Float[Tensor, "n 3 m"]
    regions: Bool[Tensor, "n k"]

    # What it is

    @abstractmethod
    def __len__(self) -> int:
        """Number of points n."""

    @abstractmethod
    def canonicalise(self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]) -> CanonicalGaussians:
        """Canonical Gaussians [s, n] of codes [s, k, d], with z_ref [k, d] (Eq. 18–20, 23)."""

    @abstractmethod
    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
        """Gaussians [f, n] of f frames from canonical Gaussians [s, n]; frame i shows subject of_frame[i] (Eq.
        21–29)."""

    def draw(
        self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"], camera: Camera,
        rasterizer: Rasterizer,
    ) -> Rendering:  # fmt: skip
        """Pictures of f frames on white (Eq. 3). A decoder that is not made of Gaussians draws by itself."""
        gaussians = self.pose(canonical, motion, of_frame)
        if self.backs is not None and len(gaussians) == len(self.backs):
            gaussians = culled(gaussians, self.backs, camera)
        white = torch.ones(3, device=gaussians.means.device)
        return rasterize(gaussians, camera, background=white, rasterizer=rasterizer)

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Make what a fresh decoder lacks for a state, given as tensors by their names in the decoder, before it is
        loaded."""

    @property
    def performances(self) -> Mapping[str, Tensor]:
        """Motions that the avatar brings along, by name: θ [f, j, 3] axis-angle. Heads share a built-in one instead."""
        return {}

    # What a training asks; nothing by default

    @property
    def n_in_front(self) -> int:
        """Number of leading points that a training draws. The others close the back and stay as they start."""
        return len(self)

    @property
    def backs(self) -> Float[Tensor, " n"] | None:
        """Mask [n] of the points that close the back; None where there are none."""
        return None

    def absorb_edits(
        self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"], edits: Float[Tensor, "s n 14"]
    ) -> None:
        """Start from given changes of attributes [s, n, 14] of the subjects with codes [s, k, d]."""

    def arithmetic(self) -> AbstractContextManager[None]:
        """Context of a forward and backward pass: the precision in which products are made."""
        return nullcontext()

    def compile(self, *_: object, **__: object) -> None:
        """Put through torch.compile what is worth it. Called once, on CUDA devices."""

    def gradient_pattern(self) -> Hashable | None:
        """A value that stays the same while every step reaches the same parameters; None where steps differ."""
        return None

    def begin_step(self, progress: float, *, pose_networks_from: float) -> None:
        """Begin a step at a share of the training in [0, 1]; `pose_networks_from` is the recipe's."""

    def window(self, camera: Camera, rng: np.random.Generator) -> Window | None:
        """The part of all pictures that a step draws; None is all of them, which every step of a rasterizer can."""
        return None

    def own_loss(self, canonical: CanonicalGaussians) -> Float[Tensor, ""] | None:
        """Term of the decoder's own that is added to every step's loss; None where it has none."""
        return None

    def learned_deformation(self, canonical: CanonicalGaussians) -> LearnedDeformation | None:
        """Deformation that the FLAME term (Eq. 31) compares with the head model's; None where it is the head model's
        own."""
        return None

    def point_tensors(self) -> Sequence[str]:
        """Names of the parameters and buffers with one row a point; none if points cannot be added or removed."""
        return ()

    def replace_points(self, plan: PointPlan, radius_m: float, rng: np.random.Generator) -> None:
        """Carry out a densification event; fresh points lie about `radius_m` from their parents."""
        raise NotImplementedError(f"{type(self).__name__} names no point tensors and has fixed points")

    def shrink_scales(self, factor: float) -> None:
        """Make all Gaussians smaller."""

    def lay_hidden_points(
        self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"], categories: Int[Tensor, " s"]
    ) -> None:
        """Move points that subjects hide, once before fine-tuning, to where they suit the way to the other subjects
        (`perse.avatar.hidden_points`). Subjects have codes [s, k, d] and categories [s] (-1: the reference)."""

    def hold_pivots(
        self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"], categories: Int[Tensor, " s"]
    ) -> None:
        """Begin fine-tuning, in which the subjects with codes [s, k, d] and categories [s] (-1: the reference) keep
        their looks."""

    def between_pivots(self, category: int, reference: Float[Tensor, "k d"]) -> AbstractContextManager[None]:
        """Context of an update that is to change a category between its subjects only."""
        return nullcontext()


class DecoderConfig(Protocol):
    """Configuration of a decoder: a frozen dataclass of numbers, so that it can be written down as JSON."""

    kind: ClassVar[str]
    """Its name in an avatar's description."""

    def build(self, latent_dimensions: int, start: StartingPoints, n_subjects: int) -> Decoder:
        """A decoder with fresh weights."""
        ...

    def training_flop(self, points: int) -> float:
        """Floating point operations of its networks for one training image: forward, and twice that backward."""
        ...


def layers_flop(points: int, widths: Sequence[int]) -> float:
    """Operations of linear layers of the given widths on n points: forward once, backward twice, two a weight."""
    return 3 * 2.0 * points * sum(a * b for a, b in pairwise(widths))


@torch.no_grad()
def inherit_rows(decoder: Decoder, plan: PointPlan, device: torch.device) -> None:
    """Give every point tensor the rows of a plan; parameters stay parameters."""
    parents = plan.parents.to(device)
    for name in decoder.point_tensors():
        before = getattr(decoder, name)
        rows = before[parents].clone()
        setattr(decoder, name, nn.Parameter(rows) if isinstance(before, nn.Parameter) else rows)

"""The avatar: latent space, decoder and skeleton behind two functions.

::

    z ──canonicalise──► CanonicalGaussians        depends on z only: once per subject and step, cached when serving
        CanonicalGaussians, ψ, θ ──pose──► Gaussians [f]                  per frame; then a rasterizer draws them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from perse.attributes import Category
from perse.avatar.canonical import CanonicalGaussians
from perse.avatar.decoder import Decoder, DecoderConfig
from perse.avatar.facing import culled
from perse.avatar.latents import LatentConfig, LatentSpace, SubjectFeatures
from perse.avatar.motion import FrameMotion, Skeleton
from perse.avatar.part_bases import PartBasesConfig
from perse.avatar.points import StartingPoints
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.render import Rasterizer, Rendering


@dataclass(frozen=True, kw_only=True)
class AvatarConfig:
    """Configuration of an avatar: its decoder, and the size of its latent space."""

    latents: LatentConfig = field(default_factory=LatentConfig)
    """MLP_z and the reference latents."""
    decoder: DecoderConfig = field(default_factory=PartBasesConfig)
    """`PartBasesConfig` (the laptop's default) or `NetworksConfig` (the paper's)."""


@dataclass(frozen=True)
class Subject:
    """A row of the subjects table: one edited portrait that the avatar has learned.

    Attributes:
        key: the edited portrait's key, or the identity's for the reference.
        category: what was edited; None for the reference.
        text: the prompt's sentence; empty for the reference.
    """

    key: str
    category: Category | None
    text: str


@dataclass(frozen=True)
class AvatarCard:
    """Description of an avatar: what somebody who is handed one needs to know to use it.

    Attributes:
        key: identity key of the portrait.
        camera: the portrait's camera at the training size; a good default view.
        expression_names, joint_names: what the entries of ψ and θ mean.
        absent: categories that the portrait does not show.
        encoder: the feature encoder of its subjects, by name; empty if nobody said. A new attribute needs the same one.
    """

    key: str
    camera: Camera
    expression_names: tuple[str, ...]
    joint_names: tuple[str, ...]
    absent: tuple[Category, ...]
    encoder: str = ""


class Avatar(nn.Module):
    """Avatar of one person: a latent space, a decoder and a skeleton.

    Attributes:
        config: sizes.
        card: identity, camera and names.
        subjects: the table, the reference first; `features` has the same rows.
    """

    features_image: Float[Tensor, "s w"]
    features_text: Float[Tensor, "s w"]
    features_categories: Int[Tensor, " s"]

    def __init__(
        self,
        config: AvatarConfig,
        card: AvatarCard,
        skeleton: Skeleton,
        start: StartingPoints,
        subjects: Sequence[Subject],
        features: SubjectFeatures,
        *,
        seed: int,
    ) -> None:
        """
        Args:
            skeleton: of the identity.
            start: from `initialisation.starting_points`; its edits have the order of the subjects.
            features: f_I, f_T and categories of the subjects.
            seed: of all first weights.
        """
        super().__init__()
        if len(subjects) != len(features):
            raise ValueError(f"{len(subjects)} subjects but features of {len(features)}; give one row for each subject")
        self.config = config
        self.card = card
        self.skeleton = skeleton
        self.subjects = tuple(subjects)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.latents = LatentSpace(config.latents, card.absent, features)
            self.decoder: Decoder = config.decoder.build(config.latents.dimensions, start, len(subjects))
        for name in ("image", "text", "categories"):
            self.register_buffer(f"features_{name}", getattr(features, name))
        if len(start.edits) == len(subjects):
            self.decoder.absorb_edits(self.subject_codes(), self.latents.reference, start.edits)

    @property
    def features(self) -> SubjectFeatures:
        return SubjectFeatures(self.features_image, self.features_text, self.features_categories)

    @property
    def device(self) -> torch.device:
        """Device of its tensors."""
        return self.features_categories.device

    @property
    def n_gaussians(self) -> int:
        return len(self.decoder)

    def subject_codes(self, rows: Int[Tensor, " s"] | None = None) -> Float[Tensor, "s k d"]:
        """Codes z [s, k, d] of rows of the subjects table; all of them by default."""
        return self.latents(self.features if rows is None else self.features[rows])

    def add_subject(self, subject: Subject, image: Float[Tensor, " w"], text: Float[Tensor, " w"]) -> int:
        """A new row of the table, with features f_I and f_T [w]; MLP_z stays as it is. Returns the row's number."""
        assert subject.category is not None, "there is one reference"
        row = torch.tensor([subject.category.index], device=self.device)
        self.features_image = torch.cat([self.features_image, image[None].to(self.features_image)])
        self.features_text = torch.cat([self.features_text, text[None].to(self.features_text)])
        self.features_categories = torch.cat([self.features_categories, row])
        self.subjects = (*self.subjects, subject)
        return len(self.subjects) - 1

    def row(self, key: str) -> int:
        """Row of a subject in the table.

        Raises:
            KeyError: there is no such subject.
        """
        for index, subject in enumerate(self.subjects):
            if subject.key == key:
                return index
        raise KeyError(f"no subject {key!r}; there are {', '.join(s.key for s in self.subjects)}")

    def canonicalise(self, codes: Float[Tensor, "*s k d"]) -> CanonicalGaussians:
        """Canonical Gaussians of codes [s, k, d] or of one code [k, d] (then without a leading dimension)."""
        if codes.ndim == 2:
            return self.decoder.canonicalise(codes[None], self.latents.reference).subject(0)
        return self.decoder.canonicalise(codes, self.latents.reference)

    def pose(
        self,
        canonical: CanonicalGaussians,
        frames: HeadParameters | FrameMotion,
        of_frame: Int[Tensor, " f"] | None = None,
    ) -> Gaussians:
        """Gaussians [f, n] in world space.

        Args:
            canonical: from `canonicalise`, of s subjects or of one.
            frames: expression and pose; or a motion that `skeleton` made of them, when it is used many times.
            of_frame: [f] int64, the subject that each frame shows. May be left out for a single subject.
        """
        motion = self.skeleton(frames) if isinstance(frames, HeadParameters) else frames
        canonical = canonical.with_subjects()
        if of_frame is None:
            if len(canonical.attributes) != 1:
                raise ValueError(
                    f"give of_frame [f]: which of the {len(canonical.attributes)} subjects each frame shows"
                )
            of_frame = torch.zeros(len(motion), dtype=torch.long, device=motion.coefficients.device)
        return self.decoder.pose(canonical, motion, of_frame)

    def draw(
        self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"], camera: Camera,
        rasterizer: Rasterizer,
    ) -> Rendering:  # fmt: skip
        """Pictures [f, h, w] on white: frame i shows subject of_frame[i] of the canonical Gaussians."""
        return self.decoder.draw(canonical.with_subjects(), motion, of_frame, camera, rasterizer)

    def seen_from(self, camera: Camera, gaussians: Gaussians) -> Gaussians:
        """Posed Gaussians [..., n] as a camera (or one for each leading dimension) is to draw them: without the backs
        that show it their inner side."""
        backs = self.decoder.backs
        return gaussians if backs is None else culled(gaussians, backs, camera)

"""Recipes of the body avatar (PERSONA): one that two cores finish in minutes, one for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from perse.body.animation.animator import BodyAnimatorConfig, ProceduralBodyAnimatorConfig
from perse.body.animation.motions import MOTIONS, UNSEEN, Filmed
from perse.body.avatar import OffsetConfig
from perse.body.fitting.config import PersonFitConfig
from perse.body.model import AnnyBody, BodySource
from perse.body.training import BodyTrainingConfig
from perse.body.training.edits import EditTrainingConfig
from perse.errors import RecipeError
from perse.features import EmbeddedEncoderConfig
from perse.recipes.resources import WorkerPool
from perse.render import CpuRasterizer, Rasterizer


@dataclass(frozen=True, kw_only=True)
class BodyRecipe:
    """Recipe of a body build: who does each step, and with which numbers."""

    name: str
    """For people, and for the MLflow run."""
    body: BodySource = field(default_factory=AnnyBody)
    """The parametric body."""
    fit: PersonFitConfig = field(default_factory=PersonFitConfig)
    """How the person is fitted."""
    animator: BodyAnimatorConfig = field(default_factory=ProceduralBodyAnimatorConfig)
    """Who films."""
    motions: tuple[Filmed, ...]
    """What is filmed to train on; every `held_out_every`th frame is only measured."""
    held_out_every: int = 5
    """Frames of the filmed motions that training never sees."""
    unseen: tuple[Filmed, ...]
    """What is filmed only to be measured."""
    size_px: int
    """Side of a filmed frame."""
    captured_px: int
    """Side of the photograph's window around the person."""
    patch_px: int
    """Side of the close looks at the photographed face and hands."""
    offsets: OffsetConfig = field(default_factory=OffsetConfig)
    """Sizes of triplane and MLP."""
    training: BodyTrainingConfig = field(default_factory=BodyTrainingConfig)
    """Numbers of the training."""
    edits: tuple[str, ...] = ()
    """What the avatar can wear besides, as category=words, where nobody says otherwise."""
    editing: EditTrainingConfig = field(default_factory=EditTrainingConfig)
    """How an edit is filmed and learned."""
    encoder: EmbeddedEncoderConfig = field(default_factory=EmbeddedEncoderConfig)
    """What describes edits to the latent space."""
    rasterizer: Rasterizer = field(default_factory=CpuRasterizer)
    """What draws the Gaussians."""
    animate: WorkerPool = field(default_factory=WorkerPool)
    """Who films; (0, 0) is the driver's process."""
    train_workers: int = 0
    """Data-parallel training workers; 0 trains in the driver's process."""
    train: WorkerPool = field(default_factory=WorkerPool)
    """What one training worker claims."""
    checkpoint_every_s: float = 30.0
    """Seconds between two checkpoints at most."""
    shown_px: int = 512
    """Side of the frames of the report's videos."""
    shown_frames: int = 48
    """Frames of each of them."""


def body_tiny() -> BodyRecipe:
    """Recipe of seconds, for tests: two motions of a few small frames. The pictures are not worth a look."""
    return BodyRecipe(
        name="body-tiny",
        fit=PersonFitConfig(longest_edge_m=0.05),
        motions=(Filmed("wave", 5), Filmed("walk", 5)),
        unseen=(Filmed("stretch", 2),),
        size_px=96,
        captured_px=128,
        patch_px=64,
        offsets=OffsetConfig(features=4, resolution=16, hidden=16),
        training=BodyTrainingConfig(epochs=1),
        edits=("hat=red beanie", "clothes=green hoodie"),
        editing=EditTrainingConfig(motions=(Filmed("turn", 2),), steps=2, measured=Filmed("stretch", 1)),
        animate=WorkerPool(workers=(0, 0)),
        shown_px=128,
        shown_frames=4,
    )


def body_laptop() -> BodyRecipe:
    """Recipe for two cores and no weights: five motions of 20 frames, of which 80 are trained on, five epochs; two
    hats, two garments."""
    return BodyRecipe(
        name="body-laptop",
        fit=PersonFitConfig(longest_edge_m=0.016),
        motions=tuple(Filmed(name, 20) for name in MOTIONS),
        unseen=tuple(Filmed(name, 12) for name in UNSEEN),
        size_px=256,
        captured_px=384,
        patch_px=128,
        edits=(
            "hat=red beanie",
            "hat=black top hat with a red band",
            "clothes=green hoodie",
            "clothes=navy suit with a white shirt and a red tie",
        ),
        animate=WorkerPool(workers=(2, 2)),
    )


BODY_RECIPES: dict[str, Callable[[], BodyRecipe]] = {"tiny": body_tiny, "laptop": body_laptop}


def body_recipe_named(name: str) -> BodyRecipe:
    """A built-in recipe.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in BODY_RECIPES:
        raise RecipeError(f"there is no body recipe {name!r}; choose one of {', '.join(BODY_RECIPES)}")
    return BODY_RECIPES[name]()

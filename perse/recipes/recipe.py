"""Recipe of a run: one frozen value, complete, made by a Python function."""

from __future__ import annotations

from dataclasses import dataclass, field

from perse.avatar import AvatarConfig, StartConfig
from perse.evaluation import EvaluationConfig
from perse.features import EmbeddedEncoderConfig, OpenClipEncoderConfig, UnrelatedEncoderConfig
from perse.head.sources import EmbeddedHead, FlameHead
from perse.morphing import DiffMorpherConfig, FreeMorphConfig, RedrawMorpherConfig, WarpMorpherConfig
from perse.recipes.filming import Filming
from perse.recipes.resources import ClusterUse
from perse.render import CpuRasterizer, GsplatRasterizer, ReferenceRasterizer
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.production import (
    AnimatorByCategoryConfig,
    DiffusionEditorConfig,
    EditorByCategoryConfig,
    LivePortraitConfig,
    ProductionScreenConfig,
)
from perse.synthesis.production.portrait_champ import PortraitChampConfig
from perse.synthesis.prompts import PromptPlan
from perse.synthesis.screen import ProceduralScreenConfig
from perse.tracking import MediapipeTrackerConfig
from perse.training import FineTuneConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Recipe from a photograph to a registered avatar: who does each step, and with which numbers.

    Change one thing with `dataclasses.replace`, or write a function that returns your own.
    """

    name: str
    """How people call it."""
    head: EmbeddedHead | FlameHead = field(default_factory=EmbeddedHead)
    """The parametric head."""
    tracker: MediapipeTrackerConfig = field(default_factory=MediapipeTrackerConfig)
    """Finds the head in the photograph."""
    prompts: PromptPlan
    """Which attributes are asked for."""
    editor: ProceduralEditorConfig | DiffusionEditorConfig | EditorByCategoryConfig = field(
        default_factory=ProceduralEditorConfig
    )
    """Makes the edited portraits."""
    screen: ProceduralScreenConfig | ProductionScreenConfig = field(default_factory=ProceduralScreenConfig)
    """Decides which of them are good enough."""
    animator: ProceduralAnimatorConfig | LivePortraitConfig | PortraitChampConfig | AnimatorByCategoryConfig = field(
        default_factory=ProceduralAnimatorConfig
    )
    """Turns a portrait into a video."""
    filming: Filming
    """Which frames of the shared motion, and how large."""
    encoder: EmbeddedEncoderConfig | OpenClipEncoderConfig | UnrelatedEncoderConfig = field(
        default_factory=EmbeddedEncoderConfig
    )
    """f_I and f_T of Eq. 5."""
    avatar: AvatarConfig
    """Decoder and latent space."""
    start: StartConfig
    """Where the points begin."""
    training: TrainingConfig
    """Stage 1."""
    morpher: WarpMorpherConfig | RedrawMorpherConfig | DiffMorpherConfig | FreeMorphConfig = field(
        default_factory=WarpMorpherConfig
    )
    """The teacher of stage 2."""
    finetuning: FineTuneConfig | None
    """Stage 2, on interpolations (Eq. 13–15); None leaves it out."""
    rasterizer: CpuRasterizer | GsplatRasterizer | ReferenceRasterizer = field(default_factory=CpuRasterizer)
    """Draws Gaussians."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """What is measured."""
    asks_consent: bool = False
    """Whether a build asks for the person's consent (`perse.data.consent`) before it begins."""
    quarantine_share: float = 0.5
    """Share of the prompts that may end in quarantine before the build is ended: by then it is not the prompts."""
    cluster: ClusterUse = field(default_factory=ClusterUse)
    """How many workers each stage gets, and what one of them claims. No result depends on it."""

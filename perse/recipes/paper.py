"""Recipe of the paper's run: 957 prompts, diffusion editing, 513 frames at 512 px, its networks, its losses, eight
GPUs.

What differs from the paper, and why:

* **Animator.** LivePortrait films the reference and clothes, eyebrows, mouths and noses, driven by the reference
  portrait as the procedural animator films it along the built-in motion. Beards, earrings, hair, hats and headphones
  are portrait-Champ's in the paper (Table 4), whose weights were never published: here the procedural animator films
  them (`perse.recipes.paper_animators`).
* **Head.** FLAME has to be downloaded by whoever accepted its licence: ``replace(paper(), head=FlameHead(path=…))``.
* **Face parsing.** Sapiens' face checkpoint was never released. A SegFormer trained on CelebAMask-HQ parses; beards,
  which it does not know, and headphones are placed by landmarks.
* **Keypoints** are the tracked landmarks in OpenPose's look, which need no weights and are aligned by construction.
* **Steps.** 112 epochs in 1.5 days on eight A6000 (P 6) are about 1.6 million rendered images by our estimate of the
  networks' cost (docs/reference.md#rasterizing-on-a-cpu): 50,000 steps of 8 workers × 4 images. The learning rate falls
  exponentially to the quarter that two halvings (epochs 40 and 60) leave.
* **Start.** Points begin on the head model, in the photo hulls of what stands off it and on the body, coloured from
  the clips (`perse.avatar.initialisation`), where the paper samples the opened head alone: the first image is a head
  with its hat, and the first epochs are saved.
* **Features.** MLP_z sees CLIP's features as deviations from their category's mean, in units of their spread
  (`perse.avatar.latents.LatentSpace`): as they come, those of two edits of one portrait agree to within a few per cent.
* **Opacities** are not reset; points that fade are pruned and refilled (P A.1.2), which is what a reset is for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from perse.attributes import Category
from perse.avatar import AvatarConfig, LatentConfig, NetworksConfig, StartConfig
from perse.avatar.densification import DensificationConfig
from perse.evaluation import EvaluationConfig
from perse.features import OpenClipEncoderConfig
from perse.losses import DeformationLossConfig, PictureLossConfig
from perse.morphing import DiffMorpherConfig
from perse.recipes.filming import Filming
from perse.recipes.paper_animators import paper_animators
from perse.recipes.recipe import Recipe
from perse.recipes.resources import ClusterUse, WorkerPool
from perse.render import CpuRasterizer, GsplatRasterizer
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.production.animator_by_category import AnimatorByCategoryConfig
from perse.synthesis.production.diffusion_editor import DiffusionEditorConfig
from perse.synthesis.production.editor_by_category import EditorByCategoryConfig
from perse.synthesis.production.inpainting import SdxlInpainterConfig
from perse.synthesis.production.model_store import store_root
from perse.synthesis.production.production_screen import ProductionScreenConfig
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig, TransformersSegmenterConfig
from perse.synthesis.prompts import PAPER_COUNTS, PromptPlan
from perse.synthesis.screen import ProceduralScreenConfig
from perse.training import PAIRS_PER_SUBJECT, FineTuneConfig, LearningRates, LossConfig, TrainingConfig

TRAIN_WORKERS = 8
"""The paper's GPUs."""

MANY = 1024
"""Workers of a stage at most: as many as the cluster has room for, in the proportion of the stages' times."""


@dataclass(frozen=True, kw_only=True)
class PaperModels:
    """The networks of others that the recipe stands on."""

    editor: DiffusionEditorConfig = field(default_factory=DiffusionEditorConfig)
    """Eq. 6–9."""
    encoder: OpenClipEncoderConfig = field(
        default_factory=lambda: OpenClipEncoderConfig(checkpoint=_clip_file(), architecture="ViT-B-32-quickgelu")
    )
    """CLIP: f_I and f_T, and the agreement of edit and prompt."""
    animator: AnimatorByCategoryConfig | ProceduralAnimatorConfig = field(
        default_factory=lambda: paper_animators(TransformersSegmenterConfig())
    )
    """Eq. 10: who films which category (P Table 4)."""
    morpher: DiffMorpherConfig = field(
        default_factory=lambda: DiffMorpherConfig(segmenter=TransformersSegmenterConfig())
    )
    """The teacher of stage 2 (P A.2.2), whose pictures are parsed for M_part (Eq. 39)."""
    vgg: Path = field(default_factory=lambda: store_root() / "vgg16" / "model.safetensors")
    """VGG-16, for the perceptual loss."""


@dataclass(frozen=True, kw_only=True)
class PaperNumbers:
    """The sizes of the recipe; the defaults are the paper's. `perse.recipes.paper_tiny` has small ones."""

    counts: tuple[tuple[Category, int], ...] = PAPER_COUNTS
    """Prompts of each category."""
    filming: Filming = field(default_factory=lambda: Filming(stride=1, size_px=512))
    """513 frames."""
    avatar: AvatarConfig = field(default_factory=lambda: AvatarConfig(latents=LatentConfig(), decoder=NetworksConfig()))
    """The paper's four networks."""
    start: StartConfig = field(default_factory=lambda: StartConfig(watched_subjects=160))
    """Points before they grow. None behind the head: with networks a point has no attributes of its own to close it."""
    steps: int = 50_000
    """Of stage 1; see the module."""
    points: int = 130_000
    """Gaussians that the avatar grows to."""
    screen: ProceduralScreenConfig = field(default_factory=ProceduralScreenConfig)
    """How far an edit may be from the photograph."""
    min_agreement: float = 0.20
    """Least CLIP cosine of an edit and its prompt."""
    min_gain: float = 0.0
    """How much more than the photograph's."""
    evaluation: EvaluationConfig = field(
        default_factory=lambda: EvaluationConfig(
            frames=113, identity_frames=4, mixes=50, pairs_per_category=200, interpolation_frames=5
        )
    )
    """What is measured (P B.2)."""
    rasterizer: CpuRasterizer | GsplatRasterizer = field(default_factory=GsplatRasterizer)
    """Who draws."""
    cluster: ClusterUse = field(default_factory=lambda: CLUSTER)
    """What the stages claim."""
    pairs_per_subject: int = PAIRS_PER_SUBJECT
    """Interpolations of each subject in stage 2 (P A.2.3)."""

    @property
    def fine_tuning_steps(self) -> int:
        """Number of steps of one pair a step and worker: 4,785 for the paper's 957 subjects."""
        subjects = sum(count for _, count in self.counts)
        return max(1, self.pairs_per_subject * subjects // max(self.cluster.train_workers, 1))


def paper() -> Recipe:
    """Recipe with the paper's numbers. Needs weights (``perse models list --recipe paper``) and GPUs."""
    return replace(assembled("paper", PaperModels(), PaperNumbers()), asks_consent=True)


def assembled(name: str, models: PaperModels, numbers: PaperNumbers) -> Recipe:
    """The paper's recipe with the given networks and sizes."""
    training = _training(models, numbers)
    return Recipe(
        name=name,
        prompts=PromptPlan(numbers.counts),
        editor=EditorByCategoryConfig(default=models.editor),
        screen=ProductionScreenConfig(
            measurements=numbers.screen,
            encoder=models.encoder,
            min_agreement=numbers.min_agreement,
            min_gain=numbers.min_gain,
        ),
        animator=models.animator,
        morpher=models.morpher,
        filming=numbers.filming,
        encoder=models.encoder,
        avatar=numbers.avatar,
        start=numbers.start,
        training=training,
        finetuning=FineTuneConfig(
            training=_fine_tuning(training, numbers.fine_tuning_steps),
            alphas_per_step=5,
            interpolation_weight=1.0,
            elsewhere_share=0.0,
            hold_pivots=False,
        ),
        rasterizer=numbers.rasterizer,
        evaluation=numbers.evaluation,
        cluster=numbers.cluster,
    )


def paper_permissive() -> Recipe:
    """Recipe `paper` with weights that allow commercial use: SDXL inpaints, our own parser parses, LivePortrait is
    MIT."""
    segmenter = LandmarkSegmenterConfig()
    editor = DiffusionEditorConfig(inpainter=SdxlInpainterConfig(), segmenter=segmenter)
    return replace(
        paper(),
        name="paper-permissive",
        editor=EditorByCategoryConfig(default=editor),
        animator=paper_animators(segmenter),
        morpher=DiffMorpherConfig(),  # one end's masks grow into the other's
        # Our own parser takes far longer for a frame than LivePortrait on a GPU: many workers share one.
        cluster=replace(CLUSTER, animate=replace(CLUSTER.animate, workers=(1, 32), gpus=0.1)),
    )


def paper_hybrid() -> Recipe:
    """Recipe `paper` with two editors: what is painted on the face by the procedural one, the rest by diffusion."""
    from perse.synthesis.procedural.editing import ProceduralEditorConfig

    procedural = ProceduralEditorConfig()
    on_the_face = (Category.EYEBROWS, Category.MOUTH, Category.NOSE)
    editor = EditorByCategoryConfig(
        default=DiffusionEditorConfig(), by_category=tuple((category, procedural) for category in on_the_face)
    )
    return replace(paper(), name="paper-hybrid", editor=editor)


CLUSTER: ClusterUse = ClusterUse(
    edit=WorkerPool(workers=(1, MANY), cpus=4, gpus=1, memory_gib=64, threads=4, batch_size=2, time_limit_s=900),
    screen=WorkerPool(workers=(1, MANY), cpus=1, memory_gib=4),
    animate=WorkerPool(workers=(1, MANY), cpus=2, gpus=0.25, memory_gib=12, threads=2, time_limit_s=1800),
    encode=WorkerPool(workers=(1, MANY), cpus=2, gpus=1, memory_gib=8, threads=2, batch_size=16),
    set_up=WorkerPool(cpus=16, memory_gib=32, threads=16, time_limit_s=3600),
    adapt=WorkerPool(workers=(1, MANY), cpus=2, gpus=1, memory_gib=16, threads=2, time_limit_s=3600),
    morph=WorkerPool(workers=(2, MANY), cpus=2, gpus=0.25, memory_gib=24, threads=2),
    evaluate=WorkerPool(workers=(1, MANY), cpus=4, gpus=1, memory_gib=24, threads=4, time_limit_s=1800),
    report=WorkerPool(cpus=4, gpus=1, memory_gib=24, threads=4, time_limit_s=3600),
    train_workers=TRAIN_WORKERS,
    train=WorkerPool(cpus=4, gpus=0.75, memory_gib=32, threads=4),
    placement_limit_s=900,
    clips_mib=8192,
)
"""Eight GPUs or more and a dozen CPU cores for each, on one machine or several. A training worker has a GPU to itself
but for a quarter, in which a morph actor may live: eight GPUs suffice for both. The clips, 600 GiB decoded, are
streamed. Editors are handed two prompts and not more: an editor gives nothing on before it is through with all of them,
so that animators wait for the first and for the last (docs/performance.md#a-simulated-cluster)."""


def _training(models: PaperModels, numbers: PaperNumbers) -> TrainingConfig:
    return TrainingConfig(
        steps=numbers.steps,
        edits_per_step=3,
        final_rate=0.25,
        betas=(0.9, 0.999),
        epsilon=1e-8,
        losses=LossConfig(
            picture=PictureLossConfig(),
            perceptual=0.1,
            vgg_checkpoint=models.vgg,
            latent=0.1,
            deformation=DeformationLossConfig(),
        ),
        rates=LearningRates(networks=1e-4, latents=5e-4),
        densification=DensificationConfig(target=numbers.points),
    )


def _fine_tuning(training: TrainingConfig, steps: int) -> TrainingConfig:
    """MLP_pose stays on: it has long been trained when stage 2 begins."""
    return replace(training, steps=steps, flat_share=0.0, densification=None, pose_networks_from=0.0)


def _clip_file() -> Path:
    return store_root() / "clip-vit-b-32" / "open_clip_model.safetensors"

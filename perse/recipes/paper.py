"""The paper's run: 957 prompts, diffusion editing, 513 frames at 512 px, its networks, its losses, eight GPUs.

What differs from the paper, and why:

* **Animator.** LivePortrait films the reference and clothes, eyebrows, mouths and noses, driven by the reference
  portrait as the procedural animator films it along the built-in motion. Beards, earrings, hair, hats and headphones
  are portrait-Champ's in the paper (Table 4), whose weights were never published: here the procedural animator films
  them (`perse.recipes.paper_animators`).
* **Head.** FLAME has to be downloaded by whoever accepted its licence: ``replace(paper(), head=FlameHead(path=…))``.
* **Face parsing.** Sapiens' face checkpoint was never released. A SegFormer trained on CelebAMask-HQ parses; beards,
  which it does not know, and headphones are placed by landmarks.
* **Keypoints** are the tracked landmarks in OpenPose's look, which need no weights and are aligned by construction.
* **Morphs.** The teacher of stage 2 is the warping morpher, not DiffMorpher.
* **Steps.** 112 epochs in 1.5 days on eight A6000 (P 6) are about 1.6 million rendered images by our estimate of the
  networks' cost (REFERENCE §3): 50,000 steps of 8 workers × 4 images. The learning rate falls exponentially to the
  quarter that two halvings (epochs 40 and 60) leave.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from perse.attributes import Category
from perse.avatar import AvatarConfig, LatentConfig, NetworksConfig, StartConfig
from perse.avatar.densification import DensificationConfig
from perse.evaluation import EvaluationConfig
from perse.features import OpenClipEncoderConfig
from perse.losses import DeformationLossConfig, PictureLossConfig
from perse.recipes.filming import Filming
from perse.recipes.paper_animators import paper_animators
from perse.recipes.recipe import Recipe
from perse.recipes.resources import ClusterUse, WorkerPool
from perse.render import GsplatRasterizer
from perse.synthesis.production.diffusion_editor import DiffusionEditorConfig
from perse.synthesis.production.editor_by_category import EditorByCategoryConfig
from perse.synthesis.production.inpainting import SdxlInpainterConfig
from perse.synthesis.production.model_store import store_root
from perse.synthesis.production.production_screen import ProductionScreenConfig
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig, TransformersSegmenterConfig
from perse.synthesis.prompts import PAPER_COUNTS, PromptPlan
from perse.training import FineTuneConfig, LearningRates, LossConfig, TrainingConfig

STEPS = 50_000
"""Of stage 1; see the module."""

FINE_TUNING_STEPS = 4_825
"""38,600 pairs (P A.2.3), one a step and worker."""


def paper() -> Recipe:
    """The paper's numbers. Needs weights (``python jobs/models.py list --recipe paper``) and GPUs."""
    clip = OpenClipEncoderConfig(checkpoint=_clip_file(), architecture="ViT-B-32-quickgelu")
    return Recipe(
        name="paper",
        prompts=PromptPlan(PAPER_COUNTS),
        editor=EditorByCategoryConfig(default=DiffusionEditorConfig()),
        screen=ProductionScreenConfig(encoder=clip),
        animator=paper_animators(TransformersSegmenterConfig()),
        filming=Filming(stride=1, size_px=512),
        encoder=clip,
        avatar=AvatarConfig(latents=LatentConfig(), decoder=NetworksConfig()),
        start=StartConfig(),
        training=_training(),
        finetuning=FineTuneConfig(training=_fine_tuning(), alphas_per_step=5),
        rasterizer=GsplatRasterizer(),
        evaluation=EvaluationConfig(
            frames=113, identity_frames=4, mixes=50, pairs_per_category=200, interpolation_frames=5
        ),
        cluster=CLUSTER,
    )


def paper_permissive() -> Recipe:
    """`paper` with weights that allow commercial use: SDXL inpaints, our own parser parses, LivePortrait is MIT."""
    segmenter = LandmarkSegmenterConfig()
    editor = DiffusionEditorConfig(inpainter=SdxlInpainterConfig(), segmenter=segmenter)
    return replace(
        paper(),
        name="paper-permissive",
        editor=EditorByCategoryConfig(default=editor),
        animator=paper_animators(segmenter),
        # Our own parser takes far longer for a frame than LivePortrait on a GPU: many workers share one.
        cluster=replace(CLUSTER, animate=replace(CLUSTER.animate, workers=(1, 32), gpus=0.1)),
    )


def paper_hybrid() -> Recipe:
    """`paper` with two editors: what is painted on the face by the procedural one, the rest by diffusion."""
    from perse.synthesis.procedural.editing import ProceduralEditorConfig

    procedural = ProceduralEditorConfig()
    on_the_face = (Category.EYEBROWS, Category.MOUTH, Category.NOSE)
    editor = EditorByCategoryConfig(
        default=DiffusionEditorConfig(), by_category=tuple((category, procedural) for category in on_the_face)
    )
    return replace(paper(), name="paper-hybrid", editor=editor)


CLUSTER = ClusterUse(
    edit=WorkerPool(workers=(1, 8), cpus=4, gpus=1, memory_gib=64, threads=4, batch_size=4, time_limit_s=900),
    screen=WorkerPool(workers=(1, 8), cpus=1, memory_gib=4, batch_size=4),
    animate=WorkerPool(workers=(1, 16), cpus=2, gpus=0.25, memory_gib=12, threads=2, time_limit_s=1800),
    morph=WorkerPool(workers=(2, 32), cpus=1, memory_gib=4),
    train_workers=8,
    train=WorkerPool(cpus=4, gpus=1, memory_gib=32, threads=4),
    clips_mib=8192,
)
"""Eight GPUs and about a hundred CPU cores, on one machine or several. The clips, 600 GiB decoded, are streamed."""


def _training() -> TrainingConfig:
    return TrainingConfig(
        steps=STEPS,
        edits_per_step=3,
        final_rate=0.25,
        losses=LossConfig(
            picture=PictureLossConfig(),
            perceptual=0.1,
            vgg_checkpoint=store_root() / "vgg16" / "model.safetensors",
            latent=0.1,
            deformation=DeformationLossConfig(),
        ),
        rates=LearningRates(networks=1e-4, latents=5e-4),
        densification=DensificationConfig(),
    )


def _fine_tuning() -> TrainingConfig:
    return replace(_training(), steps=FINE_TUNING_STEPS, flat_share=0.0, densification=None)


def _clip_file() -> Path:
    return store_root() / "clip-vit-b-32" / "open_clip_model.safetensors"

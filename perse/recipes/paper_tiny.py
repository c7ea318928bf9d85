"""Recipe of the paper in small: every box of it, on tiny random checkpoints of the real classes.

For tests and for whoever adds a box: from portrait to served avatar in minutes, on two training workers and two morph
actors. The pictures are noise and not worth a look; the path is the paper's.

Stages claim shares of GPUs as the paper's do, and need none: a Ray that is told that it has one will do.

    python tests/paper_tiny_weights.py FOLDER
    export PERSE_WEIGHTS=FOLDER/weights
    ray start --head --block --num-cpus=4 --num-gpus=1 --node-ip-address=127.0.0.1 &
    RAY_ADDRESS=127.0.0.1:6379 perse build --recipe paper-tiny --workspace runs/paper-tiny

The checkpoints lie beside the model store, which knows none of them.
"""

from __future__ import annotations

from pathlib import Path

from perse.attributes import Category
from perse.avatar import AvatarConfig, HullConfig, LatentConfig, NetworksConfig, StartConfig
from perse.evaluation import EvaluationConfig
from perse.features import OpenClipEncoderConfig
from perse.morphing import DiffMorpherConfig, SubjectLoraConfig
from perse.morphing.diffusion import LatentDiffusionConfig
from perse.recipes.filming import Filming
from perse.recipes.paper import PaperModels, PaperNumbers, assembled
from perse.recipes.recipe import Recipe
from perse.recipes.resources import ClusterUse, WorkerPool
from perse.render import CpuRasterizer
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.production.diffusion_editor import DiffusionEditorConfig
from perse.synthesis.production.generation import PipelineSettings
from perse.synthesis.production.inpainting import FluxControlNetInpainterConfig
from perse.synthesis.production.mask_portrait import SdxlMaskPortraitConfig
from perse.synthesis.production.model_store import Weights, store_root
from perse.synthesis.production.segmenter import TorchscriptSegmenterConfig
from perse.synthesis.screen import ProceduralScreenConfig

CLIP_ARCHITECTURE = "perse-tiny-clip"


def paper_tiny() -> Recipe:
    """Recipe of two pairs of earrings and two of headphones, a dozen frames of 64 px, a few hundred Gaussians."""
    return assembled("paper-tiny", _models(store_root().with_name("paper-tiny")), _numbers())


def _models(folder: Path) -> PaperModels:
    def local(name: str) -> Weights:
        return Weights(name=name, folder=folder / name)

    settings = PipelineSettings(batch_size=2)
    segmenter = TorchscriptSegmenterConfig(file=folder / "segmenter.pt", size_px=(64, 64))
    editor = DiffusionEditorConfig(
        mask_portrait=SdxlMaskPortraitConfig(
            base=local("sdxl"), controlnet=local("union"), vae=local("vae"), size_px=64, steps=2, settings=settings
        ),
        segmenter=segmenter,
        inpainter=FluxControlNetInpainterConfig(
            base=local("flux"), controlnet=local("flux_controlnet"), size_px=64, steps=2, settings=settings
        ),
    )
    encoder = OpenClipEncoderConfig(checkpoint=folder / "clip.safetensors", architecture=CLIP_ARCHITECTURE)
    latents = LatentDiffusionConfig(weights=local("stable_diffusion"), size_px=32)
    morpher = DiffMorpherConfig(
        lora=SubjectLoraConfig(model=latents, rank=2, batch_size=4, epochs=2),
        steps=4,
        segmenter=segmenter,
        ends_mib=64,
        adapters_mib=16,
    )
    return PaperModels(
        editor=editor,
        encoder=encoder,
        animator=ProceduralAnimatorConfig(),
        morpher=morpher,
        vgg=folder / "vgg16.safetensors",
    )


def _numbers() -> PaperNumbers:
    return PaperNumbers(
        counts=((Category.EARRINGS, 2), (Category.HEADPHONES, 2)),
        filming=Filming(stride=40, size_px=64),
        avatar=AvatarConfig(
            latents=LatentConfig(dimensions=8, hidden=32),
            decoder=NetworksConfig(
                deform_width=16, deform_depth=2, color_width=32, color_depth=4, color_skip=2, color_octaves=4,
                pose_width=16, pose_depth=2,
            ),
        ),
        start=StartConfig(
            head_points=400, shell_points=200, body_points=100, watched_frames=6, watched_subjects=3,
            hull=HullConfig(voxel_m=0.014),
        ),
        steps=24,
        points=900,
        screen=ProceduralScreenConfig(max_landmark_distance=9.0, max_identity_distance=9.0, min_mean_change=0.0),
        min_agreement=-1.0,
        min_gain=-2.0,
        evaluation=EvaluationConfig(frames=2, mixes=1, edits_per_mix=2, pairs_per_category=1, interpolation_steps=3,
                                    interpolation_frames=1),
        rasterizer=CpuRasterizer(threads=1),
        cluster=ClusterUse(
            edit=WorkerPool(workers=(1, 1), cpus=0.1, gpus=0.5, batch_size=2),
            screen=WorkerPool(workers=(1, 1)),
            animate=WorkerPool(workers=(1, 1)),
            encode=WorkerPool(workers=(1, 1), gpus=0.5, batch_size=4),
            set_up=WorkerPool(),
            adapt=WorkerPool(workers=(1, 1), gpus=0.25),
            morph=WorkerPool(workers=(2, 2), gpus=0.25),
            evaluate=WorkerPool(workers=(1, 1)),
            report=WorkerPool(),
            train_workers=2,
            train=WorkerPool(cpus=0.5),
        ),
        pairs_per_subject=3,
    )  # fmt: skip

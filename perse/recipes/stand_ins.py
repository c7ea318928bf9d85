"""Stand-ins for the paper's boxes in a recipe. For `--plan`, so that nobody has to find out later."""

from __future__ import annotations

from collections.abc import Iterator

from perse.attributes import Category
from perse.avatar import NetworksConfig
from perse.features import OpenClipEncoderConfig
from perse.head.sources import FlameHead
from perse.morphing import DiffMorpherConfig
from perse.recipes.recipe import Recipe
from perse.render import GsplatRasterizer
from perse.synthesis.production import DiffusionEditorConfig, EditorByCategoryConfig
from perse.synthesis.production.animator_by_category import VOLUMINOUS, AnimatorByCategoryConfig
from perse.synthesis.production.inpainting import FluxControlNetInpainterConfig
from perse.synthesis.production.liveportrait import LivePortraitConfig


def stand_ins(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """Rows (box, what stands there, what the paper has) of every box that is not the paper's."""
    boxes = (
        ("head", recipe.head, FlameHead, "FLAME, from files of one's own"),
        ("encoder", recipe.encoder, OpenClipEncoderConfig, "CLIP"),
        ("decoder", recipe.avatar.decoder, NetworksConfig, "its four networks"),
        ("morpher", recipe.morpher, DiffMorpherConfig, "DiffMorpher"),
        ("rasterizer", recipe.rasterizer, GsplatRasterizer, "a CUDA rasterizer"),
    )
    for box, there, papers, name in boxes:
        if not isinstance(there, papers):
            yield box, _called(there), name
    yield from _editors(recipe)
    yield from _animators(recipe)
    losses = recipe.training.losses
    if not losses.perceptual or losses.vgg_checkpoint is None:
        yield "perceptual loss", "SSIM of three octaves" if losses.perceptual else "none", "VGG features"


def _editors(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    editor = recipe.editor
    for category, _ in recipe.prompts.counts:
        own = editor.of(category) if isinstance(editor, EditorByCategoryConfig) else editor
        flux = isinstance(own, DiffusionEditorConfig) and isinstance(own.inpainter, FluxControlNetInpainterConfig)
        if not flux:
            how = _called(own.inpainter) if isinstance(own, DiffusionEditorConfig) else _called(own)
            yield f"editor of {category.value}", how, "FLUX inpainting in a mask by SDXL"


def _animators(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    for category, _ in recipe.prompts.counts:
        own = _animator(recipe, category)
        if category in VOLUMINOUS and "Champ" not in _called(own):
            yield f"animator of {category.value}", _called(own), "portrait-Champ, whose weights were never published"
        elif category not in VOLUMINOUS and not isinstance(own, LivePortraitConfig):
            yield f"animator of {category.value}", _called(own), "LivePortrait"


def _animator(recipe: Recipe, category: Category) -> object:
    return recipe.animator.of(category) if isinstance(recipe.animator, AnimatorByCategoryConfig) else recipe.animator


def _called(config: object) -> str:
    return type(config).__name__.removesuffix("Config")

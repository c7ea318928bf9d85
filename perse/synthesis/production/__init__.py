"""Pretrained models that edit (mask portrait, parsing, mask logic, inpainting: P 4.2, Eq. 6–9) and film (Eq. 10).

Pipelines of other packages are imported when an editor or animator is built, never before.
"""

from perse.synthesis.production.animator_by_category import AnimatorByCategory, AnimatorByCategoryConfig
from perse.synthesis.production.diffusion_editor import DiffusionEditor, DiffusionEditorConfig
from perse.synthesis.production.editor_by_category import EditorByCategory, EditorByCategoryConfig
from perse.synthesis.production.inpainting import (
    FluxControlNetInpainterConfig,
    FluxFillInpainterConfig,
    SdxlInpainterConfig,
)
from perse.synthesis.production.liveportrait import LivePortraitConfig
from perse.synthesis.production.mask_portrait import SdxlMaskPortraitConfig
from perse.synthesis.production.production_screen import ProductionScreen, ProductionScreenConfig
from perse.synthesis.production.segmenter import (
    LandmarkSegmenterConfig,
    TorchscriptSegmenterConfig,
    TransformersSegmenterConfig,
)

__all__ = [
    "AnimatorByCategory",
    "AnimatorByCategoryConfig",
    "DiffusionEditor",
    "DiffusionEditorConfig",
    "EditorByCategory",
    "EditorByCategoryConfig",
    "FluxControlNetInpainterConfig",
    "FluxFillInpainterConfig",
    "LandmarkSegmenterConfig",
    "LivePortraitConfig",
    "ProductionScreen",
    "ProductionScreenConfig",
    "SdxlInpainterConfig",
    "SdxlMaskPortraitConfig",
    "TorchscriptSegmenterConfig",
    "TransformersSegmenterConfig",
]

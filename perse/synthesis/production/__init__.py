"""The production editor: mask portrait, parsing, mask logic and inpainting by pretrained models (P 4.2, Eq. 6–9).

torch pipelines are imported when an editor is built, never before.
"""

from perse.synthesis.production.diffusion_editor import DiffusionEditor, DiffusionEditorConfig
from perse.synthesis.production.editor_by_category import EditorByCategory, EditorByCategoryConfig
from perse.synthesis.production.inpainting import (
    FluxControlNetInpainterConfig,
    FluxFillInpainterConfig,
    SdxlInpainterConfig,
)
from perse.synthesis.production.mask_portrait import SdxlMaskPortraitConfig
from perse.synthesis.production.production_screen import ProductionScreen, ProductionScreenConfig
from perse.synthesis.production.segmenter import (
    LandmarkSegmenterConfig,
    TorchscriptSegmenterConfig,
    TransformersSegmenterConfig,
)

__all__ = [
    "DiffusionEditor",
    "DiffusionEditorConfig",
    "EditorByCategory",
    "EditorByCategoryConfig",
    "FluxControlNetInpainterConfig",
    "FluxFillInpainterConfig",
    "LandmarkSegmenterConfig",
    "ProductionScreen",
    "ProductionScreenConfig",
    "SdxlInpainterConfig",
    "SdxlMaskPortraitConfig",
    "TorchscriptSegmenterConfig",
    "TransformersSegmenterConfig",
]

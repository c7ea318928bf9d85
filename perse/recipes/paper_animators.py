"""Animators of the paper's recipe by category (P Table 4)."""

from __future__ import annotations

from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.production.animator_by_category import VOLUMINOUS, AnimatorByCategoryConfig, AnimatorConfig
from perse.synthesis.production.liveportrait import LivePortraitConfig, RenderedDriving
from perse.synthesis.production.segmenter import SegmenterConfig


def paper_animators(segmenter: SegmenterConfig, volume: AnimatorConfig | None = None) -> AnimatorByCategoryConfig:
    """Animators by category: LivePortrait films the reference and clothes, eyebrows, mouths and noses.

    LivePortrait is driven by the reference portrait as the procedural animator films it along the shared motion.

    Args:
        segmenter: finds alpha and parts in LivePortrait's frames.
        volume: films beards, earrings, hair, hats and headphones, which LivePortrait stretches. In the paper that is
            portrait-Champ, whose weights were never published: until somebody has trained them
            (``champ_paper().animator(folder)`` is then the value), the procedural animator stands in its place.
    """
    live = LivePortraitConfig(driving=RenderedDriving(film=ProceduralAnimatorConfig()), segmenter=segmenter)
    volume = volume or ProceduralAnimatorConfig()
    return AnimatorByCategoryConfig(default=live, by_category=tuple((category, volume) for category in VOLUMINOUS))

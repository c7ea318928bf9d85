"""The screen of production runs: the procedural measurements, and CLIP's opinion of edit and sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from perse.data import EditedPortrait, TrackedPortrait, Verdict
from perse.features import OpenClipEncoderConfig, PromptImageEncoder
from perse.head import HeadModel
from perse.identity import DlibEmbedder
from perse.synthesis.production.identity_net import NetworkEmbedderConfig
from perse.synthesis.screen import LandmarkFinder, ProceduralScreen, ProceduralScreenConfig
from perse.synthesis.seams import QualityScreen


@dataclass(frozen=True, kw_only=True)
class ProductionScreenConfig:
    """Thresholds of the screen. Those of CLIP are cosines, as ViT-B/32 gives them."""

    measurements: ProceduralScreenConfig = field(default_factory=ProceduralScreenConfig)
    """Confinement, visibility, landmarks and identity; with a network of one's own, set its identity distance too
    (ArcFace: 1.2 for descriptors of unit length, a cosine of 0.28)."""
    embedder: NetworkEmbedderConfig | None = None
    """Whose face it is; None is dlib."""
    encoder: OpenClipEncoderConfig | None = None
    """CLIP; None leaves the agreement out."""
    min_agreement: float = 0.20
    """Least cosine of edit and sentence; unrelated pictures have 0.1 to 0.18, good ones 0.25 to 0.33."""
    min_gain: float = 0.0
    """How much better the edit must agree with the sentence than the photograph does."""

    def build(self, head: HeadModel) -> QualityScreen:
        """Screen with its networks in memory.

        Raises:
            MissingWeightsError: a file is not there.
        """
        return ProductionScreen(self)


class ProductionScreen:
    """Screen by the procedural measurements and by CLIP; see `ProductionScreenConfig`."""

    def __init__(self, config: ProductionScreenConfig, find_landmarks: LandmarkFinder | None = None) -> None:
        """
        Raises:
            MissingWeightsError: a file is not there.
        """
        self._config = config
        embedder = config.embedder.build() if config.embedder else DlibEmbedder()
        self._measured = ProceduralScreen(config.measurements, embedder, find_landmarks)
        self._encoder: PromptImageEncoder | None = config.encoder.build() if config.encoder else None

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict:
        """See `QualityScreen.screen`."""
        verdict = self._measured.screen(portrait, edited)
        if self._encoder is None:
            return verdict
        agreement, gain = self._agreement(self._encoder, portrait, edited)
        reasons = list(verdict.reasons)
        if agreement < self._config.min_agreement:
            reasons.append(f"CLIP agreement of edit and prompt {agreement:.3f}, least {self._config.min_agreement}")
        if gain < self._config.min_gain:
            reasons.append(f"the edit agrees with the prompt {gain:+.3f} better than the photograph does, least "
                           f"{self._config.min_gain:+.3f}")  # fmt: skip
        scores = (*verdict.scores, ("clip_agreement", agreement), ("clip_gain", gain))
        return Verdict(accepted=not reasons, reasons=tuple(reasons), scores=tuple(sorted(scores)))

    def _agreement(
        self, encoder: PromptImageEncoder, portrait: TrackedPortrait, edited: EditedPortrait
    ) -> tuple[float, float]:
        """Cosine of edit and sentence, and how much it exceeds the photograph's."""
        text = edited.prompt.text
        found = encoder.encode(np.stack([edited.image, portrait.image]), [text, text])
        cosines = (found.image * found.text).sum(-1)
        return float(cosines[0]), float(cosines[0] - cosines[1])

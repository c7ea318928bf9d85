"""Configurations of the encoders, as values that a recipe holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perse.features.embedded import EmbeddedEncoder
from perse.features.open_clip import OpenClipEncoder
from perse.features.unrelated import UnrelatedEncoder


@dataclass(frozen=True, kw_only=True)
class EmbeddedEncoderConfig:
    """The embedded descriptor; there is nothing to choose."""

    version: int = 1
    """Part of content keys: changes whenever the descriptor does."""

    @property
    def name(self) -> str:
        return f"embedded {self.version}"

    def build(self) -> EmbeddedEncoder:
        return EmbeddedEncoder()


@dataclass(frozen=True, kw_only=True)
class UnrelatedEncoderConfig:
    """Noise instead of features, for an ablation; there is nothing to choose."""

    version: int = 1
    """Part of content keys: changes whenever the noise does."""

    @property
    def name(self) -> str:
        return f"unrelated {self.version}"

    def build(self) -> UnrelatedEncoder:
        return UnrelatedEncoder()


@dataclass(frozen=True, kw_only=True)
class OpenClipEncoderConfig:
    """CLIP through open_clip (the paper's encoder)."""

    checkpoint: Path
    """Weights of the architecture."""
    architecture: str = "ViT-B-32"
    """open_clip's name of the architecture."""

    @property
    def name(self) -> str:
        return f"open_clip {self.architecture}"

    def build(self) -> OpenClipEncoder:
        return OpenClipEncoder(self.checkpoint, architecture=self.architecture)

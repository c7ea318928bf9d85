"""The feature encoders that this process has, by the name that an avatar's card carries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from perse.errors import UnknownName
from perse.features import EmbeddedEncoder, OpenClipEncoderConfig, PromptImageEncoder


@dataclass(frozen=True)
class Encoders:
    """Feature encoders by name: a small value until one is asked for; then it is loaded once a process.

    Attributes:
        clip: CLIP's weights; None if there are none.
    """

    clip: Path | None = None

    def named(self, name: str) -> PromptImageEncoder:
        """Encoder of a card; cards from before they named one are of the embedded one.

        Raises:
            UnknownName: it is not here.
            MissingWeightsError: its weights cannot be read.
        """
        kind, _, architecture = (name or "embedded").partition(" ")
        if kind == "embedded":
            return EmbeddedEncoder()
        if kind != "open_clip":
            raise UnknownName(f"this avatar was trained with the encoder {name!r}, which is not here")
        if self.clip is None:
            raise UnknownName("this avatar describes with CLIP, and this process was started without CLIP's weights")
        return _open_clip(self.clip, architecture)


@lru_cache(maxsize=1)
def _open_clip(checkpoint: Path, architecture: str) -> PromptImageEncoder:
    return OpenClipEncoderConfig(checkpoint=checkpoint, architecture=architecture).build()


WITHOUT_WEIGHTS = Encoders()

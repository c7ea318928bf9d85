"""The photograph that an avatar is made of, from wherever it lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perse.data.images import read_portrait, read_portrait_bytes
from perse.data.workspace import Workspace
from perse.shapes import Picture


def read_photograph(place: str | None) -> Picture:
    """The photograph [h, w, 3] at a path or an address (s3://…); None is the sample portrait.

    Raises:
        PortraitError: it is no PNG, JPEG or WebP that can be used.
        WorkspaceError: the address cannot be read.
    """
    if place is None:
        import skimage.data

        return np.asarray(skimage.data.astronaut())  # Eileen Collins, NASA, public domain
    if "://" in place:
        folder, _, name = place.rpartition("/")
        return read_portrait_bytes(Workspace(folder).read(name), name=name)
    return read_portrait(Path(place))

"""Face distances of the avatar to the photograph, with a ceiling and with other people to compare to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.avatar import Avatar
from perse.data import PortraitClip, TrackedPortrait
from perse.evaluation import portrait_identity
from perse.head import Joint
from perse.identity import DlibEmbedder, identity_distance
from perse.render import Rasterizer

CEILING_FRAMES = 5
"""Frames of the reference clip, those turned least, that show what the avatar was taught."""

SAME_PICTURE_DISTANCE = 0.3
"""A sample portrait nearer than this is the photograph itself, or another of the same person."""


def face_distances(
    avatar: Avatar, portrait: TrackedPortrait, reference: PortraitClip, rasterizer: Rasterizer
) -> dict[str, Any]:
    """Distances of face descriptors to the photograph, as JSON values (see `PortraitIdentity`)."""
    embedder = DlibEmbedder()
    turned = reference.parameters.pose[:, Joint.NECK].norm(dim=-1)
    frames = [reference.images[int(index)] for index in turned.argsort()[:CEILING_FRAMES]]
    own = embedder.embed(portrait.image)
    others = []
    for picture in sample_portraits():
        face = embedder.embed(picture)
        if own is not None and face is not None and identity_distance(own, face) > SAME_PICTURE_DISTANCE:
            others.append(picture)
    found = portrait_identity(
        avatar,
        portrait.image,
        portrait.head,
        avatar.card.camera,
        rasterizer=rasterizer,
        embedder=embedder,
        clip_images=frames,
        impostors=others,
    )
    return asdict(found)


def sample_portraits() -> list[UInt8[NDArray[np.uint8], "_ _ 3"]]:
    """Photographs of people that installed packages bring along."""
    import matplotlib.cbook
    import skimage.data
    from PIL import Image

    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        hopper = np.asarray(picture.convert("RGB"))
    return [skimage.data.astronaut(), hopper]

"""Files of drawn pixels, which say that they are synthetic."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.data.images import encode_image
from perse.export.provenance import Provenance
from perse.export.watermark import marked
from perse.export.xmp import xmp_packet
from perse_ray.serving.schema.requests import RenderRequest


def encode_picture(picture: UInt8[NDArray[np.uint8], "h w c"], request: RenderRequest, provenance: Provenance) -> bytes:
    """Content of a picture's file in the format that was asked for, with its provenance: metadata, and signed where
    asked."""
    if request.provenance == "c2pa":
        picture = marked(picture)
    data = encode_image(picture, request.format, quality=request.quality, xmp=xmp_packet(provenance), fast=True)
    if request.provenance == "c2pa":
        from perse.export import local_identity, sign_media

        return sign_media(data, provenance, local_identity())
    return data

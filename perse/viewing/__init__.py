"""Pictures of an avatar on request: from names, descriptions and weights to pixels.

::

    looks.py            Look: edits, expression, pose; PictureRequest: a look, a camera, a size, a background
    attribute_mixes.py  edits ─► z [k, d]: named subjects, described ones, and their weights      Eq. 4, 5, 13
    renderer.py         resolve(look) ─► ResolvedLook, once a request; draw(pictures) ─► pixels
    encoders.py         the feature encoders that this process has, for described attributes
    picture_framing.py  a picture that describes an attribute, framed as portraits are
"""

from perse.viewing.encoders import WITHOUT_WEIGHTS, Encoders
from perse.viewing.looks import Described, Edits, Look, Named, Orbit, PictureRequest, between
from perse.viewing.renderer import AvatarRenderer, ResolvedLook

__all__ = [
    "WITHOUT_WEIGHTS",
    "AvatarRenderer",
    "Described",
    "Edits",
    "Encoders",
    "Look",
    "Named",
    "Orbit",
    "PictureRequest",
    "ResolvedLook",
    "between",
]

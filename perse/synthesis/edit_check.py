"""Check of a finished edit before it is filed: a faulty one would stop what is made of it, and the build with it.

An editor may be anybody's. Whether an edit is a good one is the screen's business.
"""

from __future__ import annotations

import numpy as np

from perse.data import Attachment, EditedPortrait, TrackedPortrait
from perse.errors import GenerationError


def check_edit(edited: EditedPortrait, portrait: TrackedPortrait) -> None:
    """Refuse an edit that cannot be filmed.

    Raises:
        GenerationError: a picture or mask is not uint8 of the portrait's size, the picture is of one colour, or the
            geometry of an attachment is not finite or names corners that are not there; says which.
    """
    size = portrait.image.shape[:2]
    pictures = {"picture": edited.image, "mask": edited.edit_mask, "person's mask": edited.masks.person}
    if edited.underlay is not None:
        pictures |= {"underlay": edited.underlay.image, "underlay's mask": edited.underlay.masks.person}
    for name, values in pictures.items():
        found, expected = np.asarray(values), (*size, 3) if name in ("picture", "underlay") else size
        if found.shape != expected or found.dtype != np.uint8:
            raise GenerationError(
                f"the edit's {name} is {found.dtype} {list(found.shape)}, expected uint8 {list(expected)}"
            )
    if (edited.image == edited.image[0, 0]).all():
        raise GenerationError("one colour fills the edit's picture")
    for attachment in edited.attachments:
        _check_geometry(attachment)


def _check_geometry(attachment: Attachment) -> None:
    for name in ("vertices", "normals", "tangents", "uvs", "head_weight", "occlusion"):
        if not np.isfinite(getattr(attachment, name)).all():
            raise GenerationError(f"{name} of the edit's {attachment.name!a} holds numbers that are not finite")
    faces = attachment.faces
    if faces.size and (faces.min() < 0 or faces.max() >= len(attachment.vertices)):
        raise GenerationError(f"a face of the edit's {attachment.name!a} names corners that it does not have")

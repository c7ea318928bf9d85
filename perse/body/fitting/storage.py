"""A fitted person as one file of plain arrays; the body model is not in it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from scipy.sparse import csr_matrix
from torch import Tensor

from perse.body.animation.dressed import DressedPerson
from perse.body.fitting.face import TrackedFace
from perse.body.fitting.person import FittedPerson
from perse.body.fitting.texture import sampled
from perse.body.model import BodyParameters
from perse.body.model.upsampling import FineMesh
from perse.data.tables import table_to_tracked, tracked_to_table
from perse.errors import DamagedFile
from perse.geometry import Camera
from perse.head import HeadModel

_PARAMETERS = ("betas", "vertex_offsets", "expression", "pose", "translation")
_SURFACE = ("rest", "thickness_m", "looseness", "skinning", "covers", "hands", "photo_px", "seen", "fill")


def person_to_bytes(person: FittedPerson) -> bytes:
    """Content of a safetensors file."""
    dressed, mixture = person.dressed, person.dressed.fine.mixture.astype(np.float64)
    tensors: dict[str, Tensor] = {name: getattr(dressed.parameters, name) for name in _PARAMETERS}
    tensors |= {name: getattr(dressed, name) for name in _SURFACE}
    tensors |= {
        "faces": dressed.faces,
        "mixture.rows": torch.from_numpy(mixture.indptr.astype(np.int64)),
        "mixture.columns": torch.from_numpy(mixture.indices.astype(np.int64)),
        "mixture.values": torch.from_numpy(mixture.data),
        "world_to_camera": dressed.camera.world_to_camera,
        "intrinsics": dressed.camera.intrinsics,
        "image": torch.from_numpy(person.image.copy()),
        "mask": torch.from_numpy(person.mask),
        "parts": torch.from_numpy(person.parts),
    }
    about = {"rms_px": person.rms_px, "guessed": list(person.guessed)}
    return save({name: value.contiguous() for name, value in tensors.items()}, {"about": json.dumps(about)})


def person_from_bytes(data: bytes, model: HeadModel) -> FittedPerson:
    """Person in the bytes that were written.

    Raises:
        DamagedFile: it is no such file, or of another body model.
    """
    try:
        found, about = load(data), _about(data)
        size = (len(found["rest"]), model.n_vertices)
        mixture = csr_matrix(
            (found["mixture.values"].numpy(), found["mixture.columns"].numpy(), found["mixture.rows"].numpy()), size
        )
        image = found["image"].numpy()
        camera = Camera(found["world_to_camera"], found["intrinsics"], image.shape[1], image.shape[0])
        dressed = DressedPerson(
            model=model, fine=FineMesh(mixture, found["faces"].numpy()),
            parameters=BodyParameters(*(found[name] for name in _PARAMETERS)),
            photograph=image.astype(np.float32) / np.float32(255), camera=camera,
            **{name: found[name] for name in _SURFACE},
        )  # fmt: skip
        return FittedPerson(
            dressed,
            image,
            found["mask"].numpy(),
            found["parts"].numpy(),
            float(about["rms_px"]),
            tuple(about["guessed"]),
        )
    except (KeyError, ValueError, SafetensorError) as error:
        raise DamagedFile(
            f"the fitted person is damaged ({type(error).__name__}); run the same command again"
        ) from None


_PLACE = b"place"


def face_to_table(face: TrackedFace) -> pa.Table:
    """A tracked face as one row, its place in the photograph beside it."""
    place = json.dumps({"left": face.left, "top": face.top, "scale": face.scale})
    table = tracked_to_table(face.portrait)
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _PLACE: place.encode()})


def face_from_table(table: pa.Table) -> TrackedFace:
    """Face in the row that was written.

    Raises:
        DamagedFile: it is no such table.
    """
    try:
        place = json.loads(table.schema.metadata[_PLACE])
        return TrackedFace.of(table_to_tracked(table.replace_schema_metadata(None)), **place)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"the tracked face is damaged ({type(error).__name__}); run the same command again") from None


def _about(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["about"]))


def first_colors(person: FittedPerson) -> Float[Tensor, "n 3"]:
    """Colours [n, 3] of the surface points: the photograph's where it shows them, carried ones elsewhere."""
    dressed = person.dressed
    seen = dressed.seen[:, None]
    return seen * sampled(person.image, dressed.photo_px) + (1 - seen) * dressed.fill

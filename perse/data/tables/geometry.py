"""Head parameters and cameras as named arrays and as columns."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays
from perse.geometry.camera import Camera
from perse.head.parameters import HeadParameters


def head_to_bytes(head: HeadParameters) -> bytes:
    """Head parameters, with or without a frame axis, as NPZ bytes."""
    return arrays_to_npz({name: as_array(value) for name, value in vars(head).items()})


def bytes_to_head(encoded: bytes) -> HeadParameters:
    """The inverse of `head_to_bytes`."""
    return HeadParameters(**{name: torch.from_numpy(value) for name, value in npz_to_arrays(encoded).items()})


def camera_to_bytes(camera: Camera) -> bytes:
    """A camera or a batch of cameras as NPZ bytes."""
    size = np.array([camera.width, camera.height], np.int32)
    return arrays_to_npz(
        {
            "world_to_camera": as_array(camera.world_to_camera),
            "intrinsics": as_array(camera.intrinsics),
            "size_px": size,
        }
    )


def bytes_to_camera(encoded: bytes) -> Camera:
    """The inverse of `camera_to_bytes`."""
    arrays = npz_to_arrays(encoded)
    width, height = (int(side) for side in arrays["size_px"])
    return Camera(torch.from_numpy(arrays["world_to_camera"]), torch.from_numpy(arrays["intrinsics"]), width, height)


def as_array(value: Shaped[Tensor, "..."]) -> Shaped[NDArray[np.generic], "..."]:
    """A tensor of any device as a contiguous array."""
    return np.ascontiguousarray(value.detach().cpu().numpy())

"""Clips as Parquet: one row a frame, in row groups small enough to read for the sake of a single frame.

What is the same in every frame (camera, identity) stands in every row, so that a row is complete in itself; dictionary
encoding stores it once.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from perse.data.clip import PortraitClip
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays, picture_to_png, png_to_picture
from perse.data.tables.geometry import as_array, bytes_to_camera, camera_to_bytes
from perse.head.parameters import HeadParameters

CLIPS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("alpha", pa.binary(), nullable=False),
        pa.field("parts", pa.binary(), nullable=False),
        pa.field("expression", pa.list_(pa.float32()), nullable=False),
        pa.field("pose", pa.list_(pa.float32()), nullable=False),
        pa.field("identity", pa.binary(), nullable=False),
        pa.field("camera", pa.binary(), nullable=False),
    ]
)
"""`identity` holds betas and vertex offsets; `pose` is [j, 3] flattened."""

PICTURES = ("image", "alpha", "parts")
"""Columns with an encoded picture a row."""

REPEATED = ("key", "identity", "camera")
"""Columns worth dictionary encoding."""

ROW_GROUP_BYTES = 2 << 20
"""What is read for the sake of one frame: about eight frames of 512 px. Smaller groups repeat `identity` too often."""


def rows_per_group(table: pa.Table) -> int:
    """Rows of a clip's table that make up `ROW_GROUP_BYTES`."""
    return max(1, ROW_GROUP_BYTES * len(table) // max(sum(table[name].nbytes for name in PICTURES), 1))


def clip_to_table(clip: PortraitClip) -> pa.Table:
    """Table of all frames of a clip."""
    head = clip.parameters
    frames = len(clip)
    identity = arrays_to_npz({"betas": as_array(head.betas), "vertex_offsets": as_array(head.vertex_offsets)})
    columns = {
        "key": [clip.key] * frames,
        "frame": clip.frame_numbers.astype(np.int32),
        "image": [picture_to_png(image) for image in clip.images],
        "alpha": [picture_to_png(alpha) for alpha in clip.alphas],
        "parts": [picture_to_png(parts) for parts in clip.parts],
        "expression": list(as_array(head.expression).astype(np.float32)),
        "pose": list(as_array(head.pose).astype(np.float32).reshape(frames, -1)),
        "identity": [identity] * frames,
        "camera": [camera_to_bytes(clip.camera)] * frames,
    }
    return pa.table(columns, schema=CLIPS)


def table_to_clip(table: pa.Table) -> PortraitClip:
    """The inverse of `clip_to_table`."""
    return PortraitClip(
        key=table["key"][0].as_py(),
        frame_numbers=table["frame"].to_numpy().astype(np.int32),
        images=np.stack([cell_to_picture(cell) for cell in table["image"]]),
        alphas=np.stack([cell_to_picture(cell) for cell in table["alpha"]]),
        parts=np.stack([cell_to_picture(cell) for cell in table["parts"]]),
        parameters=table_to_parameters(table),
        camera=bytes_to_camera(table["camera"][0].as_py()),
    )


def cell_to_picture(cell: pa.BinaryScalar) -> UInt8[NDArray[np.uint8], "h w *c"]:
    """A value of a column of pictures, decoded from where it lies."""
    return png_to_picture(memoryview(cell.as_buffer()))


def table_to_parameters(table: pa.Table) -> HeadParameters:
    """Head parameters of all frames; the columns of pictures are not looked at."""
    identity = npz_to_arrays(table["identity"][0].as_py())
    return HeadParameters(
        betas=torch.from_numpy(identity["betas"]),
        vertex_offsets=torch.from_numpy(identity["vertex_offsets"]),
        expression=_rows(table["expression"]),
        pose=_rows(table["pose"]).reshape(len(table), -1, 3),
    )


def _rows(lists: pa.ChunkedArray) -> Float[torch.Tensor, "f n"]:
    """Lists of one length as [f, n] float32, by way of Arrow's flat values: Python objects take fifty times as long."""
    flat = lists.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return torch.from_numpy(flat.reshape(len(lists), -1))

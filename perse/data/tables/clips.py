"""Clips as Parquet: one row a frame, one row group a clip.

What is the same in every frame (camera, identity) stands in every row, so that a row is complete in itself; dictionary
encoding stores it once.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

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

REPEATED = ("key", "identity", "camera")
"""Columns worth dictionary encoding."""


def clip_to_table(clip: PortraitClip) -> pa.Table:
    """All frames of a clip."""
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
    identity = npz_to_arrays(table["identity"][0].as_py())
    pose = np.asarray(table["pose"].to_pylist(), np.float32)
    parameters = HeadParameters(
        betas=torch.from_numpy(identity["betas"]),
        vertex_offsets=torch.from_numpy(identity["vertex_offsets"]),
        expression=torch.from_numpy(np.asarray(table["expression"].to_pylist(), np.float32)),
        pose=torch.from_numpy(pose.reshape(len(pose), -1, 3)),
    )
    return PortraitClip(
        key=table["key"][0].as_py(),
        frame_numbers=table["frame"].to_numpy().astype(np.int32),
        images=np.stack([png_to_picture(encoded.as_py()) for encoded in table["image"]]),
        alphas=np.stack([png_to_picture(encoded.as_py()) for encoded in table["alpha"]]),
        parts=np.stack([png_to_picture(encoded.as_py()) for encoded in table["parts"]]),
        parameters=parameters,
        camera=bytes_to_camera(table["camera"][0].as_py()),
    )

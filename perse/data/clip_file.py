"""A clip that stays in its file: opened once, read frame by frame.

What all frames share (motion, camera, the subject's key) is small and in memory. A frame's pictures are read with
their row group, from a mapped local file or as a range of a remote one, and decoded alone.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Int32
from numpy.typing import NDArray

from perse.data.clip import PortraitClip
from perse.data.tables.clips import CLIPS, PICTURES, cell_to_picture, table_to_parameters
from perse.data.tables.geometry import bytes_to_camera
from perse.data.workspace import Workspace
from perse.geometry.camera import Camera
from perse.head.parameters import HeadParameters
from perse.shapes import ByteMask, Picture

DECODED_BYTES = 5
"""Of a pixel: colour, alpha and part."""


@dataclass(frozen=True)
class Frame:
    """The decoded pictures of one frame.

    Attributes:
        image: [h, w, 3] uint8 RGB on white.
        alpha, parts: [h, w] uint8.
    """

    image: Picture
    alpha: ByteMask
    parts: ByteMask


@dataclass(frozen=True, eq=False)
class ClipFile:
    """File of a clip, opened once and read frame by frame. Safe to read from several threads.

    Attributes:
        workspace, name: the file.
        metadata: its footer.
        key, frame_numbers, parameters, camera: as of the `PortraitClip`.
    """

    workspace: Workspace
    name: str
    metadata: pq.FileMetaData
    key: str
    frame_numbers: Int32[NDArray[np.int32], " f"]
    parameters: HeadParameters
    camera: Camera

    @classmethod
    def open(cls, workspace: Workspace, name: str) -> ClipFile:
        """Opened file of a clip.

        Raises:
            WorkspaceError: there is no such clip, or it is damaged (`DamagedFile`).
        """
        with workspace.opened_table(name) as file:
            table = file.read(columns=[column for column in CLIPS.names if column not in PICTURES], use_threads=False)
            return cls(
                workspace,
                name,
                file.metadata,
                table["key"][0].as_py(),
                table["frame"].to_numpy().astype(np.int32),
                table_to_parameters(table),
                bytes_to_camera(table["camera"][0].as_py()),
            )

    def __len__(self) -> int:
        return len(self.frame_numbers)

    @property
    def frame_bytes(self) -> int:
        """Size of one decoded frame, bytes."""
        return self.camera.width * self.camera.height * DECODED_BYTES

    def decode(self, row: int) -> Frame:
        """Decoded pictures of the frame in that row.

        Raises:
            WorkspaceError: the file is gone, or damaged (`DamagedFile`).
        """
        group, offset = self._place(row)
        with self.workspace.opened_table(self.name, self.metadata) as file:
            table = file.read_row_group(group, columns=list(PICTURES), use_threads=False)
            frame = Frame(*(cell_to_picture(table[column][offset]) for column in PICTURES))
        if frame.image.shape != (self.camera.height, self.camera.width, 3):
            raise self.workspace.damaged(self.name, "its pictures are of another size than its camera's")
        return frame

    def clip(self, row: int) -> PortraitClip:
        """Clip of its own of one frame."""
        frame = self.decode(row)
        only = slice(row, row + 1)
        return PortraitClip(
            self.key, self.frame_numbers[only], frame.image[None], frame.alpha[None], frame.parts[None],
            self.parameters.frame(only), self.camera,
        )  # fmt: skip

    def _place(self, row: int) -> tuple[int, int]:
        """A row's row group and its place in there."""
        sizes = (self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups))
        starts = [0, *accumulate(sizes)]
        if not 0 <= row < starts[-1]:
            raise IndexError(f"{self.name} has {starts[-1]} frames, there is no row {row}")
        group = bisect_right(starts, row) - 1
        return group, row - starts[group]

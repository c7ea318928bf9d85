"""Prepared videos as Parquet: one row a frame, read frame by frame in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from perse.data.tables.codecs import picture_to_png, png_to_picture
from perse.data.workspace import Workspace
from perse.shapes import Frames
from perse.synthesis.production.guidance import KINDS, Guidance
from perse.synthesis.production.portrait_champ.footage import Footage

_COLUMNS = ("frames", *KINDS)
FOOTAGE = pa.schema([pa.field(name, pa.binary(), nullable=False) for name in _COLUMNS])
_ROWS_PER_GROUP = 4
"""Frames that are read for the sake of one; a window reads its neighbours anyway."""


def save_footage(workspace: Workspace, key: str, footage: Footage) -> None:
    """Write footage into a workspace.

    Raises:
        WorkspaceError: the place cannot be written.
    """
    pictures = {"frames": footage.frames, **{kind: getattr(footage.guidance, kind) for kind in KINDS}}
    columns = [pa.array([picture_to_png(one) for one in pictures[name]], pa.binary()) for name in _COLUMNS]
    table = pa.Table.from_arrays(columns, schema=FOOTAGE)
    workspace.write_table(footage_name(key), table, rows_per_group=_ROWS_PER_GROUP)


def footage_name(key: str) -> str:
    """Name of a footage's file in a workspace."""
    return f"footage/{key}.parquet"


@dataclass(frozen=True)
class FootageFile:
    """Prepared video whose pictures stay in the file.

    Attributes:
        workspace, key: where it lies.
    """

    workspace: Workspace
    key: str

    def read(self, numbers: Sequence[int]) -> Footage:
        """Frames of these numbers, in the order asked for.

        Raises:
            WorkspaceError: it is damaged or gone.
        """
        with self.workspace.opened_table(footage_name(self.key)) as file:
            groups = sorted({number // _ROWS_PER_GROUP for number in numbers})
            table = file.read_row_groups(groups)
        if table.schema.names != list(_COLUMNS):
            raise self.workspace.damaged(footage_name(self.key), "it has other columns than we wrote")
        first = {group: index * _ROWS_PER_GROUP for index, group in enumerate(groups)}
        rows = [first[number // _ROWS_PER_GROUP] + number % _ROWS_PER_GROUP for number in numbers]
        pictures = {name: self._decoded(table[name], rows) for name in _COLUMNS}
        return Footage(pictures.pop("frames"), Guidance(**pictures))

    def frame_count(self) -> int:
        """Number of frames."""
        with self.workspace.opened_table(footage_name(self.key)) as file:
            return int(file.metadata.num_rows)

    @staticmethod
    def _decoded(column: pa.ChunkedArray, rows: Sequence[int]) -> Frames:
        return np.stack([png_to_picture(column[row].as_py()) for row in rows])

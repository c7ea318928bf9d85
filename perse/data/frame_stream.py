"""Stream of frames of clips that do not fit into memory: threads decode what is asked for, the latest are kept.

::

    batch(subjects, frames) ─► StreamedPictures ─► FrameStream ── kept? ──► the frame
                   expect(…) ──────────────────────────┘    └── no ──► a thread: ClipFile.decode

A streamed clip is a `PortraitClip` like any other. Its frames are, to the bit, those of the decoded clip.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from numpy.typing import NDArray

from perse.data.clip import PortraitClip
from perse.data.clip_file import ClipFile, Frame

MIB = 1 << 20

DECODERS = 4
"""Threads; decoding leaves Python's lock alone. One of them decodes about 100 frames of 512 px a second [M]."""

LEAST_FRAMES = 64
"""Kept however small the limit is: a step's frames and those announced for the next steps must fit."""

_TOGETHER = LEAST_FRAMES // 2
"""Frames of one clip that are decoded side by side; all of them are kept until they have been read."""


class FrameStream:
    """Cache of decoded frames of many clips, bounded in size.

    Args:
        limit_bytes: of decoded frames that are kept. Beside them there are at most `decoders` frames being decoded,
            and what the caller holds.
        decoders: threads.
    """

    def __init__(self, limit_bytes: int, *, decoders: int = DECODERS) -> None:
        self._limit = limit_bytes
        self._pool = ThreadPoolExecutor(decoders, thread_name_prefix="decode")
        self._lock = threading.Lock()
        self._frames: OrderedDict[tuple[str, int], Future[Frame]] = OrderedDict()

    def clip(self, file: ClipFile) -> PortraitClip:
        """A clip whose pictures are read through this stream."""
        rows = np.arange(len(file))
        image, alpha, parts = (StreamedPictures(self, file, name, rows) for name in ("image", "alpha", "parts"))
        return PortraitClip(file.key, file.frame_numbers, image, alpha, parts, file.parameters, file.camera)

    def expect(self, file: ClipFile, rows: Iterable[int]) -> None:
        """Begin to decode frames that will be asked for."""
        for row in rows:
            self._future(file, row)

    def frame(self, file: ClipFile, row: int) -> Frame:
        """A frame, waited for if need be.

        Raises:
            WorkspaceError: the file is gone or damaged.
        """
        return self._future(file, row).result()

    def _future(self, file: ClipFile, row: int) -> Future[Frame]:
        key = (file.name, row)
        with self._lock:
            known = self._frames.get(key)
            if known is None or (known.done() and known.exception() is not None):  # a failure may have been the network
                known = self._frames[key] = self._pool.submit(file.decode, row)
            self._frames.move_to_end(key)
            while len(self._frames) > max(LEAST_FRAMES, self._limit // file.frame_bytes):
                self._frames.popitem(last=False)
            return known


@dataclass(frozen=True, eq=False)
class StreamedPictures:
    """One column of a streamed clip: an array [f, h, w, …] uint8 that decodes what is indexed.

    Attributes:
        stream: where frames are kept.
        file: where they come from.
        column: which of a frame's pictures.
        rows: [f] rows of the file.
    """

    stream: FrameStream
    file: ClipFile
    column: Literal["image", "alpha", "parts"]
    rows: Int[NDArray[np.intp], " f"]

    @property
    def shape(self) -> tuple[int, ...]:
        height, width = self.file.camera.height, self.file.camera.width
        return (len(self.rows), height, width, 3) if self.column == "image" else (len(self.rows), height, width)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[UInt8[NDArray[np.uint8], "..."]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any, /) -> UInt8[NDArray[np.uint8], "..."]:
        chosen = self.rows[index]
        if chosen.ndim == 0:
            return self._picture(int(chosen))
        found = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        rows = chosen.tolist()
        for begin in range(0, len(rows), _TOGETHER):
            self.stream.expect(self.file, rows[begin : begin + _TOGETHER])
            for place, row in enumerate(rows[begin : begin + _TOGETHER], begin):
                found[place] = self._picture(row)
        return found

    def expect(self, index: int) -> None:
        """Begin to decode a frame, all its pictures."""
        self.stream.expect(self.file, [int(self.rows[index])])

    def only(self, index: Shaped[NDArray[np.intp], " _"]) -> StreamedPictures:
        """Some of the frames; nothing is decoded."""
        return StreamedPictures(self.stream, self.file, self.column, self.rows[index])

    def _picture(self, row: int) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = getattr(self.stream.frame(self.file, row), self.column)
        return picture

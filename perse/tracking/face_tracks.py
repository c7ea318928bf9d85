"""Tracks of faces over time, linked from single frames: who is who in a video, and whom to follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from perse.errors import InputError
from perse.tracking.detection import FaceBox

MIN_OVERLAP = 0.3
"""Share of the smaller box that the same face covers in two frames."""
PATIENCE_S = 2.0
"""A face that comes back to its place within this time is the same face."""
RIVAL_SHARE = 0.25
"""Other faces count as several when they are seen this much, in size times time, relative to the main one."""


@dataclass
class FaceTrack:
    """One face over time: frame number to box."""

    boxes: dict[int, FaceBox] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return max(self.boxes)

    @property
    def presence(self) -> float:
        """Presence: how large and how long it is seen, as the sum of its widths, pixels."""
        return sum(box.width for box in self.boxes.values())

    @property
    def across(self) -> float:
        """Mean horizontal position, pixels."""
        return sum(box.left + box.width / 2 for box in self.boxes.values()) / len(self.boxes)


def link_faces(frames: Iterable[Sequence[FaceBox]], fps: float) -> list[FaceTrack]:
    """Tracks of faces that lie over one another in consecutive frames; the most present first."""
    tracks: list[FaceTrack] = []
    for number, boxes in enumerate(frames):
        waiting = [track for track in tracks if number - track.last <= PATIENCE_S * fps]
        pairs = [
            (track.boxes[track.last].overlap(box), -index, track, box)
            for track in waiting
            for index, box in enumerate(boxes)
        ]
        taken: set[int] = set()
        for overlap, index, track, box in sorted(pairs, key=lambda pair: pair[:2], reverse=True):
            if overlap >= MIN_OVERLAP and index not in taken and number not in track.boxes:
                track.boxes[number] = box
                taken.add(index)
        tracks += [FaceTrack({number: box}) for index, box in enumerate(boxes) if -index not in taken]
    return sorted(tracks, key=lambda track: -track.presence)


def choose_track(tracks: Sequence[FaceTrack], face: int | None) -> tuple[FaceTrack, int]:
    """Track to follow, and how many there are to choose from.

    Args:
        tracks: most present first.
        face: counted from 1 at the picture's left; None follows the most present.

    Raises:
        InputError: there is no face, or not that many.
    """
    if not tracks:
        raise InputError("no face was found in the video; one that looks towards the camera is needed")
    rivals = [track for track in tracks if track.presence >= RIVAL_SHARE * tracks[0].presence]
    if face is None:
        return tracks[0], len(rivals)
    if not 1 <= face <= len(rivals):
        raise InputError(f"there is no face {face}: the video shows {len(rivals)}, counted from 1 at the left")
    return sorted(rivals, key=lambda track: track.across)[face - 1], len(rivals)

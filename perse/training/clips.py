"""Training frames: every subject's clip as uint8, one motion and one camera for all of them.

37 subjects × 50 frames × 256² take 0.6 GB, and a step reads four frames: no loader, no worker, no copy. The paper's
958 × 400 frames of 512² would take 468 GiB: those are streamed (`perse.data.frame_stream`), which nobody here notices
but for `expect`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from numpy.typing import NDArray
from torch import Tensor

from perse.data import UNRECORDED, PortraitClip
from perse.data.clip import Pictures
from perse.data.frame_stream import StreamedPictures
from perse.errors import StageError
from perse.geometry import Camera
from perse.head import HeadParameters, Joint
from perse.shapes import Picture
from perse.training.sampler import ReferenceFrames


@dataclass(frozen=True)
class FrameBatch:
    """Target pictures of b frames.

    Attributes:
        images: [b, h, w, 3] uint8 on white.
        alphas: [b, h, w] uint8.
        parts: [b, h, w] uint8, values of `Part`, or `UNRECORDED`.
        partial: some do not tell everything (`UNRECORDED`).
    """

    images: UInt8[Tensor, "b h w 3"]
    alphas: UInt8[Tensor, "b h w"]
    parts: UInt8[Tensor, "b h w"]
    partial: bool = False

    @property
    def seen(self) -> Float[Tensor, "b h w"] | None:
        """Mask [b, h, w] of 1 and 0, where the pictures tell something; None where they all do everywhere."""
        return (self.parts != UNRECORDED).float() if self.partial else None

    def within(self, window: Callable[[Shaped[Tensor, "..."]], Shaped[Tensor, "..."]]) -> FrameBatch:
        """Batch of what a function leaves of each of the pictures."""
        images, alphas, parts = (window(values) for values in (self.images, self.alphas, self.parts))
        return FrameBatch(images, alphas, parts, self.partial)

    def to(self, device: torch.device) -> FrameBatch:
        """Copy on another device. To a CUDA device the copy runs beside the work that is queued next."""
        if device.type != "cuda":
            return self.within(lambda values: values.to(device))
        return self.within(lambda values: values.pin_memory().to(device, non_blocking=True))


BEYOND_RAD = 0.05
"""Turns further than this beyond what a camera has seen show sides that it has not (3°)."""

RECORDED_TO_FILMED = 2
"""Recorded frames for each one of the clip's at least: what a camera saw is the truth."""


class ClipStore:
    """Clips of s subjects and f frames each, and what a camera has recorded of the reference, if it did: c frames.

    Frames are named by positions. Those from f on are recorded ones: the reference alone has them, and is trained on
    them instead of on its clip. Of its clip it keeps the frames in which the head turns further than the camera has
    seen it: an avatar that knows nothing of its sides falls apart at 40° where its person never turned beyond 25°.

    Attributes:
        keys: of the subjects, the reference first.
        frame_numbers: [f] int32, positions in the shared motion.
        parameters: the motion, f frames.
        camera: the static camera.
        captured: recorded frames of the reference, in its own motion, with the same camera; None without.
    """

    def __init__(self, clips: Sequence[PortraitClip], captured: PortraitClip | None = None) -> None:
        """
        Raises:
            StageError: the clips differ in frames, size, motion or camera, or the recorded frames in size or camera.
        """
        first = clips[0]
        for clip in clips[1:]:
            _check_alike(clip, first)
        if captured is not None:
            _check_same_camera(captured, first)
        self.captured = captured
        self.keys = tuple(clip.key for clip in clips)
        self.frame_numbers = first.frame_numbers
        self.parameters: HeadParameters = first.parameters
        self.camera: Camera = first.camera
        self._clips = tuple(clips)

    @property
    def n_subjects(self) -> int:
        return len(self._clips)

    @property
    def n_frames(self) -> int:
        return len(self.frame_numbers)

    @cached_property
    def reference_frames(self) -> ReferenceFrames:
        """Frames that the reference is trained on."""
        if self.captured is None:
            return ReferenceFrames(range(self.n_frames))
        recorded = range(self.n_frames, self.n_frames + len(self.captured))
        beyond = np.flatnonzero(turned_beyond(self.parameters, self.captured.parameters).numpy()).tolist()
        weight = max(1, -(-RECORDED_TO_FILMED * len(beyond) // len(recorded)))
        return ReferenceFrames(beyond, recorded, weight)

    @property
    def motion(self) -> HeadParameters:
        """Parameters of all positions, recorded frames behind the clips'."""
        if self.captured is None:
            return self.parameters
        own, theirs = self.parameters, self.captured.parameters
        return HeadParameters(
            own.betas, own.vertex_offsets, torch.cat([own.expression, theirs.expression]),
            torch.cat([own.pose, theirs.pose]),
        )  # fmt: skip

    def with_captured(self, captured: PortraitClip) -> ClipStore:
        """The same clips, with recorded frames of the reference."""
        return ClipStore(self._clips, captured)

    def reference_picture(self, frame: int) -> Picture:
        """The reference [h, w, 3] at a position."""
        return self._picture("images", 0, frame)

    def name_of(self, frame: int) -> str:
        """Name of a position, for people."""
        if self.captured is None or frame < self.n_frames:
            return str(self.frame_numbers[frame])
        return f"{self.captured.frame_numbers[frame - self.n_frames]} of the video"

    @property
    def streamed(self) -> bool:
        """Whether frames are decoded when they are asked for."""
        return isinstance(self._clips[0].images, StreamedPictures)

    def clip(self, subject: int) -> PortraitClip:
        """Clip of one subject as it came."""
        return self._clips[subject]

    def expect(self, subjects: Sequence[int], frames: Sequence[int]) -> None:
        """Announce what `batch` will be asked for soon: streamed frames are decoded meanwhile."""
        for subject, frame in zip(subjects, frames, strict=True):
            if frame >= self.n_frames:
                continue
            pictures = self._clips[subject].images
            if isinstance(pictures, StreamedPictures):
                pictures.expect(frame)

    def batch(self, subjects: Sequence[int], frames: Sequence[int]) -> FrameBatch:
        """Batch with frame frames[i] of subject subjects[i], for all i."""
        self.expect(subjects, frames)

        def stacked(name: str) -> Tensor:
            pictures = [self._picture(name, s, f) for s, f in zip(subjects, frames, strict=True)]
            return torch.from_numpy(np.stack(pictures))

        parts = stacked("parts")
        return FrameBatch(stacked("images"), stacked("alphas"), parts, bool((parts == UNRECORDED).any()))

    def _picture(self, name: str, subject: int, frame: int) -> NDArray[np.uint8]:
        """One of a subject's images, alphas or parts."""
        if self.captured is None or frame < self.n_frames:
            return np.asarray(getattr(self._clips[subject], name)[frame])
        assert subject == 0, "a camera recorded the reference alone"
        return np.asarray(getattr(self.captured, name)[frame - self.n_frames])

    def frames(self, chosen: Bool[NDArray[np.bool_], " f"]) -> ClipStore:
        """Store of the same clips with some frames only, such as the training or the test frames.

        No picture is copied where the frames follow each other, as those two do, or are streamed.
        """
        index = np.flatnonzero(chosen)
        return ClipStore([_select(clip, index) for clip in self._clips], self.captured)


def turned_beyond(motion: HeadParameters, seen: HeadParameters) -> Bool[Tensor, " f"]:
    """Frames of a motion in which the head turns further to a side, up, down or over than in any frame of another."""
    turns, known = (one.pose[:, [Joint.GLOBAL, Joint.NECK]].sum(1) for one in (motion, seen))
    low, high = known.min(0).values - BEYOND_RAD, known.max(0).values + BEYOND_RAD
    return ((turns < low) | (turns > high)).any(1)


def select_frames(clip: PortraitClip, chosen: Bool[NDArray[np.bool_], " f"]) -> PortraitClip:
    """Clip with some frames [f] bool only."""
    return _select(clip, np.flatnonzero(chosen))


def _select(clip: PortraitClip, index: NDArray[np.intp]) -> PortraitClip:
    return PortraitClip(
        clip.key, clip.frame_numbers[index], _chosen(clip.images, index), _chosen(clip.alphas, index),
        _chosen(clip.parts, index), clip.parameters.frame(torch.from_numpy(index)), clip.camera,
    )  # fmt: skip


def _chosen(pictures: Pictures, index: NDArray[np.intp]) -> Pictures:
    if isinstance(pictures, StreamedPictures):
        return pictures.only(index)
    if len(index) and index[-1] - index[0] + 1 == len(index):
        return pictures[int(index[0]) : int(index[-1]) + 1]
    return pictures[index]


def _check_same_camera(captured: PortraitClip, first: PortraitClip) -> None:
    if captured.images.shape[1:] != first.images.shape[1:] or not (
        torch.allclose(captured.camera.intrinsics, first.camera.intrinsics, atol=1e-3)
        and torch.allclose(captured.camera.world_to_camera, first.camera.world_to_camera, atol=1e-4)
    ):
        raise StageError(
            "the recorded frames and the clips differ in size or camera; cut the video's frames for this portrait again"
        )


def _check_alike(clip: PortraitClip, first: PortraitClip) -> None:
    def refuse(what: str) -> StageError:
        return StageError(
            f"the clips of {clip.key} and {first.key} differ in {what}; animate all subjects along one motion, with "
            "one camera and at one size"
        )

    if clip.images.shape != first.images.shape or not np.array_equal(clip.frame_numbers, first.frame_numbers):
        raise refuse("their frames")
    if not torch.equal(clip.camera.intrinsics, first.camera.intrinsics):
        raise refuse("their camera")
    a, b = clip.parameters, first.parameters
    if not (torch.allclose(a.pose, b.pose, atol=1e-5) and torch.allclose(a.expression, b.expression, atol=1e-5)):
        raise refuse("their motion")

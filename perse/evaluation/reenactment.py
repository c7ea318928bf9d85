"""Self-reenactment (P Table 5): a video's first frame, animated by the video's own motion, against the video.

::

    video ─ track ─► motion ────────────┐
      └ first frame ─ track ─► portrait ┴─ animator ─► clip ─ against ─► the video's frames, cut and on white alike

What an animator cannot know is where the body carries the head, which a shot has no room for: a person who walks
through the picture lowers every animator's numbers alike. What lies beyond the video's edge, where a crop goes on
softly, was seen by nobody: it is white in all pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8

from perse.data import TrackedPortrait
from perse.data.on_white import laid_on_white
from perse.errors import InputError
from perse.evaluation.champ_preview import mean_psnr
from perse.evaluation.learned_distance import LearnedDistance
from perse.evaluation.metrics.sets import Features, SetDistances, feature_distances
from perse.evaluation.perceptual import structural_similarity
from perse.head import HeadModel
from perse.shapes import Frames, Picture, Pictures, SquarePicture
from perse.synthesis.production.portrait_champ.footage import cut_on_white, longest_run
from perse.synthesis.seams import PortraitAnimator, Shot
from perse.tracking import HeadTracker
from perse.tracking.crop import fade
from perse.tracking.video_file import open_video
from perse.tracking.video_tracker import TrackedVideo, VideoTracker, VideoTrackerConfig

SHOWN = 8
"""Frames on a strip."""


@dataclass(frozen=True)
class DrivingVideo:
    """Video that is ready to be reenacted.

    Attributes:
        name: of the file.
        portrait: its first frame.
        shot: its motion.
        truth: [f, s, s, 3], its frames as a clip would show them; the first is the portrait.
        shown: [s, s], how far the crop lies within the video's picture: 0 at its edge and beyond.
    """

    name: str
    portrait: TrackedPortrait
    shot: Shot
    truth: UInt8[np.ndarray, "f s s 3"]
    shown: Float32[np.ndarray, "s s"]


@dataclass(frozen=True)
class ReenactmentScores:
    """Scores of one animator on one video; the first frame, which everybody was given, does not count.

    Attributes:
        psnr: dB, mean over frames, the whole picture on white.
        ssim: mean over frames.
        lpips: mean over frames; None without weights.
    """

    psnr: float
    ssim: float
    lpips: float | None


class SceneMaker:
    """Maker of scenes from videos."""

    def __init__(self, head: HeadModel, tracker: HeadTracker, videos: VideoTrackerConfig, size_px: int) -> None:
        self._tracker, self._videos, self._size_px = tracker, VideoTracker(videos, head), size_px

    def make(self, path: Path, frames: int) -> DrivingVideo:
        """Video that is ready to be reenacted.

        Args:
            frames: at most so many, spread evenly over the longest stretch in which the face is seen.

        Raises:
            InputError: the video cannot be read, or shows no usable face (also for its first usable frame).
        """
        video = open_video(path)
        tracked = self._videos.track(video)
        start, end = longest_run(tracked.seen)
        if end - start < 2:
            raise InputError(f"{path.name} shows a face in {end - start} frames on end only; two are needed")
        numbers = np.unique(np.linspace(start, end - 1, min(frames, end - start)).round().astype(int))
        chosen = set(numbers.tolist())
        pictures = [frame for number, frame in enumerate(video.frames()) if number in chosen]
        first = pictures[0]
        assert first is not None, "only frames in which a face was seen are chosen"
        portrait = self._tracker.track(first)
        size = (self._size_px, self._size_px)
        shown = cv2.resize(fade(portrait.inside, portrait.face_width_px), size, interpolation=cv2.INTER_AREA)
        truth = on_white_beyond(self._truth(tracked, numbers, pictures, portrait), shown)
        shot = Shot(
            numbers.astype(np.int32), tracked.head.frame(torch.from_numpy(numbers.astype(np.int64))), self._size_px
        )
        return DrivingVideo(path.name, portrait, shot, truth, shown)

    def _truth(
        self, tracked: TrackedVideo, numbers: Int[np.ndarray, " f"], pictures: Sequence[Pictures | None],
        portrait: TrackedPortrait,
    ) -> UInt8[np.ndarray, "f s s 3"]:  # fmt: skip
        window = crop_window(tracked.landmarks_px[numbers[0]], portrait)
        frames = []
        for number, picture in zip(numbers, pictures, strict=True):
            assert picture is not None, "see above"
            frames.append(cut_on_white(picture, tracked.landmarks_px[number], window, self._size_px))
        return np.stack(frames)


def crop_window(points_px: Float32[np.ndarray, "478 3"], portrait: TrackedPortrait) -> tuple[float, float, float]:
    """The window of a picture that a portrait was cropped from: left, top and side in pixels of the picture.

    Args:
        points_px: [478, 3], the landmarks in the picture; the portrait has its own in the crop.
    """
    here, there = points_px[:, :2].astype(np.float64), portrait.landmarks_px[:, :2].astype(np.float64)
    scale = float(np.linalg.norm(here - here.mean(0)) / np.linalg.norm(there - there.mean(0)))
    left, top = here.mean(0) - scale * there.mean(0)
    return float(left), float(top), scale * portrait.image.shape[1]


def reenact(scene: DrivingVideo, animator: PortraitAnimator) -> UInt8[np.ndarray, "f s s 3"]:
    """Frames [f, s, s, 3] of the scene, filmed by an animator.

    Raises:
        PerseError: the animator cannot film it.
    """
    pictures = np.stack(list(animator.animate(scene.portrait, None, scene.shot).images))
    return on_white_beyond(pictures, scene.shown)


def on_white_beyond(
    pictures: UInt8[np.ndarray, "f s s 3"], shown: Float32[np.ndarray, "s s"]
) -> UInt8[np.ndarray, "f s s 3"]:
    """Pictures that are white where `shown` is 0."""
    return laid_on_white(pictures, np.broadcast_to(shown, pictures.shape[:3]))


def first_frame_repeated(scene: DrivingVideo) -> UInt8[np.ndarray, "f s s 3"]:
    """Frames of an animator that knows nothing of motion."""
    return np.broadcast_to(scene.truth[:1], scene.truth.shape)


def score(
    pictures: UInt8[np.ndarray, "f s s 3"], scene: DrivingVideo, learned: LearnedDistance | None
) -> ReenactmentScores:
    """Scores of a film against the video, the first frame left out."""
    drawn, truth = pictures[1:], scene.truth[1:]
    similarity = structural_similarity(_unit(drawn), _unit(truth))
    return ReenactmentScores(
        mean_psnr(drawn, truth), float(similarity.mean()), learned(drawn, truth) if learned is not None else None
    )


class FilmedSets:
    """Distances of everything that an animator filmed from the same frames of the videos (FID, KID; P Table 5).

    Args:
        describe: features [n, w] of pictures [n, h, w, 3].
    """

    def __init__(self, describe: Callable[[Pictures], Features]) -> None:
        self._describe = describe
        self._pairs: dict[str, list[tuple[Features, Features]]] = {}

    def add(self, scene: DrivingVideo, filmed: Mapping[str, Frames]) -> None:
        """Add what the animators made of a scene, by their names; the first frame, which they were given, is left
        out."""
        real = self._describe(scene.truth[1:])
        for name, pictures in filmed.items():
            self._pairs.setdefault(name, []).append((real, self._describe(pictures[1:])))

    def distances(self) -> dict[str, SetDistances]:
        """Distances by animator; those who filmed fewer than two frames have none."""
        whole = {
            name: [np.concatenate(side) for side in zip(*pairs, strict=True)] for name, pairs in self._pairs.items()
        }
        return {name: feature_distances(real, shown) for name, (real, shown) in whole.items() if len(real) > 1}


def comparison_strip(rows: Sequence[Pictures], tile_px: int = 128) -> UInt8[np.ndarray, "height width 3"]:
    """Some frames of each row of pictures [f, s, s, 3] side by side, rows below each other."""
    chosen = np.unique(np.linspace(0, len(rows[0]) - 1, SHOWN).round().astype(int))
    lines = [np.concatenate([_resized(row[number], tile_px) for number in chosen], 1) for row in rows]
    return np.concatenate(lines)


def _resized(picture: Picture, size_px: int) -> SquarePicture:
    method = cv2.INTER_AREA if len(picture) > size_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size_px, size_px), interpolation=method), np.uint8)


def _unit(pictures: Frames) -> Float[torch.Tensor, "f h w 3"]:
    return torch.from_numpy(np.array(pictures)).float() / 255

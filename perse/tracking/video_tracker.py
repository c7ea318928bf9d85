"""Tracker of a head's motion in a video.

Landmarks in every frame; a shape that several frames share, told from what the face does by frames at rest; expression
and pose frame by frame; curves without tremor and holes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from numpy.typing import NDArray
from torch import Tensor

from perse.data.motion_file import Motion
from perse.errors import InputError
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters
from perse.tracking.bounded_solver import solve_bounded_quickly
from perse.tracking.chin import widest_jaws
from perse.tracking.crop import CropConfig
from perse.tracking.detection import face_width
from perse.tracking.fit import parameters_of, portrait_camera
from perse.tracking.frame_fit import FrameFit, FrameFitConfig
from perse.tracking.landmark_model import FitLayout, LandmarkModel
from perse.tracking.landmark_problem import Floats, LandmarkProblem, rotation_from_depths
from perse.tracking.landmarks import N_SURFACE
from perse.tracking.lips_at_rest import lips_closed
from perse.tracking.narrowed_lips import lips_of, with_narrowed_lips_of_frames
from perse.tracking.one_thread import one_thread
from perse.tracking.quick_landmarks import QuickLandmarkModel
from perse.tracking.response import answered, from_rest, with_level_eyes
from perse.tracking.rest_frames import rest_frames
from perse.tracking.shared_shape import fit_shared_shape, rotation_spread, shared_offsets
from perse.tracking.smoothing import SmoothingConfig, fill_gaps, gaps, smooth
from perse.tracking.video_file import VideoFile
from perse.tracking.video_landmarks import follow_face, video_landmarks
from perse.tracking.wording import below

log = logging.getLogger(__name__)

Started = Callable[[str, int], Callable[[], None]]
"""Told the name of a step and how many frames it takes; returns what to call after each."""


def unwatched(name: str, total: int) -> Callable[[], None]:
    """Progress that nobody looks at."""
    return lambda: None


@dataclass(frozen=True)
class FoundFace:
    """Face in a video.

    Attributes:
        landmarks_px: [f, 478, 3] in pixels of the frames, NaN where the face is not seen.
        faces: how many faces the video shows.
    """

    landmarks_px: Float32[NDArray[np.float32], "f 478 3"]
    faces: int


@dataclass(frozen=True, kw_only=True)
class VideoTrackerConfig:
    """Configuration of the tracker: everything that decides the motion."""

    frame: FrameFitConfig = field(default_factory=FrameFitConfig)
    """The fit of a single frame."""
    crop: CropConfig = field(default_factory=CropConfig)
    """The window around the face that landmarks are measured in, as for portraits."""
    views: int = 6
    """Frames of different head poses that the shape is fitted to, besides those at rest."""
    resting: int = 3
    """Frames at rest that the shape is fitted to."""
    first_look: int = 60
    """Frames in which rest is looked for."""
    min_face_px: float = 40.0
    """Narrowest usable face, pixels."""
    min_seen: float = 0.1
    """Share of the frames in which the face must be seen."""
    max_rms_percent: float = 6.0
    """A frame whose landmarks fit worse than this, per cent of the face's width, counts as not seen."""
    turns: SmoothingConfig = field(default_factory=lambda: SmoothingConfig(still_hz=1.5, per_speed=4.0))
    """Smoothing of rotations, radians."""
    actions: SmoothingConfig = field(default_factory=lambda: SmoothingConfig(still_hz=2.0, per_speed=2.0))
    """Smoothing of actions, 0 to 1."""


@dataclass(frozen=True)
class TrackedVideo:
    """Motion of a head, and what it was seen in.

    Attributes:
        head: [f] frames, smoothed, with the identity that was fitted.
        camera: of the window around the face; its axes are the picture's.
        translations: [f, 3] metres, camera coordinates: where the body carries the head. A motion file has no room
            for it.
        window: left, top and side of the window, pixels of the frames.
        landmarks_px: [f, 478, 3] in pixels of the frames, NaN where the face is not seen.
        seen: [f] bool; other frames are interpolated.
        rms_px: [f] of the landmarks, pixels of the frames, NaN where not seen.
        rest: frames taken for the face at rest.
        faces: how many faces the video shows.
        fps: frames a second.
    """

    head: HeadParameters
    camera: Camera
    translations: Float[Tensor, "f 3"]
    window: tuple[float, float, float]
    landmarks_px: Float32[NDArray[np.float32], "f 478 3"]
    seen: Bool[NDArray[np.bool_], " f"]
    rms_px: Float64[NDArray[np.float64], " f"]
    rest: tuple[int, ...]
    faces: int
    fps: float

    def motion(self, model: HeadModel) -> Motion:
        """The motion by name."""
        return Motion.of_parameters(self.head, model.expression_names, model.joint_names, self.fps)

    def gaps(self) -> list[tuple[int, int]]:
        """Runs of frames that are interpolated: first and last."""
        return gaps(self.seen)

    def head_camera(self, frame: int) -> Camera:
        """The camera of one frame, which stands where the body left it."""
        pose = self.camera.world_to_camera.clone()
        pose[:3, 3] = self.translations[frame]
        return Camera(pose, self.camera.intrinsics, self.camera.width, self.camera.height)


class VideoTracker:
    """Tracker by mediapipe's landmarks and our own fit. Deterministic.

    Args:
        config: see there.
        model: with embedded landmarks.
    """

    def __init__(self, config: VideoTrackerConfig, model: HeadModel) -> None:
        self._config, self._model = config, model
        self._ids = model.landmark_ids.numpy()

    def track(
        self, video: VideoFile, *, face: int | None = None, rest: int | None = None, started: Started | None = None
    ) -> TrackedVideo:
        """Motion of one face.

        Args:
            video: from `open_video`.
            face: which one, counted from 1 at the picture's left; the largest and longest seen if left out.
            rest: a frame in which the face is at rest; looked for if left out.
            started: progress.

        Raises:
            InputError: the video cannot be read, or shows no usable face.
        """
        started = started or unwatched
        found = self.find(video, face=face, started=started)
        return self.fit(found, video.fps, rest=rest, started=started)

    def find(self, video: VideoFile, *, face: int | None = None, started: Started | None = None) -> FoundFace:
        """Landmarks of one face in every frame: the first half of `track`. Refuses what it refuses."""
        started = started or unwatched
        track, faces = follow_face(video, face, started("faces", video.expected))
        return FoundFace(video_landmarks(video, track, started("landmarks", video.expected)), faces)

    def fit(
        self,
        found: FoundFace,
        fps: float,
        *,
        rest: int | None = None,
        identity: HeadParameters | None = None,
        started: Started | None = None,
    ) -> TrackedVideo:
        """Motion of the head that moves like these landmarks: the second half of `track`.

        Args:
            identity: betas and vertex offsets of the person, where they are known; told from the video if left out.

        Raises:
            InputError: the face is seen too seldom or too small, or fits no head.
        """
        started = started or unwatched
        points = found.landmarks_px
        seen = np.isfinite(points[:, 0, 0])
        self._check(points, seen, rest)
        left, top, side = self._window(points[seen])
        size = self._config.crop.size_px
        scale = size / side
        in_window = (points[:, self._ids].astype(np.float64) - (left, top, 0)) * scale
        focal = self._config.frame.fit.focal_per_width * size
        with one_thread():
            plain = QuickLandmarkModel(self._model, focal, (size / 2, size / 2), lips_closed(self._model))
            resting = self._resting(plain, points, in_window, seen, started) if rest is None else np.array([rest])
            if identity is None:
                offsets, start = self._identity(plain, in_window, seen, resting, started)
            else:
                offsets, start = self._known(identity, focal, in_window[resting[0]])
            own = QuickLandmarkModel(self._model, plain.focal_px, (size / 2, size / 2), offsets)
            vectors, rms = self._frames(own, start, in_window, seen, started("fit", int(seen.sum())))
        seen = seen & (rms <= self._config.max_rms_percent / 100 * size / self._config.crop.widths)
        if not seen.any():
            raise InputError("the face in the video fits no head; is it a face, and large enough?")
        names, layout = self._model.expression_names, own.layout
        vectors = with_level_eyes(layout, from_rest(layout, vectors, names, resting), resting)
        vectors = answered(layout, vectors, names, self._config.frame.fit.jaw_limit)
        jaws = widest_jaws(points.astype(np.float64), seen, resting)
        vectors[:, layout.jaw] = np.minimum(vectors[:, layout.jaw], jaws)
        vectors[:, layout.expression] = with_narrowed_lips_of_frames(
            vectors[:, layout.expression], names, points.astype(np.float64), seen, resting
        )
        vectors = self._curves(layout, vectors, seen, fps)
        stack = torch.from_numpy(vectors)
        frames = [parameters_of(layout, vector, offsets) for vector in stack]
        head = HeadParameters(
            frames[0].betas, offsets, torch.stack([f.expression for f in frames]), torch.stack([f.pose for f in frames])
        )
        translations = stack[:, own.layout.translation].float()
        camera = portrait_camera(translations[0], plain.focal_px, size, size).to("cpu", torch.float32)
        rms = np.where(seen, rms / scale, np.nan)
        return TrackedVideo(
            head.to("cpu", torch.float32), camera, translations, (left, top, side), points, seen, rms,
            tuple(int(n) for n in resting), found.faces, fps,
        )  # fmt: skip

    def _check(self, points: NDArray[np.float32], seen: NDArray[np.bool_], rest: int | None) -> None:
        if seen.sum() < max(1.0, self._config.min_seen * len(seen)):
            raise InputError(
                f"the face is seen in {seen.sum()} of {len(seen)} frames only; a video in which one face looks "
                "towards the camera most of the time is needed"
            )
        width = float(np.median([face_width(row) for row in points[seen]]))
        if width < self._config.min_face_px:
            raise InputError(
                f"the face is {below(width)} px wide, at least {self._config.min_face_px:.0f} px are needed; "
                "give a larger video or a closer one"
            )
        if rest is not None and not (0 <= rest < len(seen) and seen[rest]):
            raise InputError("at the time given for rest the face is not seen; choose another time")

    def _window(self, points: NDArray[np.float32]) -> tuple[float, float, float]:
        """A square that stands still, around where the face mostly is."""
        face = points[:, :N_SURFACE, :2]
        side = self._config.crop.widths * float(np.median(np.ptp(face[..., 0], axis=1)))
        middle = np.median((face.min(1) + face.max(1)) / 2, axis=0)
        return float(middle[0]) - side / 2, float(middle[1]) - side / 2, side

    def _problem(self, landmarks: LandmarkModel, points: Floats, *, at_rest: bool = False) -> LandmarkProblem:
        fit, sparsity = self._config.frame.fit, self._config.frame.sparsity
        return LandmarkProblem(
            landmarks, self._model, points, fit, at_rest=at_rest, sparsity=sparsity, solver=solve_bounded_quickly
        )

    def _views(self, landmarks: LandmarkModel, points: Floats, frames: NDArray[np.intp]) -> list[int]:
        """Frames whose heads are turned differently, though not so far that the landmarks are guesses."""
        rest = landmarks.average.numpy()
        turns = np.array([rotation_from_depths(rest, points[frame]) for frame in frames])
        usable = np.abs(turns[:, 1]) < 0.6
        if not usable.any():
            usable[:] = True
        return [int(frames[usable][i]) for i in rotation_spread(turns[usable], self._config.views)]

    def _resting(
        self, landmarks: LandmarkModel, seen_at: NDArray[np.float32], points: Floats, seen: NDArray[np.bool_],
        started: Started,
    ) -> NDArray[np.intp]:  # fmt: skip
        """Frames at rest, after a first look at some frames without knowing rest."""
        frames = np.flatnonzero(seen)
        sample = frames[:: max(1, len(frames) // self._config.first_look)]
        tick = started("rest", len(sample))
        views = self._views(landmarks, points, frames)
        start = fit_shared_shape([self._problem(landmarks, points[view]) for view in views])[0]
        fit = FrameFit(self._model, landmarks, start, self._config.frame)
        vectors = np.empty((len(sample), landmarks.layout.size))
        for row, frame in enumerate(sample):
            vectors[row] = fit.fit(points[frame])[0]
            tick()
        lips = [lips_of(seen_at[frame]) for frame in sample]
        return sample[rest_frames(landmarks.layout, vectors, lips, self._config.resting)]

    def _identity(
        self, landmarks: LandmarkModel, points: Floats, seen: NDArray[np.bool_], resting: NDArray[np.intp],
        started: Started,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Vertex offsets, and a parameter vector at rest with the betas."""
        tick = started("shape", 1)
        views = [view for view in self._views(landmarks, points, np.flatnonzero(seen)) if view not in resting]
        problems = [self._problem(landmarks, points[frame], at_rest=True) for frame in resting]
        problems += [self._problem(landmarks, points[frame]) for frame in views]
        vectors = fit_shared_shape(problems)
        n = len(resting)
        offsets = shared_offsets(self._model, problems[:n], vectors[:n], self._config.crop.size_px)
        tick()
        return offsets, vectors[0]

    def _known(self, identity: HeadParameters, focal_px: float, points: Floats) -> tuple[Tensor, Tensor]:
        """The same for a person whose identity is given: where a frame's head stands, with these betas."""
        offsets, size = identity.vertex_offsets.double(), self._config.crop.size_px
        model = QuickLandmarkModel(self._model, focal_px, (size / 2, size / 2), offsets)
        problem = self._problem(model, points)
        vector = problem.start()
        vector[model.layout.betas] = identity.betas.double()
        rigid = np.zeros(model.layout.size, bool)
        rigid[model.layout.rotation] = rigid[model.layout.translation] = True
        for _ in range(problem.config.pose_rounds):
            vector = problem.step(vector, rigid)
        return offsets, vector

    def _frames(
        self, landmarks: LandmarkModel, start: Tensor, points: Floats, seen: NDArray[np.bool_], tick: Callable[[], None]
    ) -> tuple[Floats, Floats]:
        fit = FrameFit(self._model, landmarks, start, self._config.frame)
        vectors = np.tile(start.numpy(), (len(points), 1))
        rms = np.full(len(points), np.inf)
        for frame in np.flatnonzero(seen):
            vectors[frame], rms[frame] = fit.fit(points[frame])
            tick()
        return vectors, rms

    def _curves(self, layout: FitLayout, vectors: Floats, seen: NDArray[np.bool_], fps: float) -> Floats:
        """Holes filled, tremor taken out."""
        whole = fill_gaps(vectors, seen)
        is_action = np.zeros(layout.size, bool)
        is_action[layout.expression] = True
        out = whole.copy()
        out[:, ~is_action] = smooth(whole[:, ~is_action], fps, self._config.turns)
        out[:, is_action] = smooth(whole[:, is_action], fps, self._config.actions)
        return out

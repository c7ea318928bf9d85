"""Live tracker of a face, frame by frame as it comes: what `VideoTracker` does, without knowing what follows.

One second at rest tells the shape, what the face does by itself, and which way is straight ahead; then every frame is
an expression and a pose relative to that. Landmarks come from mediapipe's network in streaming form, which looks where
the face was in the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from perse.data.motion_file import Motion
from perse.head import HeadModel
from perse.shapes import Picture
from perse.tracking.bounded_solver import solve_bounded_quickly
from perse.tracking.chin import chin_height, widest_jaw
from perse.tracking.crop import CropConfig
from perse.tracking.detection import MIN_CONFIDENCE, Points, face_width, points_of, started
from perse.tracking.frame_fit import FrameFit, FrameFitConfig
from perse.tracking.landmark_model import FitLayout
from perse.tracking.landmark_problem import Floats, LandmarkProblem
from perse.tracking.landmarks import N_SURFACE
from perse.tracking.lips_at_rest import lips_closed
from perse.tracking.narrowed_lips import Lips, lips_of, pucker_and_funnel, with_narrowed_lips
from perse.tracking.one_euro import OneEuro
from perse.tracking.one_thread import one_thread
from perse.tracking.quick_landmarks import QuickLandmarkModel
from perse.tracking.response import answered, from_rest
from perse.tracking.shared_shape import fit_shared_shape, shared_offsets
from perse.tracking.smoothing import SmoothingConfig

RATE = 30.0
"""What the motion of a single frame says about its rate; it has none."""


@dataclass(frozen=True, kw_only=True)
class LiveTrackerConfig:
    """Configuration of a live tracker: everything that decides what a frame becomes."""

    frame: FrameFitConfig = field(default_factory=FrameFitConfig)
    """The fit of a single frame, as for videos."""
    crop: CropConfig = field(default_factory=CropConfig)
    """The window around the face, whose camera the fit sees through, as for portraits."""
    rest_s: float = 1.0
    """How long the face is watched at rest."""
    rest_frames: int = 5
    """Of which so many show it, at least."""
    min_face_px: float = 32.0
    """Narrowest usable face, pixels of the frames."""
    turns: SmoothingConfig = field(default_factory=lambda: SmoothingConfig(still_hz=2.0, per_speed=12.0))
    """Calming of rotations, radians."""
    actions: SmoothingConfig = field(default_factory=lambda: SmoothingConfig(still_hz=2.5, per_speed=6.0))
    """Calming of actions, 0 to 1."""


class Seen(StrEnum):
    """Content of a frame."""

    FACE = "face"
    RESTING = "resting"
    """A face that is still being watched at rest."""
    FAR = "far"
    """A face that is too small."""
    NOBODY = "nobody"


@dataclass(frozen=True)
class LiveFrame:
    """Result of a frame.

    Attributes:
        seen: what it showed.
        rested: how much of the time at rest is over, 0 to 1.
        motion: a motion of one frame; None unless `seen` is a face.
    """

    seen: Seen
    rested: float
    motion: Motion | None = None


@dataclass
class _Person:
    """What the time at rest told."""

    window: tuple[float, float, float]  # left, top and side, pixels of the frames
    landmarks: QuickLandmarkModel
    fit: FrameFit
    rest: Float64[NDArray[np.float64], "f size"]
    lips: Lips  # at rest
    chin: float  # at rest, see `chin_height`
    ahead: Rotation


class LiveTracker:
    """Tracker of one face. Not for several threads at once.

    Args:
        config: see there.
        model: with embedded landmarks.
    """

    def __init__(self, config: LiveTrackerConfig, model: HeadModel) -> None:
        self._config, self._model = config, model
        self._ids = model.landmark_ids.numpy()
        self._closed = lips_closed(model)
        self._mesh: Any = started(
            lambda solutions: solutions.face_mesh.FaceMesh(
                static_image_mode=False, refine_landmarks=True, max_num_faces=1, min_detection_confidence=MIN_CONFIDENCE
            )
        )
        self.rest_again()

    def rest_again(self) -> None:
        """Begin to watch the face at rest once more, from the next frame on."""
        self._watched: list[tuple[float, Points]] = []
        self._person: _Person | None = None
        self._calm_turns, self._calm_actions = OneEuro(self._config.turns), OneEuro(self._config.actions)

    def see(self, image: Picture, time_s: float) -> LiveFrame:
        """Result of the next frame.

        Args:
            image: [h, w, 3] uint8 RGB, upright and not mirrored.
            time_s: when it was taken; later than the last.
        """
        points = points_of(self._mesh.process(np.ascontiguousarray(image)), image)
        rested = 1.0 if self._person is not None else self._rested()
        if points is None:
            return LiveFrame(Seen.NOBODY, rested)
        if face_width(points) < self._config.min_face_px:
            return LiveFrame(Seen.FAR, rested)
        with one_thread():
            if self._person is None:
                return self._watch(points, time_s)
            return LiveFrame(Seen.FACE, 1.0, self._motion(self._person, points, time_s))

    def close(self) -> None:
        """Free the network."""
        self._mesh.close()

    def _rested(self) -> float:
        if not self._watched:
            return 0.0
        long = (self._watched[-1][0] - self._watched[0][0]) / self._config.rest_s
        return min(long, len(self._watched) / self._config.rest_frames, 1.0)

    def _watch(self, points: Points, time_s: float) -> LiveFrame:
        self._watched.append((time_s, points))
        if self._rested() >= 1:
            self._person = self._met(np.stack([seen for _, seen in self._watched]).astype(np.float64))
            self._watched = []
            return LiveFrame(Seen.RESTING, 1.0)
        return LiveFrame(Seen.RESTING, self._rested())

    def _met(self, watched: Floats) -> _Person:
        """Shape, rest and direction of a person, from landmarks [f, 478, 3] at rest."""
        config, size = self._config, self._config.crop.size_px
        mean = np.median(watched, axis=0)  # a blink does not count
        face = mean[:N_SURFACE, :2]
        side = config.crop.widths * float(np.ptp(face[:, 0]))
        left, top = (face.min(0) + face.max(0)) / 2 - side / 2
        window = (float(left), float(top), side)
        focal, centre = config.frame.fit.focal_per_width * size, (size / 2, size / 2)
        average = QuickLandmarkModel(self._model, focal, centre, self._closed)
        problem = LandmarkProblem(
            average, self._model, self._in_window(mean, window), config.frame.fit, at_rest=True,
            solver=solve_bounded_quickly,
        )  # fmt: skip
        start = fit_shared_shape([problem])[0]
        own = QuickLandmarkModel(self._model, focal, centre, shared_offsets(self._model, [problem], [start], size))
        fit = FrameFit(self._model, own, start, config.frame)
        rest = np.stack([fit.fit(self._in_window(points, window))[0] for points in watched[-config.rest_frames :]])
        ahead = Rotation.from_rotvec(np.median(rest[:, own.layout.rotation], axis=0))
        return _Person(window, own, fit, rest, lips_of(mean), chin_height(mean), ahead)

    def _in_window(self, points: Floats, window: tuple[float, float, float]) -> Floats:
        left, top, side = window
        return (points[self._ids] - (left, top, 0)) * (self._config.crop.size_px / side)

    def _motion(self, person: _Person, points: Points, time_s: float) -> Motion:
        layout, names = person.landmarks.layout, self._model.expression_names
        vector = person.fit.fit(self._in_window(points.astype(np.float64), person.window))[0]
        count = len(person.rest)
        vectors = from_rest(layout, np.concatenate([person.rest, vector[None]]), names, np.arange(count, dtype=np.intp))
        turned = Rotation.from_rotvec(vector[layout.rotation]) * person.ahead.inv()
        vectors[-1, layout.rotation] = turned.as_rotvec()
        vectors[-1, layout.gaze] -= np.median(person.rest[:, layout.gaze], axis=0)
        vector = answered(layout, vectors[-1:], names, self._config.frame.fit.jaw_limit)[0]
        vector[layout.jaw] = min(vector[layout.jaw], widest_jaw(chin_height(points), person.chin))
        narrowed = pucker_and_funnel(lips_of(points), person.lips)
        vector[layout.expression] = with_narrowed_lips(vector[layout.expression], names, *narrowed)
        turns = [*range(3), layout.jaw, *range(layout.gaze.start, layout.gaze.stop)]
        vector[turns] = self._calm_turns.calm(vector[turns], time_s)
        vector[layout.expression] = self._calm_actions.calm(vector[layout.expression], time_s)
        return self._named(layout, vector)

    def _named(self, layout: FitLayout, vector: Floats) -> Motion:
        pose = layout.pose(torch.from_numpy(vector)).numpy().astype(np.float32)
        strengths = vector[layout.expression].astype(np.float32)
        expressions = {name: strengths[k : k + 1] for k, name in enumerate(self._model.expression_names)}
        return Motion(RATE, expressions, {name: pose[k : k + 1] for k, name in enumerate(self._model.joint_names)})

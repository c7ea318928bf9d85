"""Place of a recorded person's body in a frame, and the head's turn that fits a neck that grows out of it.

Landmarks of one view hardly tell a head's turn from its sideways movement: with the relief that a single portrait
gives, a turn of 20° was read as 25° and every head before it as lying on other shoulders [M]. Clothes are rigid enough
to be found again, point by point; they say where the neck is, and then the place of the face says how far it turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.head import HeadModel, HeadParameters, Joint
from perse.shapes import Picture
from perse.tracking.frame_fit import FrameFitConfig
from perse.tracking.landmark_problem import LandmarkProblem
from perse.tracking.one_thread import one_thread
from perse.tracking.quick_landmarks import QuickLandmarkModel
from perse.tracking.reframing import Reframed, above_the_mouth, laid_on_the_face

Image = NDArray[np.uint8]
Points = NDArray[np.float32]

WINDOW, PYRAMID_LEVELS = (31, 31), 3
"""Of the optical flow, pixels of the crop."""


@dataclass(frozen=True, kw_only=True)
class StandingBodyConfig:
    """Limits of finding a body, and how firmly a neck stands on it."""

    points: int = 300
    """Points of the portrait's clothes that are looked for, at most."""
    least_points: int = 20
    """Of them, those that must be found where one movement of the body brings them. Plain cloth has none, and then a
    frame stays as it is."""
    off_px: float = 2.0
    """How far such a point may lie off, pixels of the crop."""
    most_zoom: float = 1.2
    """Largest change of size that is believed."""
    most_roll: float = 0.2
    """Largest turn in the picture's plane that is believed, radians."""
    neck_per_m: float = 2000.0
    """Weight of a neck that is one metre beside its place, in units of the landmarks' fit. Of a film whose truth is
    known, the face then lies 1 px beside a body that is in place, and twice as much with half of it [M]."""
    neck_depth_per_m: float = 400.0
    """The same towards the camera, where a place is told by size alone."""
    rounds: int = 4
    """Gauss–Newton steps."""
    outlier_percent: float = 1.0
    """Landmarks farther off than this, per cent of the face's width, lose weight."""


class StandingBody:
    """Template of the portrait's clothes, to be found again in frames.

    Args:
        portrait: whose clothes, neck and camera.
        model: with embedded landmarks.
    """

    def __init__(self, portrait: TrackedPortrait, model: HeadModel, config: StandingBodyConfig | None = None) -> None:
        self._portrait, self._model, self._config = portrait, model, config or StandingBodyConfig()

    def settled(self, frame: Reframed, picture: Picture, points_px: Float[NDArray[np.float32], "478 3"]) -> Reframed:
        """Frame with the head's turn that the body's place tells; unchanged where no body is found.

        Args:
            frame: a first guess, from landmarks alone.
            picture: [h, w, 3] of the video.
            points_px: [478, 3], its landmarks.
        """
        crop, inside = frame.picture(picture, self._portrait.image.shape[0])
        moved = self.movement(crop, inside)
        if moved is None:
            return frame
        standing = Reframed(moved @ frame.matrix, frame.head)
        head = self._turned(standing.head, standing.points(points_px))
        return laid_on_the_face(Reframed(standing.matrix, head), points_px, self._portrait, self._model, resized=False)

    def movement(
        self, crop: UInt8[NDArray[np.uint8], "s s 3"], inside: UInt8[NDArray[np.uint8], "s s"]
    ) -> Float[NDArray[np.float64], "3 3"] | None:
        """Map [3, 3] that brings the crop's body to the portrait's in size, turn and place; None where it is not found.

        Args:
            crop: [s, s, 3], as large as the portrait's.
            inside: [s, s], 255 where it shows the recording.
        """
        config, wanted = self._config, self._clothes
        if len(wanted) < config.least_points:
            return None
        there, back = _followed(self._shade, _shade(crop), wanted)
        column, row = np.round(there - 0.5).astype(int).clip(0, len(crop) - 1).T
        usable = (np.linalg.norm(back - wanted, axis=1) < 0.5) & (inside[row, column] > 0)
        if usable.sum() < config.least_points:
            return None
        cv2.setRNGSeed(0)
        found, agree = cv2.estimateAffinePartial2D(
            there[usable], wanted[usable], method=cv2.RANSAC, ransacReprojThreshold=config.off_px
        )
        if found is None or agree.sum() < max(config.least_points, usable.sum() / 3):
            return None
        zoom, roll = np.hypot(found[0, 0], found[1, 0]), np.arctan2(found[1, 0], found[0, 0])
        if not 1 / config.most_zoom < zoom < config.most_zoom or abs(roll) > config.most_roll:
            return None
        return np.vstack([found, [0, 0, 1]]).astype(np.float64)

    @cached_property
    def _shade(self) -> Image:
        return _shade(self._portrait.image)

    @cached_property
    def _clothes(self) -> Points:
        """Corners [n, 2] of the portrait's clothes, pixel positions."""
        portrait, gap = self._portrait, max(3, round(0.05 * self._portrait.face_width_px))
        clothes = (portrait.masks.soft[Part.CLOTHES] > 200) & (portrait.inside > 0)
        inner = cv2.erode(clothes.astype(np.uint8), np.ones((2 * gap + 1, 2 * gap + 1), np.uint8), borderValue=0)
        corners = cv2.goodFeaturesToTrack(self._shade, self._config.points, 0.02, gap / 2, mask=inner)
        return np.empty((0, 2), np.float32) if corners is None else corners[:, 0] + np.float32(0.5)

    @cached_property
    def _landmarks(self) -> QuickLandmarkModel:
        camera = self._portrait.camera
        focal, x, y = (float(camera.intrinsics[i, j]) for i, j in ((0, 0), (0, 2), (1, 2)))
        return QuickLandmarkModel(self._model, focal, (x, y), self._portrait.head.vertex_offsets.double())

    def _turned(self, head: HeadParameters, points_px: Points) -> HeadParameters:
        """The head, a single frame, turned as landmarks [478, 3] of the crop and a neck in its place demand."""
        config, landmarks = self._config, self._landmarks
        problem = LandmarkProblem(
            landmarks, self._model, points_px[self._model.landmark_ids.numpy()].astype(np.float64), FrameFitConfig().fit
        )
        layout, place = landmarks.layout, self._portrait.camera.world_to_camera[:3, 3].double()
        vector = torch.zeros(layout.size, dtype=torch.float64)
        vector[layout.betas], vector[layout.expression] = head.betas.double(), head.expression.double()
        vector[layout.rotation], vector[layout.translation] = head.pose[Joint.NECK].double(), place
        problem.prior[layout.translation] = place.numpy()
        problem.penalty[layout.translation] = (config.neck_per_m, config.neck_per_m, config.neck_depth_per_m)
        free = np.zeros(layout.size, bool)
        free[layout.rotation] = free[layout.translation] = True
        trust = problem.weights * torch.from_numpy(above_the_mouth(self._model))
        with one_thread():
            for _ in range(config.rounds):
                distance = (landmarks.pixels(vector) - problem.target).norm(dim=1) / problem.unit_px
                problem.weights = trust / (1 + (distance / config.outlier_percent) ** 2).sqrt()
                vector = problem.step(vector, free)
        pose = head.pose.clone()
        pose[Joint.NECK] = vector[layout.rotation].to(pose.dtype)
        return HeadParameters(head.betas, head.vertex_offsets, head.expression, pose)


def _shade(image: Image) -> Image:
    """Grey [h, w] without its broad light and dark, which change with exposure."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return (128 + 2 * (grey - cv2.GaussianBlur(grey, (0, 0), 12))).clip(0, 255).astype(np.uint8)


def _followed(a: Image, b: Image, points: Points) -> tuple[Points, Points]:
    """Pixel positions [n, 2] of picture a in picture b, and what comes of following them back."""
    indices = (points - np.float32(0.5))[:, None]
    there, found, _ = cv2.calcOpticalFlowPyrLK(a, b, indices, None, winSize=WINDOW, maxLevel=PYRAMID_LEVELS)
    back, again, _ = cv2.calcOpticalFlowPyrLK(b, a, there, None, winSize=WINDOW, maxLevel=PYRAMID_LEVELS)
    lost = ((found == 0) | (again == 0))[:, 0]
    back[lost] = np.inf
    return there[:, 0] + np.float32(0.5), back[:, 0] + np.float32(0.5)

"""Expression and pose of one frame, for a person whose shape is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.head import HeadModel
from perse.tracking.bounded_solver import solve_bounded_quickly
from perse.tracking.landmark_model import LandmarkModel
from perse.tracking.landmark_problem import FitConfig, LandmarkProblem
from perse.tracking.landmarks import LEFT_EYE, LEFT_IRIS_CENTER, RIGHT_EYE, RIGHT_IRIS_CENTER


@dataclass(frozen=True, kw_only=True)
class FrameFitConfig:
    """Numbers of the fit of one frame, once the shape is known."""

    fit: FitConfig = field(
        default_factory=lambda: FitConfig(shape_penalty=10.0, expression_penalty=0.7, rotation_penalty=30.0)
    )
    """Penalties. Several views tell the shape, so that the depths, which misjudge nods, are trusted less than for a
    portrait."""
    sparsity: float = 0.5
    """Weight of an action's strength: few actions rather than a little of many."""
    rounds: int = 2
    """Gauss–Newton steps, from the frame before."""
    outlier_percent: float = 1.0
    """Landmarks farther off than this, per cent of the face's width, lose weight (the nose of a turned head, whose
    depth the network presumes)."""


class FrameFit:
    """Fit of frames one after the other, each starting from the last.

    Args:
        model: with embedded landmarks.
        landmarks: the head with the identity's offsets, and the camera.
        start: parameter vector with the identity's betas, which stay.
    """

    def __init__(
        self, model: HeadModel, landmarks: LandmarkModel, start: Float[Tensor, " p"], config: FrameFitConfig
    ) -> None:
        self._model, self._landmarks, self._config = model, landmarks, config
        self._vector = start.clone()
        self._free = np.ones(landmarks.layout.size, bool)
        self._free[landmarks.layout.betas] = False
        self._gaze = np.zeros(landmarks.layout.size, bool)
        self._gaze[landmarks.layout.gaze] = True
        self._free &= ~self._gaze
        ids = model.landmark_ids
        self._eyes = [
            (torch.isin(ids, torch.tensor(lids)), ids == iris)
            for lids, iris in ((LEFT_EYE, LEFT_IRIS_CENTER), (RIGHT_EYE, RIGHT_IRIS_CENTER))
        ]

    def fit(self, points_px: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, " p"], float]:
        """The parameter vector and the root mean square distance of the surface landmarks, pixels.

        Args:
            points_px: [l, 3], the detected positions of the model's landmarks.
        """
        config = self._config
        points = points_px.astype(np.float64)
        problem = LandmarkProblem(
            self._landmarks, self._model, points, config.fit, sparsity=config.sparsity, solver=solve_bounded_quickly
        )
        vector = self._vector
        trust = problem.weights.clone()
        for _, iris in self._eyes:
            trust[iris] = 0  # where the eyes look says nothing about the head
        for _ in range(config.rounds):
            distance = (self._landmarks.pixels(vector) - problem.target).norm(dim=1) / problem.unit_px
            problem.weights = trust / (1 + (distance / config.outlier_percent) ** 2).sqrt()
            vector = problem.step(vector, self._free)
        vector = self._look(problem, vector)
        self._vector = vector
        return vector.numpy().copy(), problem.rms(vector)

    def _look(self, problem: LandmarkProblem, vector: Tensor) -> Tensor:
        """Turn the eyes to where the irises stand *between the lids*: half a pixel of the head is degrees of gaze."""
        residual = self._landmarks.pixels(vector) - problem.target
        problem.weights = torch.zeros_like(problem.weights)
        for lids, iris in self._eyes:
            problem.target[iris] += residual[lids].mean(0)
            problem.weights[iris] = 3.0
        vector = problem.step(vector, self._gaze)
        for lids, iris in self._eyes:
            problem.target[iris] -= residual[lids].mean(0)
        return vector

"""Fit of identity, expression, pose and camera to detected landmarks, everything at once.

What the model's bases cannot express becomes vertex offsets (`perse.tracking.residual`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters
from perse.shapes import FaceLandmarks
from perse.tracking.landmark_model import FitLayout, LandmarkModel
from perse.tracking.landmark_problem import FitConfig, LandmarkProblem
from perse.tracking.lips_at_rest import close_lips, lips_closed
from perse.tracking.one_thread import one_thread
from perse.tracking.residual import ResidualConfig, fit_offsets


@dataclass(frozen=True)
class HeadFit:
    """Result of the fit.

    Attributes:
        head: single frame; head rotation in the neck, global joint zero.
        camera: axes aligned with the picture.
        rms_px: root mean square distance of detected and fitted surface landmarks, pixels.
        rms_before_offsets_px: the same before the residual offsets.
    """

    head: HeadParameters
    camera: Camera
    rms_px: float
    rms_before_offsets_px: float


@one_thread()
def fit_head(
    model: HeadModel,
    landmarks_px: FaceLandmarks,
    width: int,
    height: int,
    config: FitConfig | None = None,
    residual: ResidualConfig | None = None,
) -> HeadFit:
    """Head fitted to landmarks.

    Args:
        model: with embedded landmarks.
        landmarks_px: [478, 2 or 3] in pixels of a picture of width × height; depths, if given, steady the rotation.
    """
    config = config or FitConfig()
    if not len(model.landmark_ids):
        raise ValueError("this head model has no landmark embedding; give FlameHead(landmark_embedding=...)")
    points = landmarks_px[model.landmark_ids.numpy()].astype(np.float64)
    target = torch.from_numpy(points[:, :2].copy())
    focal = config.focal_per_width * width
    precise = model.to("cpu", torch.float64)
    closed = lips_closed(precise)
    problem = LandmarkProblem(LandmarkModel(model, focal, (width / 2, height / 2), closed), model, points, config)
    vector = problem.solve()
    translation = vector[problem.layout.translation]
    camera = portrait_camera(translation, focal, width, height)
    head = parameters_of(problem.layout, vector, closed)
    before = problem.rms(vector)
    offsets = fit_offsets(precise, head, camera.to("cpu", torch.float64), target, residual)
    offsets = close_lips(precise, head.betas, offsets)
    refined = LandmarkModel(model, focal, (width / 2, height / 2), offsets)
    surface = problem.surface
    distance = (refined.pixels(vector) - target).norm(dim=1)[surface]
    rms = float(distance.square().mean().sqrt())
    head = parameters_of(problem.layout, vector, offsets)
    return HeadFit(head.to("cpu", torch.float32), camera.to("cpu", torch.float32), rms, before)


def portrait_camera(translation: Float[Tensor, "3"], focal: float, width: int, height: int) -> Camera:
    """The camera whose axes are the picture's and whose principal point is its middle."""
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    pose[:3, 3] = translation
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(pose, intrinsics, width, height)


def parameters_of(layout: FitLayout, vector: Float[Tensor, " p"], offsets: Float[Tensor, "n 3"]) -> HeadParameters:
    """Head parameters of a single frame in a parameter vector."""
    return HeadParameters(vector[layout.betas], offsets, vector[layout.expression], layout.pose(vector))

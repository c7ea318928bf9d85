"""Our own fit of identity, expression, pose and camera to detected landmarks.

Gauss–Newton over everything at once, every step a bounded *linear* least-squares problem, whose solution does not
depend on where it starts: a bounded nonlinear solver started on its bounds stalls at ten times the error
(REFERENCE §6). What the model's bases cannot express becomes vertex offsets (`perse.tracking.residual`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation
from torch import Tensor

from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters
from perse.tracking.landmark_model import FitLayout, LandmarkModel
from perse.tracking.landmarks import FACE_OVAL, LEFT_EYE, LEFT_IRIS_CENTER, RIGHT_EYE, RIGHT_IRIS_CENTER
from perse.tracking.residual import ResidualConfig, fit_offsets

Floats = NDArray[np.float64]

UNOBSERVABLE = ("tongueOut",)
"""Actions that landmarks say nothing about: kept at zero."""

DEPTH_BIAS_RAD = np.array([0.08, 0.0, 0.0])
"""Nod that the depths of a level head show. Half of it was measured on the drawn average head; the other half makes
the ears of two level portraits meet the photographs. A guess within ± 0.05."""

DEPTH_GAIN = np.array([1.3, 1.0, 1.0])
"""The network's depths show only three quarters of a nod (measured on drawings of the head nodding by ± 14°)."""

RARE_ACTIONS = {
    "jawLeft": 4.0, "jawRight": 4.0, "mouthLeft": 3.0, "mouthRight": 3.0, "jawForward": 3.0, "cheekPuff": 4.0,
    "mouthClose": 3.0, "mouthRoll": 2.0, "mouthShrug": 2.0, "noseSneer": 2.0, "mouthSmile": 0.6, "eyeBlink": 0.7,
}  # fmt: skip
"""Factors on the penalty, by the beginning of the name. Portraits smile; they do not push the jaw sideways, and
such actions would otherwise explain a face that is merely wide or asymmetric."""
"""Actions that landmarks say nothing about: kept at zero."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How landmarks are turned into head parameters. Penalties are in units of 1 % of the face's width."""

    focal_per_width: float = 3.3
    """Focal length divided by the crop's width; 3.3 sees the crop from about 1.5 m, a usual portrait distance."""
    pose_rounds: int = 6
    """Gauss–Newton steps for rotation and translation alone."""
    joint_rounds: int = 4
    """Gauss–Newton steps for everything."""
    shape_penalty: float = 0.5
    """Weight of a beta of 1 (one prior deviation)."""
    expression_penalty: float = 1.5
    """Weight of an action at full strength, before `RARE_ACTIONS`."""
    gaze_penalty: float = 2.0
    """Weight of an eye turned by one radian."""
    jaw_penalty: float = 0.5
    """Weight of a jaw opened by one radian."""
    rotation_penalty: float = 200.0
    """Weight of a head rotation one radian away from the one that the landmarks' depths suggest. In the picture plane
    a nod and a longer chin look almost alike; without this the shape takes over most of a nod."""
    contour_weight: float = 0.5
    """Weight of landmarks on the face's outline: they slide along the cheek when the head turns."""
    shape_limit: float = 4.0
    """Betas stay within ± this."""
    jaw_limit: float = 0.55
    """The jaw opens by at most this, radians."""
    gaze_limit: float = 0.6
    """The eyes turn by at most this, radians."""


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


def fit_head(
    model: HeadModel,
    landmarks_px: NDArray[np.float32],
    width: int,
    height: int,
    config: FitConfig | None = None,
    residual: ResidualConfig | None = None,
) -> HeadFit:
    """Fit a head to landmarks.

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
    problem = _Problem(model, points, focal, (width / 2, height / 2), config)
    vector = problem.solve()
    translation = vector[problem.layout.translation]
    camera = _camera(translation, focal, width, height)
    head = _parameters(problem.layout, vector, torch.zeros(model.n_vertices, 3, dtype=torch.float64))
    before = problem.rms(vector)
    offsets = fit_offsets(model.to("cpu", torch.float64), head, camera.to("cpu", torch.float64), target, residual)
    refined = LandmarkModel(model, focal, (width / 2, height / 2), offsets)
    surface = problem.surface
    distance = (refined.pixels(vector) - target).norm(dim=1)[surface]
    rms = float(distance.square().mean().sqrt())
    head = _parameters(problem.layout, vector, offsets)
    return HeadFit(head.to("cpu", torch.float32), camera.to("cpu", torch.float32), rms, before)


def _camera(translation: Tensor, focal: float, width: int, height: int) -> Camera:
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    pose[:3, 3] = translation
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(pose, intrinsics, width, height)


def _parameters(layout: FitLayout, vector: Tensor, offsets: Tensor) -> HeadParameters:
    return HeadParameters(vector[layout.betas], offsets, vector[layout.expression], layout.pose(vector))


class _Problem:
    """The least-squares problem in units of 1 % of the face's width."""

    def __init__(
        self, model: HeadModel, points_px: Floats, focal: float, centre: tuple[float, float], config: FitConfig
    ) -> None:
        target = torch.from_numpy(points_px[:, :2].copy())
        self.config = config
        self.landmarks = LandmarkModel(model, focal, centre)
        self.layout = self.landmarks.layout
        self.target = target
        ids = model.landmark_ids
        self.surface = ids < min(RIGHT_IRIS_CENTER, LEFT_IRIS_CENTER)
        self.unit_px = float(target[:, 0].max() - target[:, 0].min()) / 100
        self.weights = torch.ones(len(ids), dtype=torch.float64)
        self.weights[torch.isin(ids, torch.tensor(FACE_OVAL))] = config.contour_weight
        # The lids decide how open an eye looks; a little more care there is seen at once.
        self.weights[torch.isin(ids, torch.tensor([*LEFT_EYE, *RIGHT_EYE]))] = 1.3
        self.penalty, self.lower, self.upper = self._priors(model.expression_names)
        self.prior = np.zeros(self.layout.size)
        if points_px.shape[1] > 2:
            rest = self.landmarks.positions(torch.zeros(self.layout.size, dtype=torch.float64)).numpy()
            self.prior[self.layout.rotation] = rotation_from_depths(rest, points_px)
            self.penalty[self.layout.rotation] = config.rotation_penalty

    def _priors(self, expression_names: tuple[str, ...]) -> tuple[Floats, Floats, Floats]:
        layout, config = self.layout, self.config
        penalty, lower, upper = np.zeros(layout.size), np.full(layout.size, -np.inf), np.full(layout.size, np.inf)
        penalty[layout.jaw], lower[layout.jaw], upper[layout.jaw] = config.jaw_penalty, -0.02, config.jaw_limit
        penalty[layout.gaze] = config.gaze_penalty
        lower[layout.gaze], upper[layout.gaze] = -config.gaze_limit, config.gaze_limit
        penalty[layout.betas] = config.shape_penalty
        lower[layout.betas], upper[layout.betas] = -config.shape_limit, config.shape_limit
        penalty[layout.expression] = config.expression_penalty * _rarity(expression_names)
        actions = _is_action(expression_names)
        # ARKit actions run from 0 to 1; FLAME's expression components have either sign.
        lower[layout.expression] = np.where(actions, 0.0, -3.0)
        upper[layout.expression] = np.where(actions, 1.0, 3.0)
        for name in UNOBSERVABLE:
            if name in expression_names:
                upper[layout.expression.start + expression_names.index(name)] = 1e-9
        return penalty, lower, upper

    def start(self) -> Tensor:
        """Frontal, at the distance that gives the face its width."""
        vector = torch.zeros(self.layout.size, dtype=torch.float64)
        points = self.landmarks.positions(vector)
        width_m = points[:, 0].max() - points[:, 0].min()
        depth = self.landmarks.focal_px * width_m / (100 * self.unit_px)
        wanted = (self.target.mean(0) - self.landmarks.centre_px) * depth / self.landmarks.focal_px
        middle = points.mean(0) * torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
        vector[self.layout.translation] = torch.cat([wanted, depth[None]]) - middle
        return vector

    def solve(self) -> Tensor:
        vector = self.start()
        rigid = np.zeros(self.layout.size, bool)
        rigid[self.layout.rotation] = rigid[self.layout.translation] = True
        for _ in range(self.config.pose_rounds):
            vector = self._step(vector, rigid)
        everything = np.ones(self.layout.size, bool)
        for _ in range(self.config.joint_rounds):
            vector = self._step(vector, everything)
        return vector

    def _step(self, vector: Tensor, free: NDArray[np.bool_]) -> Tensor:
        """Linearise at `vector`, solve for the next one within its bounds."""
        weight = self.weights[:, None] / self.unit_px
        residual = ((self.landmarks.pixels(vector) - self.target) * weight).flatten().numpy()
        jacobian = (self.landmarks.jacobian(vector, torch.from_numpy(free)) * weight[..., None]).flatten(0, 1).numpy()
        now = vector.numpy()[free]
        penalty = self.penalty[free]
        normal = jacobian.T @ jacobian + np.diag(penalty**2 + 1e-9)
        right = jacobian.T @ (jacobian @ now - residual) + penalty**2 * self.prior[free]
        # The square root of the normal matrix is a system with as many rows as unknowns and the same solution.
        root = np.linalg.cholesky(normal)
        solution = lsq_linear(
            root.T, np.linalg.solve(root, right), bounds=(self.lower[free], self.upper[free]), max_iter=100
        ).x
        following = vector.clone()
        following[torch.from_numpy(free)] = torch.from_numpy(solution)
        return following

    def rms(self, vector: Tensor) -> float:
        distance = (self.landmarks.pixels(vector) - self.target).norm(dim=1)
        return float(distance[self.surface].square().mean().sqrt())


def _rarity(names: tuple[str, ...]) -> Floats:
    return np.array([next((f for start, f in RARE_ACTIONS.items() if name.startswith(start)), 1.0) for name in names])


def rotation_from_depths(rest: Floats, points_px: Floats) -> Floats:
    """The head's rotation, [3] axis-angle in the world, that turns rest landmarks onto detected ones with depth.

    Args:
        rest: [l, 3] landmarks of the average head, metres, y up and z to the front.
        points_px: [l, 3] detected; y down, z smaller is nearer.
    """
    seen = points_px * np.array([1.0, -1.0, -1.0])
    u, _, vt = np.linalg.svd((seen - seen.mean(0)).T @ (rest - rest.mean(0)))
    matrix = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return np.asarray((Rotation.from_matrix(matrix).as_rotvec() - DEPTH_BIAS_RAD) * DEPTH_GAIN)


def _is_action(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """ARKit's actions have names such as ``mouthSmileLeft``; numbered components do not."""
    return np.array([not any(character.isdigit() for character in name) for name in names], bool)

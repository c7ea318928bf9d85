"""The fit of a head to one picture's landmarks, as least squares in units of 1 % of the face's width.

Gauss–Newton: every step is a bounded *linear* problem, whose solution does not depend on where it starts; a bounded
nonlinear solver started on its bounds stalls at ten times the error
(docs/reference.md#fitting-and-animating-a-portrait).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from perse.head import HeadModel
from perse.tracking.bounded_solver import solve_bounded
from perse.tracking.landmark_model import LandmarkModel
from perse.tracking.landmarks import FACE_OVAL, LEFT_EYE, LEFT_IRIS_CENTER, RIGHT_EYE, RIGHT_IRIS_CENTER

Floats = NDArray[np.float64]

Solver = Callable[
    [Float[np.ndarray, "n n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    Float[np.ndarray, " n"],
]
"""Normal matrix, right side, lower and upper bounds to the solution; see `bounded_solver`."""

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


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Numbers of the fit. Penalties are in units of 1 % of the face's width."""

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


class LandmarkProblem:
    """Problem of least squares of one picture: its landmarks, what they are worth, and what is likely before seeing
    them.

    Args:
        landmarks: the head, reduced to its landmarks, and the camera's intrinsics.
        model: the same head; says which landmarks and expressions it has.
        points_px: [l, 2 or 3], the detected positions of `model.landmark_ids`; depths, if given, steady the rotation.
        at_rest: the face is known to be at rest: mouth closed, no expression.
        sparsity: weight of an action's strength itself, whose square is what the penalties weigh: leads to few
            actions instead of a little of many that cancel each other. For named actions, which are never negative.
        solver: of the bounded linear problems.
    """

    def __init__(
        self,
        landmarks: LandmarkModel,
        model: HeadModel,
        points_px: Float[NDArray[np.float64], "n d"],
        config: FitConfig,
        *,
        at_rest: bool = False,
        sparsity: float = 0.0,
        solver: Solver = solve_bounded,
    ) -> None:
        target = torch.from_numpy(points_px[:, :2].copy())
        self.config = config
        self.solver = solver
        self.landmarks = landmarks
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
        self.sparsity = np.zeros(self.layout.size)
        self.sparsity[self.layout.expression] = sparsity * is_action(model.expression_names)
        self.free = np.ones(self.layout.size, bool)
        if at_rest:
            self.free[self.layout.jaw] = self.free[self.layout.expression] = False
        self.prior = np.zeros(self.layout.size)
        if points_px.shape[1] > 2:
            self.prior[self.layout.rotation] = rotation_from_depths(self.landmarks.average.numpy(), points_px)
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
        actions = is_action(expression_names)
        # ARKit actions run from 0 to 1; FLAME's expression components have either sign.
        lower[layout.expression] = np.where(actions, 0.0, -3.0)
        upper[layout.expression] = np.where(actions, 1.0, 3.0)
        for name in UNOBSERVABLE:
            if name in expression_names:
                upper[layout.expression.start + expression_names.index(name)] = 1e-9
        return penalty, lower, upper

    def start(self) -> Float[Tensor, " p"]:
        """Parameter vector of a frontal head at the distance that gives the face its width."""
        vector = torch.zeros(self.layout.size, dtype=torch.float64)
        points = self.landmarks.positions(vector)
        width_m = points[:, 0].max() - points[:, 0].min()
        depth = self.landmarks.focal_px * width_m / (100 * self.unit_px)
        wanted = (self.target.mean(0) - self.landmarks.centre_px) * depth / self.landmarks.focal_px
        middle = points.mean(0) * torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
        vector[self.layout.translation] = torch.cat([wanted, depth[None]]) - middle
        return vector

    def solve_pose(self) -> Float[Tensor, " p"]:
        """Parameter vector with the rotation and translation of the average head."""
        vector = self.start()
        rigid = np.zeros(self.layout.size, bool)
        rigid[self.layout.rotation] = rigid[self.layout.translation] = True
        for _ in range(self.config.pose_rounds):
            vector = self.step(vector, rigid)
        return vector

    def solve(self) -> Float[Tensor, " p"]:
        """Parameter vector with everything, from nothing."""
        vector = self.solve_pose()
        for _ in range(self.config.joint_rounds):
            vector = self.step(vector, self.free)
        return vector

    def normal_equations(
        self, vector: Float[Tensor, " p"], free: Bool[np.ndarray, " p"]
    ) -> tuple[Float[NDArray[np.float64], "n n"], Float[NDArray[np.float64], " n"]]:
        """Normal equations A x = b, [n, n] and [n], of the problem linearised at `vector`, for the next values x of the
        free entries."""
        weight = self.weights[:, None] / self.unit_px
        residual = ((self.landmarks.pixels(vector) - self.target) * weight).flatten().numpy()
        jacobian = (self.landmarks.jacobian(vector, torch.from_numpy(free)) * weight[..., None]).flatten(0, 1).numpy()
        penalty = self.penalty[free]
        normal = jacobian.T @ jacobian + np.diag(penalty**2 + 1e-9)
        right = jacobian.T @ (jacobian @ vector.numpy()[free] - residual) + penalty**2 * self.prior[free]
        right -= self.sparsity[free]
        return normal, right

    def step(self, vector: Float[Tensor, " p"], free: Bool[np.ndarray, " p"]) -> Float[Tensor, " p"]:
        """Parameter vector after one step: linearised at `vector`, solved within its bounds."""
        normal, right = self.normal_equations(vector, free)
        following = vector.clone()
        solution = self.solver(normal, right, self.lower[free], self.upper[free])
        following[torch.from_numpy(free)] = torch.from_numpy(solution)
        return following

    def rms(self, vector: Float[Tensor, " p"]) -> float:
        distance = (self.landmarks.pixels(vector) - self.target).norm(dim=1)
        return float(distance[self.surface].square().mean().sqrt())


def _rarity(names: tuple[str, ...]) -> Float64[np.ndarray, " e"]:
    return np.array([next((f for start, f in RARE_ACTIONS.items() if name.startswith(start)), 1.0) for name in names])


def rotation_from_depths(
    rest: Float64[np.ndarray, "n 3"], points_px: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "3"]:
    """Rotation of the head, [3] axis-angle in the world, that turns rest landmarks onto detected ones with depth.

    Args:
        rest: [l, 3] landmarks of the average head, metres, y up and z to the front.
        points_px: [l, 3] detected; y down, z smaller is nearer.
    """
    seen = points_px * np.array([1.0, -1.0, -1.0])
    u, _, vt = np.linalg.svd((seen - seen.mean(0)).T @ (rest - rest.mean(0)))
    matrix = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return np.asarray((Rotation.from_matrix(matrix).as_rotvec() - DEPTH_BIAS_RAD) * DEPTH_GAIN)


def is_action(names: tuple[str, ...]) -> Bool[np.ndarray, " e"]:
    """Mask [e] of names that are ARKit's actions, such as ``mouthSmileLeft``; numbered components are none."""
    return np.array([not any(character.isdigit() for character in name) for name in names], bool)

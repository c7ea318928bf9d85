"""Shape, pose and place of a body from 2D landmarks: our own optimisation.

Minimised, by L-BFGS, over betas, pose and place with the camera's focal length assumed:

    robust 2D distance of body, hand and face landmarks       what is seen
    + directions of bones in mediapipe's metric guess          which of two mirror poses, weakly
    + shoulders, hips and ankles above each other              of somebody who stands
    + pose prior (hinges, twists, unseen joints) + |betas|²    what is not seen

Joints follow the shape linearly, so no vertex is posed but those of the face's landmarks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from perse.body.animation.studio_camera import looking_at
from perse.body.fitting.found import MIN_VISIBILITY, FoundPerson
from perse.body.model import BodyJoint, BodyParameters
from perse.body.model.joints import N_BODY, finger_joint
from perse.body.model.stance import Stance, stance_pose
from perse.geometry import Camera, transform_points
from perse.head import HeadModel, blend_transforms, joint_transforms

FOCAL_HEIGHTS = 1.6
"""Assumed focal length in the longer sides of the picture: a short telephoto. One picture cannot tell it."""

_BODY = (
    (11, BodyJoint.LEFT_SHOULDER), (12, BodyJoint.RIGHT_SHOULDER), (13, BodyJoint.LEFT_ELBOW),
    (14, BodyJoint.RIGHT_ELBOW), (15, BodyJoint.LEFT_WRIST), (16, BodyJoint.RIGHT_WRIST), (23, BodyJoint.LEFT_HIP),
    (24, BodyJoint.RIGHT_HIP), (25, BodyJoint.LEFT_KNEE), (26, BodyJoint.RIGHT_KNEE), (27, BodyJoint.LEFT_ANKLE),
    (28, BodyJoint.RIGHT_ANKLE), (31, BodyJoint.LEFT_FOOT), (32, BodyJoint.RIGHT_FOOT), (2, BodyJoint.LEFT_EYE),
    (5, BodyJoint.RIGHT_EYE),
)  # fmt: skip
"""mediapipe's landmark, our joint."""
_HAND = tuple(
    (1 + 4 * place + knuckle, finger, knuckle)
    for place, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"))
    for knuckle in range(3)
)
_BONES = ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28), (11, 12), (23, 24))
"""Landmark pairs whose metric direction is used."""


@dataclass(frozen=True, kw_only=True)
class BodyFitConfig:
    """Weights of the fit, in terms of one pixel of a person 1,000 px tall."""

    iterations: int = 600
    """Of L-BFGS, over all rounds."""
    shape: float = 1.0
    """Of the squared coefficients."""
    pose: float = 12.0
    """Of the squared turn away from a standing person, by joint: see `_POSE_PRIOR`."""
    directions: float = 60.0
    """Of the squared difference of bone directions."""
    upright: float = 2e4
    """Of the squared distances, metres, that shoulders and hips of somebody who stands are before or behind the ankles.
    Bone directions alone let four photographed persons lean by 5 to 30 cm, feet first or last: nobody can stand so,
    and from the side one sees it."""
    face: float = 1.2
    """Of a face landmark beside a body landmark; there are hundreds."""
    hand: float = 0.5


@dataclass(frozen=True)
class BodyFit:
    """Result of fitting a body.

    Attributes:
        parameters: a single frame; `vertex_offsets` as they were given.
        camera: of the photograph.
        rms_px: of the visible body landmarks, in pixels.
        guessed: limbs that the picture does not show.
    """

    parameters: BodyParameters
    camera: Camera
    rms_px: float
    guessed: tuple[str, ...]


OUTLIER_PX = (300.0, 60.0, 20.0)
"""Of the three rounds, of a person 1,000 px tall: where the fit begins, everything is an outlier."""

_LEGS = ((23, 25), (25, 27), (24, 26), (26, 28))
_STACKED = (
    (BodyJoint.LEFT_ANKLE, BodyJoint.RIGHT_ANKLE), (BodyJoint.LEFT_KNEE, BodyJoint.RIGHT_KNEE),
    (BodyJoint.LEFT_HIP, BodyJoint.RIGHT_HIP), (BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER),
)  # fmt: skip
STRIDE = 0.1
"""Of two ankles apart in depth, beside a body that is out of plumb: people stand with a foot before the other."""
STEEP = 0.7
"""Cosine between a leg's bones and the vertical from which on a person stands."""

_LIMBS = {
    "left arm": (13, 15), "right arm": (14, 16), "hips": (23, 24), "left leg": (25, 27), "right leg": (26, 28),
}  # fmt: skip


def fit_body(
    model: HeadModel,
    found: FoundPerson,
    size: tuple[int, int],
    face_px: Float[NDArray[np.float32], "478 2"] | None,
    offsets: Float[Tensor, "v 3"],
    config: BodyFitConfig,
) -> BodyFit:
    """Fit a body.

    Args:
        size: width and height of the photograph.
        face_px: [478, 2], mediapipe's face landmarks, if a face was found.
        offsets: [v, 3], the tracked head on the rest pose.
    """
    width, height = size
    focal = FOCAL_HEIGHTS * max(size)
    camera = looking_at((0.0, 0.0, 0.0), 0.0, focal, width, height)
    problem = _Problem(model, found, face_px, offsets, camera, config)
    with torch.enable_grad():
        problem.solve()
    seen = found.visibility >= MIN_VISIBILITY
    guessed = [name for name, marks in _LIMBS.items() if not all(seen[mark] for mark in marks)]
    hands = [
        side for side, hand in zip(("left hand", "right hand"), found.hands_px, strict=True) if np.isnan(hand).any()
    ]
    return BodyFit(problem.parameters(), camera, problem.rms_px(), (*guessed, *hands))


class _Problem:
    def __init__(
        self, model: HeadModel, found: FoundPerson, face_px: NDArray[np.float32] | None, offsets: Tensor,
        camera: Camera, config: BodyFitConfig,
    ) -> None:  # fmt: skip
        self._model, self._camera, self._config, self._offsets = model, camera, config, offsets
        regressor = model.joint_regressor
        self._joints0 = regressor @ (model.template + offsets)
        self._joints1 = torch.einsum("jv,vcs->jcs", regressor, model.shape_basis)
        self._parents = model.parents.tolist()
        self._standing = stance_pose(model, Stance())
        self._weights, self._targets, self._index = self._observed(found)
        self._directions = self._bones(found)
        self._stands = _stands(found)
        self._face(face_px)
        self._unit = 1000 / tall_px(found)
        self._start(found)

    # What is seen

    def _observed(self, found: FoundPerson) -> tuple[Tensor, Tensor, Tensor]:
        index, targets, weights = [], [], []
        for mark, joint in _BODY:
            if found.visibility[mark] >= MIN_VISIBILITY:
                index.append(int(joint))
                targets.append(found.landmarks_px[mark])
                weights.append(float(found.visibility[mark]))
        self._n_body = len(index)
        for side, hand in zip(("left", "right"), found.hands_px, strict=True):
            if not np.isnan(hand).any():
                for mark, finger, knuckle in _HAND:
                    index.append(finger_joint(side, finger, knuckle))
                    targets.append(hand[mark])
                    weights.append(self._config.hand)
        return torch.tensor(weights), torch.tensor(np.array(targets)), torch.tensor(index)

    def _bones(self, found: FoundPerson) -> list[tuple[int, int, Tensor]]:
        of_mark = dict(_BODY)
        world = torch.from_numpy(found.world_m) * torch.tensor([1.0, -1.0, -1.0])
        chosen = [pair for pair in _BONES if all(found.visibility[mark] >= MIN_VISIBILITY for mark in pair)]
        return [
            (int(of_mark[a]), int(of_mark[b]), torch.nn.functional.normalize(world[b] - world[a], dim=0))
            for a, b in chosen
        ]

    def _face(self, face_px: NDArray[np.float32] | None) -> None:
        model = self._model
        none = face_px is None or not len(model.landmark_ids)
        ids = torch.arange(0, 0 if none else len(model.landmark_ids), 4)
        corners = model.faces[model.landmark_faces[ids]]  # [l, 3]
        self._face_bary = model.landmark_weights[ids]
        self._face_rest = (model.template + self._offsets)[corners]
        self._face_basis = model.shape_basis[corners]
        self._face_skin = model.skinning_weights[corners.reshape(-1)]
        targets = np.zeros((0, 2), np.float32) if face_px is None else face_px[model.landmark_ids[ids].numpy(), :2]
        self._face_px = torch.from_numpy(np.ascontiguousarray(targets))

    def _start(self, found: FoundPerson) -> None:
        focal = float(self._camera.intrinsics[0, 0])
        distance = focal * 1.65 / tall_px(found)
        eyes = (found.landmarks_px[2] + found.landmarks_px[5]) / 2
        middle = np.array([self._camera.width, self._camera.height]) / 2
        x, y = (eyes - middle) * distance / focal
        self.betas = torch.zeros(self._model.n_shape, requires_grad=True)
        self.turn = torch.zeros_like(self._standing).requires_grad_()
        self.place = torch.tensor([float(x), float(-y), -distance]).requires_grad_()
        facing = found.landmarks_px[11, 0] - found.landmarks_px[12, 0]
        with torch.no_grad():
            self.turn[0, 1] = 0.0 if facing >= 0 else math.pi

    # Minimising

    def solve(self) -> None:
        """Place and pose first, then everything, then without outliers. L-BFGS needs a tenth of Adam's steps."""
        everything = [self.place, self.turn, self.betas]
        for chosen, self._outlier_px in zip((everything[:2], everything, everything), OUTLIER_PX, strict=True):
            optimiser = torch.optim.LBFGS(
                chosen, max_iter=self._config.iterations // 3, history_size=20, line_search_fn="strong_wolfe"
            )

            def again(optimiser: torch.optim.LBFGS = optimiser) -> Tensor:
                optimiser.zero_grad()
                loss = self._loss()
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            optimiser.step(again)  # type: ignore[arg-type]

    def _pose(self) -> Tensor:
        return self._standing + self.turn

    def _points(self) -> tuple[Tensor, Tensor, Tensor]:
        """Posed joints [55, 3], their pixels, and pixels of the face's landmarks."""
        joints = self._joints0 + self._joints1 @ self.betas
        transforms = joint_transforms(joints, self._pose(), self._parents)
        posed = transform_points(transforms, joints) + self.place
        corners = (self._face_rest + self._face_basis @ self.betas).reshape(-1, 3)
        matrices = blend_transforms(transforms, self._face_skin)
        moved = transform_points(matrices, corners) + self.place
        face = (moved.reshape(-1, 3, 3) * self._face_bary[..., None]).sum(1)
        return posed, self._camera.project(posed)[0], self._camera.project(face)[0]

    def _loss(self) -> Tensor:
        config = self._config
        posed, pixels, face = self._points()
        loss = (self._weights * _robust((pixels[self._index] - self._targets) * self._unit, self._outlier_px)).sum()
        if len(face):
            loss = loss + config.face * 12 * _robust((face - self._face_px) * self._unit, self._outlier_px).mean()
        for a, b, wanted in self._directions:
            bone = torch.nn.functional.normalize(posed[b] - posed[a], dim=0)
            loss = loss + config.directions * (bone - wanted).square().sum()
        if self._stands:
            loss = loss + config.upright * (_out_of_plumb(posed) + self._hunched(posed))
        return loss + config.shape * self.betas.square().sum() + config.pose * (_POSE_PRIOR * self.turn.square()).sum()

    def _hunched(self, posed: Tensor) -> Tensor:
        """Squared distance, metres, that the head is before or behind where it is over the shoulders at rest. Without
        it the face's landmarks bent the neck: three of four photographed persons were hunched by 8 to 12 cm."""

        def before_the_shoulders(joints: Tensor) -> Tensor:
            shoulders = joints[[int(BodyJoint.LEFT_SHOULDER), int(BodyJoint.RIGHT_SHOULDER)], 2].mean()
            return joints[int(BodyJoint.HEAD), 2] - shoulders

        return (before_the_shoulders(posed) - before_the_shoulders(self._joints0)).square()

    def parameters(self) -> BodyParameters:
        return BodyParameters(
            self.betas.detach(), self._offsets, torch.zeros(self._model.n_expression), self._pose().detach(),
            self.place.detach(),
        )  # fmt: skip

    @torch.no_grad()
    def rms_px(self) -> float:
        _, pixels, _ = self._points()
        off = (pixels[self._index] - self._targets)[: self._n_body]
        return float(off.square().sum(-1).mean().sqrt())


def tall_px(found: FoundPerson) -> float:
    """Height of the person in pixels, from what is visible: eyes to shoulders are a sixth."""
    shoulders = (found.landmarks_px[11] + found.landmarks_px[12]) / 2
    eyes = (found.landmarks_px[2] + found.landmarks_px[5]) / 2
    across = np.linalg.norm(found.landmarks_px[11] - found.landmarks_px[12])
    return float(max(6.4 * np.linalg.norm(shoulders - eyes), 4.6 * across))


def _stands(found: FoundPerson) -> bool:
    """Whether all that is seen of the legs is nearly vertical in mediapipe's guess. Legs that nobody sees stand."""
    seen = [(a, b) for a, b in _LEGS if found.visibility[a] >= MIN_VISIBILITY and found.visibility[b] >= MIN_VISIBILITY]
    bones = np.array([found.world_m[below] - found.world_m[above] for above, below in seen]).reshape(-1, 3)
    return bool((bones[:, 1] > STEEP * np.linalg.norm(bones, axis=1)).all())


def _out_of_plumb(posed: Tensor) -> Tensor:
    """Squared distances, metres, of shoulders, hips and knees before or behind the middle of the ankles, summed, and
    some of the ankles' own. `posed` has the joints [55, 3]; sideways, the picture says it."""
    depths = torch.stack([posed[[int(left), int(right)], 2] for left, right in _STACKED])
    off = (depths - depths[0].mean()).square().sum(1)
    return off[1:].sum() + STRIDE * off[0]


def _robust(off: Tensor, outlier_px: float) -> Tensor:
    """Geman and McClure's distance of [n, 2]: quadratic at first, flattening out at an outlier's distance."""
    squared, far = off.square().sum(-1), outlier_px**2
    return far * squared / (far + squared)


def _prior() -> Tensor:
    """[55, 3]: how unlikely a turn is, beside the shoulders' 0.3: spine and neck bend together, knees and elbows do
    not twist, fingers move together."""
    weights = torch.full((55, 3), 4.0)
    weights[0] = torch.tensor([0.3, 0.02, 0.3])
    for joint in (1, 2, 16, 17):
        weights[joint] = 0.5
    for joint in (4, 5):
        weights[joint] = torch.tensor([0.3, 30.0, 30.0])
    weights[18:20] = 0.5
    weights[12] = weights[15] = 1.5
    weights[20:22] = 2.0
    weights[7:9] = 3.0
    weights[10:12] = 30.0
    weights[22:25] = 100.0
    weights[N_BODY + 3 :] = 3.0
    return weights


_POSE_PRIOR = _prior()

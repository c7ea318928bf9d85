"""Derivatives of the landmarks in closed form, on arrays: what makes a video quick to fit.

A landmark is a weighted sum of three corners, and a corner one of the joints' movements: both are folded into one sum
over joints beforehand. Its twin is `LandmarkModel`, whose derivatives are by forward mode; portraits keep that one, so
that what was built from them stays equal to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from perse.head import HeadModel
from perse.head.model import Joint
from perse.tracking.landmark_model import FLIP, LandmarkModel

Floats = NDArray[np.float64]

TURNS = ((Joint.NECK, (0, 1, 2)), (Joint.JAW, (0,)), (Joint.LEFT_EYE, (0, 1)), (Joint.RIGHT_EYE, (0, 1)))
"""Axes of the joints that a fit turns, in the order of `FitLayout`: neck, jaw, gaze."""


@dataclass(frozen=True)
class _State:
    """The landmarks at one parameter vector.

    Attributes:
        values: the vector.
        shaped: [3 j, l] what each joint carries of every landmark at rest, for these betas.
        carried: the same with expression and correctives.
        chain: the joints.
        placed: [l, 3] landmarks in the world, metres.
    """

    values: Float64[NDArray[np.float64], " size"]
    shaped: Float64[NDArray[np.float64], "joint_rows l"]
    carried: Float64[NDArray[np.float64], "joint_rows l"]
    chain: _Chain
    placed: Float64[NDArray[np.float64], "l 3"]


@dataclass(frozen=True)
class _Chain:
    """The joints at one shape and pose.

    Attributes:
        turns: [j, 3] axis-angle, radians, relative to the parent.
        own: [j, 3, 3] rotation relative to the parent.
        world: [j, 3, 3] rotation in the world.
        rest, posed: [j, 3] metres.
    """

    turns: Float64[NDArray[np.float64], "j 3"]
    own: Float64[NDArray[np.float64], "j 3 3"]
    world: Float64[NDArray[np.float64], "j 3 3"]
    rest: Float64[NDArray[np.float64], "j 3"]
    posed: Float64[NDArray[np.float64], "j 3"]


class QuickLandmarkModel(LandmarkModel):
    """`LandmarkModel` with all derivatives in closed form; may be used from several threads at once."""

    def __init__(
        self,
        model: HeadModel,
        focal_px: float,
        centre_px: tuple[float, float],
        offsets: Float[Tensor, "v 3"] | None = None,
    ) -> None:
        super().__init__(model, focal_px, centre_px, offsets)
        # How much corner c of landmark l moves with joint j: [l, 3, j].
        share = (self._skinning.reshape(-1, 3, model.n_joints) * self._weights[..., None]).numpy()

        def folded(corners: Tensor) -> Floats:
            """[3 l, 3, …] of the corners to [3 j, l · …]: what each joint carries of every landmark."""
            values = corners.numpy().reshape(len(share), 3, 3, -1)
            carried = np.einsum("lcj,lcxk->jxlk", share, values)
            return np.ascontiguousarray(carried.reshape(3 * model.n_joints, -1))

        self._carried_rest, self._carried_pose = folded(self._rest), folded(self._pose_basis)
        self._carried_expression, self._carried_shape = folded(self._expression), folded(self._shape)
        self._share: Floats = share.sum(1)  # [l, j]
        self._flip = np.array(FLIP)
        self._last: _State | None = None
        self._rest_joints, self._joints_of_shape = self._joints.numpy(), self._joint_shape.numpy()

    def positions(self, vector: Float[Tensor, " p"]) -> Float[Tensor, "n 3"]:
        return torch.from_numpy(self._state(vector.numpy()).placed.copy())

    def jacobian(self, vector: Float[Tensor, " p"], free: Bool[Tensor, " p"]) -> Float[Tensor, "n 2 m"]:
        state, chosen = self._state(vector.numpy()), free.numpy()
        moved = self._moved(state, chosen) * self._flip[:, None]  # [l, 3, n] in the camera
        place = np.cumsum(chosen) - 1
        for axis in np.flatnonzero(chosen[self.layout.translation]):
            moved[:, :, place[self.layout.translation.start + axis]] = np.eye(3)[axis]
        at = state.placed * self._flip + state.values[self.layout.translation]
        away = moved[:, :2] - (at[:, :2] / at[:, 2:])[..., None] * moved[:, 2:]
        return torch.from_numpy(self.focal_px * away / at[:, 2:, None])

    def _state(self, values: Floats) -> _State:
        """Kept until another vector comes: a step asks for pixels and derivatives of one, and betas change seldom."""
        last = self._last
        if last is not None and np.array_equal(values, last.values):
            return last
        layout = self.layout
        betas, turns = values[layout.betas], layout.pose(torch.from_numpy(values)).numpy()
        if last is not None and np.array_equal(betas, last.values[layout.betas]):
            shaped = last.shaped
        else:
            shaped = self._carried_rest + _mixed(self._carried_shape, betas)
        chain = self._chain(betas, turns)
        carried = shaped + _mixed(self._carried_expression, values[layout.expression])
        if self._carried_pose.size:
            carried += _mixed(self._carried_pose, (chain.own[1:] - np.eye(3)).ravel())
        joints = chain.posed - np.einsum("jxy,jy->jx", chain.world, chain.rest)
        placed = (_side_by_side(chain.world) @ carried).T + self._share @ joints
        self._last = _State(values.copy(), shaped, carried, chain, placed)
        return self._last

    def _chain(self, betas: Floats, turns: Floats) -> _Chain:
        own = _rotations(turns)
        rest = self._rest_joints + self._joints_of_shape @ betas
        world, posed = own.copy(), rest.copy()
        for joint, parent in enumerate(self._parents):
            if parent >= 0:
                world[joint] = world[parent] @ own[joint]
                posed[joint] = posed[parent] + world[parent] @ (rest[joint] - rest[parent])
        return _Chain(turns, own, world, rest, posed)

    def _moved(self, state: _State, chosen: NDArray[np.bool_]) -> Floats:
        """d landmarks / d what is chosen, [l, 3, n] in the world; zero for the translation."""
        layout, count, chain = self.layout, len(self._share), state.chain
        turned = _side_by_side(chain.world)
        moved = np.zeros((count, 3, int(chosen.sum())))
        place = np.cumsum(chosen) - 1
        linear = ((layout.expression, self._carried_expression), (layout.betas, self._carried_shape))
        for where, basis in linear:
            if chosen[where].any():
                own = chosen[where]
                columns = basis if own.all() else basis.reshape(-1, count, len(own))[..., own]
                field = (turned @ columns.reshape(len(basis), -1)).reshape(3, count, -1).transpose(1, 0, 2)
                moved[..., place[np.flatnonzero(own) + where.start]] = field
        if chosen[layout.betas].any():
            moved[..., place[layout.betas][chosen[layout.betas]]] += self._with_joints(chain, chosen[layout.betas])
        entries = (*range(3), layout.jaw, *range(layout.gaze.start, layout.gaze.stop))
        axes = [(joint, axis) for joint, own in TURNS for axis in own]
        for entry, (joint, axis) in zip(entries, axes, strict=True):
            if chosen[entry]:
                moved[..., place[entry]] = self._by_turning(chain, state.carried, joint, axis)
        return moved

    def _with_joints(self, chain: _Chain, chosen: NDArray[np.bool_]) -> Floats:
        """The part of the betas' derivative that is due to joints that move with the shape, [l, 3, n]."""
        rest = self._joints_of_shape[..., chosen]  # [j, 3, n]
        posed = rest.copy()
        for joint, parent in enumerate(self._parents):
            if parent >= 0:
                posed[joint] = posed[parent] + chain.world[parent] @ (rest[joint] - rest[parent])
        joints = posed - np.einsum("jxy,jyn->jxn", chain.world, rest)
        return np.asarray(np.einsum("lj,jxn->lxn", self._share, joints))

    def _by_turning(self, chain: _Chain, carried: Floats, turned: int, axis: int) -> Floats:
        """d landmarks / d one angle of one joint, [l, 3]."""
        own = _rotation_by_angle(chain.turns[turned], chain.own[turned], axis)
        world, posed = np.zeros_like(chain.world), np.zeros_like(chain.posed)
        for joint, parent in enumerate(self._parents):
            before = np.eye(3) if parent < 0 else chain.world[parent]
            if joint == turned:
                world[joint] = before @ own
            elif parent >= 0:
                world[joint] = world[parent] @ chain.own[joint]
                posed[joint] = posed[parent] + world[parent] @ (chain.rest[joint] - chain.rest[parent])
        joints = posed - np.einsum("jxy,jy->jx", world, chain.rest)
        moved = (_side_by_side(world) @ carried).T + self._share @ joints
        if self._carried_pose.size:
            basis = self._carried_pose.reshape(len(carried), len(self._share), -1)
            corrective = basis[..., 9 * (turned - 1) : 9 * turned] @ own.ravel()  # [3 j, l]
            moved = moved + (_side_by_side(chain.world) @ corrective).T
        return np.asarray(moved)


def _mixed(basis: Floats, strengths: Floats) -> Floats:
    """[3 j, l n] and [n] to [3 j, l]."""
    return np.asarray((basis.reshape(-1, len(strengths)) @ strengths).reshape(len(basis), -1))


def _side_by_side(rotations: Floats) -> Floats:
    """[j, 3, 3] to [3, 3 j]: one product turns what all joints carry, and adds it up."""
    return rotations.transpose(1, 0, 2).reshape(3, -1)


def _cross(v: Floats) -> Floats:
    """[3, 3]: the matrix whose product with w is v × w."""
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def _rotations(turns: Floats) -> Floats:
    """Axis-angle [j, 3] to matrices [j, 3, 3], by Rodrigues' formula; equal to `axis_angle_to_matrix`."""
    out = np.empty((len(turns), 3, 3))
    for joint, turn in enumerate(turns):
        squared = float(turn @ turn)
        angle = np.sqrt(squared)
        small = squared < 1e-8
        sine = 1 - squared / 6 if small else np.sin(angle) / angle
        cosine = 0.5 - squared / 24 if small else (1 - np.cos(angle)) / squared
        across = _cross(turn)
        out[joint] = np.eye(3) + sine * across + cosine * (across @ across)
    return out


def _rotation_by_angle(turn: Floats, matrix: Floats, axis: int) -> Floats:
    """d rotation / d one entry of its axis-angle, [3, 3] (Gallego and Yezzi, arXiv 1312.0788, Eq. 9)."""
    squared = float(turn @ turn)
    unit = np.eye(3)[axis]
    if squared < 1e-8:  # the derivative at zero, and what the turn so far adds to it
        across, along = _cross(turn), _cross(unit)
        return np.asarray(along + 0.5 * (across @ along + along @ across))
    return np.asarray(
        (turn[axis] * _cross(turn) + _cross(np.cross(turn, (np.eye(3) - matrix) @ unit))) / squared @ matrix
    )

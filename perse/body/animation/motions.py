"""The committed motions: turn, wave, walk, squat and dance, as stances over a phase in [0, 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from perse.body.model import BodyJoint, BodyParameters, pose_body
from perse.body.model.stance import Stance, stance_pose
from perse.head import HeadModel

TAU = 2 * math.pi
FPS = 24.0
FEET = (BodyJoint.LEFT_ANKLE, BodyJoint.RIGHT_ANKLE, BodyJoint.LEFT_FOOT, BodyJoint.RIGHT_FOOT)


def turn(phase: float) -> Stance:
    """Stance of turning once around, arms a little away."""
    return Stance(yaw=TAU * phase, arm=(0.45, 0.45), spread=(0.05, 0.05))


def wave(phase: float) -> Stance:
    """Stance of greeting with the right hand."""
    sway = math.sin(2 * TAU * phase)
    lift = 0.5 - 0.5 * math.cos(TAU * phase)
    return Stance(
        yaw=0.25 * math.sin(TAU * phase), arm=(0.25, 0.25 + 1.5 * lift), swing=(0.0, 0.2 * lift),
        elbow=(0.2, 0.2 + lift * (1.5 + 0.45 * sway)), bend=0.1 * lift, head_yaw=-0.2 * lift, curl=(0.25, 0.05),
    )  # fmt: skip


def walk(phase: float) -> Stance:
    """Stance of two steps on the spot, seen a little from the side and then from the other."""
    stride = math.sin(TAU * phase)
    return Stance(
        yaw=0.6 * math.sin(TAU * phase + 0.6),
        hip=(0.5 * stride, -0.5 * stride),
        knee=(0.15 + 0.6 * max(0.0, math.cos(TAU * phase)), 0.15 + 0.6 * max(0.0, -math.cos(TAU * phase))),
        swing=(-0.5 * stride, 0.5 * stride), elbow=(0.45, 0.45), twist=-0.15 * stride, arm=(0.22, 0.22),
    )  # fmt: skip


def squat(phase: float) -> Stance:
    """Stance of going down and up, arms to the front."""
    depth = 0.5 - 0.5 * math.cos(TAU * phase)
    return Stance(
        yaw=0.5 * math.sin(TAU * phase), hip=(1.25 * depth,) * 2, knee=(1.6 * depth,) * 2, ankle=(0.45 * depth,) * 2,
        spread=(0.15, 0.15), bow=0.5 * depth, head_pitch=-0.3 * depth, swing=(1.3 * depth,) * 2, arm=(0.25, 0.25),
    )  # fmt: skip


def dance(phase: float) -> Stance:
    """Stance of a dance: arms up in turn, hips and shoulders against each other, a knee at a time."""
    beat, half = math.sin(TAU * phase), math.sin(2 * TAU * phase)
    left, right = max(0.0, beat), max(0.0, -beat)
    return Stance(
        yaw=0.5 * math.sin(TAU * phase + 1.0), bend=0.22 * beat, twist=0.35 * half, head_yaw=-0.2 * half,
        arm=(0.5 + 1.5 * left, 0.5 + 1.5 * right), elbow=(0.9 - 0.5 * left, 0.9 - 0.5 * right),
        swing=(0.3 * half, -0.3 * half), hip=(0.6 * right, 0.6 * left), knee=(0.15 + 1.0 * right, 0.15 + 1.0 * left),
        spread=(0.12 + 0.1 * left, 0.12 + 0.1 * right), curl=(0.1 + 0.5 * right, 0.1 + 0.5 * left),
    )  # fmt: skip


def stretch(phase: float) -> Stance:
    """Stance of stretching, arms out and up, with a bow to each side: the motion that nobody trains on."""
    beat = math.sin(TAU * phase)
    lift = 0.5 - 0.5 * math.cos(TAU * phase)
    return Stance(
        yaw=0.35 * beat, arm=(0.3 + 1.3 * lift, 0.3 + 1.0 * lift), elbow=(0.3, 0.5), bend=0.3 * beat,
        hip=(0.35 * lift, 0.1), knee=(0.5 * lift, 0.15), twist=0.2 * beat, head_pitch=0.15 * beat,
    )  # fmt: skip


Choreography = Callable[[float], Stance]
MOTIONS: dict[str, Choreography] = {"turn": turn, "wave": wave, "walk": walk, "squat": squat, "dance": dance}
"""What is trained on."""
UNSEEN: dict[str, Choreography] = {"stretch": stretch}
"""What is measured on, besides every held-out frame of the others."""


@dataclass(frozen=True)
class Filmed:
    """Selection of the frames of a motion that are filmed.

    Attributes:
        name: of `MOTIONS` or `UNSEEN`.
        frames: how many, spread evenly over the cycle.
        seconds: how long the cycle takes; cloth lags behind faster ones more.
    """

    name: str
    frames: int
    seconds: float = 2.5

    @property
    def phases(self) -> tuple[float, ...]:
        return tuple(number / self.frames for number in range(self.frames))


def choreography(name: str) -> Choreography:
    """A committed motion by name."""
    return (MOTIONS | UNSEEN)[name]


def turns_of(model: HeadModel, name: str, phases: tuple[float, ...]) -> Float[Tensor, "f 55 3"]:
    """Pose θ [f, 55, 3] of a motion, wherever the person stands."""
    return torch.stack([stance_pose(model, choreography(name)(phase)) for phase in phases])


def performed(model: HeadModel, person: BodyParameters, name: str, phases: tuple[float, ...]) -> BodyParameters:
    """Parameters of a person who performs a motion; the feet stay on the floor that the photographed feet stand on.

    Args:
        person: a single frame; its translation is where the person was photographed.
    """
    pose = turns_of(model, name, phases)
    still = torch.zeros(len(phases), person.expression.shape[-1])
    place = person.translation.expand(len(phases), 3)
    moved = BodyParameters(person.betas, person.vertex_offsets, still, pose, place)
    return BodyParameters(person.betas, person.vertex_offsets, still, pose, place + _to_floor(model, person, moved))


def _to_floor(model: HeadModel, person: BodyParameters, moved: BodyParameters) -> Tensor:
    """[f, 3]: what brings each frame's lowest foot to where the photographed lowest foot is."""
    feet = torch.tensor([int(joint) for joint in FEET])

    def lowest(parameters: BodyParameters) -> Tensor:
        posed = pose_body(model, parameters)
        homogeneous = torch.cat([posed.joints[feet], torch.ones(len(feet), 1)], 1)
        return (posed.transforms[..., feet, :, :] @ homogeneous[..., None])[..., 1, 0].amin(-1)

    shift = torch.zeros_like(moved.translation)
    shift[:, 1] = lowest(person) - lowest(moved)
    return shift

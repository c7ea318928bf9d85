"""Pictures of a skeleton: what a pose-guided video model is told about a motion.

A coloured bar for each bone of the body, thin ones for fingers, on black, as pose estimators draw them.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import torch

from perse.body.model import BodyJoint, BodyParameters, pose_body
from perse.body.model.joints import FINGERS, finger_joint
from perse.geometry import Camera
from perse.head import HeadModel
from perse.shapes import Frames

J = BodyJoint
BODY: tuple[tuple[int, int], ...] = (
    (J.NECK, J.LEFT_SHOULDER), (J.LEFT_SHOULDER, J.LEFT_ELBOW), (J.LEFT_ELBOW, J.LEFT_WRIST),
    (J.NECK, J.RIGHT_SHOULDER), (J.RIGHT_SHOULDER, J.RIGHT_ELBOW), (J.RIGHT_ELBOW, J.RIGHT_WRIST),
    (J.NECK, J.LEFT_HIP), (J.LEFT_HIP, J.LEFT_KNEE), (J.LEFT_KNEE, J.LEFT_ANKLE), (J.LEFT_ANKLE, J.LEFT_FOOT),
    (J.NECK, J.RIGHT_HIP), (J.RIGHT_HIP, J.RIGHT_KNEE), (J.RIGHT_KNEE, J.RIGHT_ANKLE), (J.RIGHT_ANKLE, J.RIGHT_FOOT),
    (J.NECK, J.HEAD), (J.HEAD, J.LEFT_EYE), (J.HEAD, J.RIGHT_EYE),
)  # fmt: skip
HANDS: tuple[tuple[int, int], ...] = tuple(
    bone
    for side, wrist in (("left", J.LEFT_WRIST), ("right", J.RIGHT_WRIST))
    for finger in FINGERS
    for bone in (
        (int(wrist), finger_joint(side, finger, 0)),
        (finger_joint(side, finger, 0), finger_joint(side, finger, 1)),
        (finger_joint(side, finger, 1), finger_joint(side, finger, 2)),
    )
)
THICKNESS = 0.012
"""Of a bone of the body, in heights of the picture; a finger's is a third."""


def skeleton_pictures(model: HeadModel, motion: BodyParameters, camera: Camera) -> Frames:
    """Pictures [f, h, w, 3] RGB of the joints of a motion of f frames as a camera sees them, farther bones first."""
    posed = pose_body(model, motion)
    ends = torch.cat([posed.joints, torch.ones(len(posed.joints), 1)], 1)
    places = (posed.transforms @ ends[:, :, None])[..., :3, 0]  # [f, j, 3]
    pictures = np.zeros((len(places), camera.height, camera.width, 3), np.uint8)
    colors = _colors(len(BODY)) + _colors(len(HANDS))
    for picture, frame in zip(pictures, places, strict=True):
        pixels, depth = camera.project(frame)
        for number in _far_to_near(depth):
            first, second = (BODY + HANDS)[number]
            wide = THICKNESS * camera.height / (1 if number < len(BODY) else 3)
            line = np.round(pixels[[first, second]].numpy() * 16).astype(np.int32)
            cv2.line(picture, line[0], line[1], colors[number], max(1, round(wide)), cv2.LINE_AA, 4)
    return pictures


def _far_to_near(depth: torch.Tensor) -> list[int]:
    bones = torch.tensor(BODY + HANDS)
    order: list[int] = depth.reshape(-1)[bones].mean(1).argsort(descending=True, stable=True).tolist()
    return order


def _colors(count: int) -> list[tuple[int, int, int]]:
    """Hues around the circle."""
    return [
        (int(255 * red), int(255 * green), int(255 * blue))
        for red, green, blue in (colorsys.hsv_to_rgb(number / count, 1, 1) for number in range(count))
    ]

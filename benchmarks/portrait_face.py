"""What a person sees at once in a face: rings around shut eyes, and lips that are a lump.

`benchmarks.portraits` prints both for every picture. They look at the frames alone, so that they hold for any animator.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perse.data import TrackedPortrait
from perse.head import HeadModel, HeadParameters, pose_head
from perse.tracking import detect_landmarks
from perse.tracking.colors import blur, to_lab
from perse.tracking.landmarks import (
    LEFT_EYE_SURROUND,
    LIPS_LOWER_OUTER,
    MOUTH_CORNERS,
    RIGHT_EYE_SURROUND,
)

Image = NDArray[np.uint8]

_SCALES = np.linspace(0.85, 1.3, 19)
"""From the lid across its border into the skin around, shares of the way from the eye's middle to the border."""
_STEPS = 4
"""Samples of that way, about 2 % of the face's width, over which an edge counts as one."""


def lid_edge(frame: Image, portrait: TrackedPortrait, model: HeadModel, expression: NDArray[np.float32]) -> float:
    """Strongest edge that crosses the border of a shut lid, mean around both eyes, as a share of the skin's lightness.

    Measured on ten faces: .04 to .11 for lids that lay on the face as discs with a line around them, .02 to .06 for
    lids that continue the skin, .04 to .12 for the same eyes open.

    Args:
        frame: [h, w, 3], the head facing the camera with shut eyes.
        expression: [e] of that frame.
    """
    lightness = blur(to_lab(frame)[..., 0], 0.004 * frame.shape[1])
    pose = torch.zeros_like(portrait.head.pose)
    shown = HeadParameters(portrait.head.betas, portrait.head.vertex_offsets, torch.from_numpy(expression), pose)
    camera = portrait.camera.resized(frame.shape[1], frame.shape[0])
    marks = camera.project(model.landmarks(pose_head(model, shown).vertices))[0].numpy()
    place = {int(mark): index for index, mark in enumerate(model.landmark_ids)}
    edges = []
    for loop in (LEFT_EYE_SURROUND, RIGHT_EYE_SURROUND):
        border = marks[[place[mark] for mark in loop if mark in place]]
        middle = border.mean(0)
        way = middle + _SCALES[:, None, None] * (border - middle)
        seen = cv2.remap(lightness, *(way[..., k].astype(np.float32) for k in (0, 1)), cv2.INTER_LINEAR)
        steps = np.abs(seen[_STEPS:] - seen[:-_STEPS]).max(0)
        edges.append(steps / np.maximum(np.median(seen), 1))
    return float(np.mean(np.concatenate(edges)))


def lips_at_rest(frame: Image) -> tuple[float, float] | None:
    """Of a frame at rest: height of the lips over their width, and how much redder (CIELAB a*) the skin below the lower
    lip is than the chin. None where no face is found."""
    points = detect_landmarks(frame)
    if points is None:
        return None
    corners = points[list(MOUTH_CORNERS), :2]
    width = float(np.linalg.norm(corners[0] - corners[1]))
    height = float(np.linalg.norm(points[0, :2] - points[17, :2]))
    redness = blur(to_lab(frame)[..., 1], 1.0)
    lower = points[list(LIPS_LOWER_OUTER[3:8]), :2]
    chin = points[152, :2]
    shares = np.linspace(0.4, 0.8, 12)[:, None, None]
    way = lower + shares * (chin - lower)
    seen = cv2.remap(redness, *(way[..., k].astype(np.float32) for k in (0, 1)), cv2.INTER_LINEAR)
    return height / width, float(seen.max(0).mean() - seen.min(0).mean())

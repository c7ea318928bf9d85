"""A portrait without a photograph: the embedded head, drawn with hair painted round it. Everything in it is known."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from perse.attributes import Part
from perse.data import PartMasks, TrackedPortrait
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, Joint
from perse.synthesis.procedural.editing.head_view import HeadView
from perse.synthesis.procedural.scene import Light

SIZE = 192
FACE_WIDTH_PX = 60.0
SKIN_COLOR, HAIR_COLOR, BACKGROUND_COLOR = (214, 168, 146), (70, 46, 30), (120, 150, 190)
LIGHT = Light(np.array([0.66, -0.12, 0.12, 0.27, 0, 0, 0, 0, 0], np.float32))


def neutral(model: HeadModel) -> HeadParameters:
    return HeadParameters(
        torch.zeros(model.n_shape),
        torch.zeros(model.n_vertices, 3),
        torch.zeros(model.n_expression),
        torch.zeros(model.n_joints, 3),
    )


def portrait_camera(size: int = SIZE) -> Camera:
    """0.48 metres across at the head, as in a tracked crop."""
    world_to_camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    world_to_camera[2, 3], world_to_camera[1, 3] = 1.2, 0.0
    focal = size * 1.2 / 0.48
    return Camera(world_to_camera, torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]]), size, size)


def synthetic_portrait(model: HeadModel, *, hair: bool = True, yaw: float = 0.0) -> TrackedPortrait:
    """A neutral head under `LIGHT`, turned by `yaw` radians, with or without a helmet of hair."""
    head = neutral(model)
    head.pose[Joint.NECK, 1] = yaw
    blank = np.zeros((SIZE, SIZE, 3), np.uint8)
    empty = PartMasks(np.zeros((len(Part), SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE), np.uint8))
    bare = TrackedPortrait(
        key="synthetic",
        image=blank,
        inside=np.full((SIZE, SIZE), 255, np.uint8),
        landmarks_px=np.zeros((478, 3), np.float32),
        masks=empty,
        head=head,
        camera=portrait_camera(),
        face_width_px=FACE_WIDTH_PX,
        fit_rms_px=0.0,
    )
    view = HeadView.of(bare, model)
    head = view.coverage[..., None]
    skin = np.array(SKIN_COLOR) * LIGHT.shade(view.normals_px)[..., None]
    image = skin * head + np.array(BACKGROUND_COLOR) * (1 - head)
    cover = _hair(view) if hair else np.zeros((SIZE, SIZE), np.float32)
    image = image * (1 - cover[..., None]) + np.array(HAIR_COLOR) * cover[..., None]
    soft = np.zeros((len(Part), SIZE, SIZE), np.float32)
    soft[Part.HAIR] = cover
    soft[Part.SKIN] = view.coverage * (1 - cover)
    soft[Part.BACKGROUND] = (1 - view.coverage) * (1 - cover)
    person = np.round(255 * (1 - soft[Part.BACKGROUND])).astype(np.uint8)
    masks = PartMasks(np.round(255 * soft).astype(np.uint8), person)
    fields = {**vars(bare), "image": np.round(image).clip(0, 255).astype(np.uint8), "masks": masks}
    return TrackedPortrait(**fields)


def _hair(view: HeadView) -> np.ndarray:
    """A helmet of hair: a fat ellipse, without the face."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    crown = view.project(np.array([[0.0, 0.03, 0.0]]))[0, :2]
    cv2.ellipse(canvas, (int(crown[0]), int(crown[1])), (42, 46), 0, 0, 360, 1.0, -1)
    face = (view.rest_px[..., 1] < 0.045) & (np.abs(view.rest_px[..., 0]) < 0.055) & (view.coverage > 0.9)
    below = np.arange(SIZE)[:, None] > crown[1] + 34
    canvas[face | np.broadcast_to(below, canvas.shape)] = 0
    return canvas

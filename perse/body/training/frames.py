"""Frames that are trained on: the captured one and the generated ones, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from perse.body.animation.clip import BodyClip, clip_of
from perse.body.animation.drawing import DrawnBody, draw_person, drawn_points
from perse.body.fitting.covering import nearest_labels
from perse.body.fitting.person import FittedPerson, person_camera
from perse.body.model import BodyJoint, BodyParameters, BodyRegion, body_regions, pose_body
from perse.body.model.covers import Cover
from perse.body.model.joints import finger_joint
from perse.data.on_white import laid_on_white
from perse.geometry import Camera
from perse.shapes import HardMask

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

FACE_M, HAND_M = 0.34, 0.26
"""Sides of the windows around face and hands."""
INSIDE, LEAST_SHARE = 0.5, 0.5
"""Share of the person at a pixel from which on its colour can be told."""
DRAWN_RIM_PX, PHOTOGRAPHED_RIM_PX = 0.0, 1.5
"""Of a rendering on white every pixel's own colour is known; in a photograph the outline is a guess."""
BESIDE_M = 0.012
"""Of a photograph's mask, what is further outside of the fitted surface is no person: a wall between hair and neck."""
UNSEEN, OTHER_COLOR = 0.05, 0.03
"""A place that the photograph does not show, and a difference of colours, in [0, 1], that says so."""
WELL_SEEN = 0.5
"""What the photograph shows less well, at a grazing angle or next to the outline, may belong to the next point."""
LEAST_HALF_PX = 8
"""Smaller windows show nothing that the whole picture does not."""


@dataclass(frozen=True)
class TargetFrame:
    """Frame that is trained on.

    Attributes:
        image: [h, w, 3] float32 on white; alpha: [h, w].
        colors: [h, w, 3], the person's own colours, without what is behind; outside of the person they go on.
        depth: [h, w] metres, 0 where nobody is; normals: [h, w, 3], camera axes.
        parts: [h, w, c], one for each cover but the background.
        hands: [h, w] float32.
        seams: [h, w] float32, where it is not sure whose colour a pixel shows.
        pose: [55, 3]; translation: [3].
        camera: its own.
        generated: whether an animator made it.
    """

    image: Float[Tensor, "h w 3"]
    alpha: Float[Tensor, "h w"]
    colors: Float[Tensor, "h w 3"]
    depth: Float[Tensor, "h w"]
    normals: Float[Tensor, "h w 3"]
    parts: Float[Tensor, "h w c"]
    hands: Float[Tensor, "h w"]
    seams: Float[Tensor, "h w"]
    pose: Float[Tensor, "55 3"]
    translation: Float[Tensor, "3"]
    camera: Camera
    generated: bool

    def within(self, silhouette: Float[Tensor, "h w"], background: Float[Tensor, "3"]) -> Float[Tensor, "h w 3"]:
        """Picture [h, w, 3] that somebody of these colours and of another silhouette [h, w] would give on a background
        [3].

        What an avatar's colours are compared with. On the target's own silhouette, points that stand a pixel outside
        of it learned the background, and were grey patches on neck, hair and sleeves from everywhere else.
        """
        return silhouette[..., None] * self.colors + (1 - silhouette[..., None]) * background

    def to(self, device: torch.device) -> TargetFrame:
        moved = {name: value.to(device) for name, value in vars(self).items() if not isinstance(value, bool)}
        return replace(self, **moved)


def frame_of(clip: BodyClip, number: int, *, generated: bool) -> TargetFrame:
    """Frame of a clip, as tensors."""
    labels = torch.from_numpy(clip.parts[number].astype(np.int64))
    image, alpha = (one[number].astype(np.float32) / np.float32(255) for one in (clip.image, clip.alpha))
    return TargetFrame(
        image=torch.from_numpy(image),
        alpha=torch.from_numpy(alpha),
        colors=torch.from_numpy(continued_colors(image, alpha, DRAWN_RIM_PX if generated else PHOTOGRAPHED_RIM_PX)),
        depth=torch.from_numpy(clip.depth[number].astype(np.float32)),
        normals=torch.from_numpy(clip.normals[number].astype(np.float32) / 127),
        parts=torch.nn.functional.one_hot(labels, len(Cover))[..., 1:].float(),
        hands=torch.from_numpy(clip.hands[number].astype(np.float32)),
        seams=torch.from_numpy(clip.seams[number].astype(np.float32)),
        pose=torch.from_numpy(clip.pose[number].copy()),
        translation=torch.from_numpy(clip.translation[number].copy()),
        camera=clip.camera,
        generated=generated,
    )


def continued_colors(
    image: Float[NDArray[np.float32], "h w 3"], alpha: Float[NDArray[np.float32], "h w"], rim_px: float
) -> Float[NDArray[np.float32], "h w 3"]:
    """The person's colours [h, w, 3], carried on to where the person is not: each pixel has those of the nearest one
    that lies inside.

    Args:
        image: [h, w, 3] on white; alpha: [h, w].
        rim_px: so near to the outline colours are mixed with what is behind.
    """
    share = np.maximum(alpha, LEAST_SHARE)[..., None]
    own = np.clip((image - (1 - share)) / share, 0, 1)
    away = cv2.distanceTransform((alpha > INSIDE).astype(np.uint8), cv2.DIST_L2, 5)
    inside = away > min(rim_px, float(away.max()) / 2)
    return nearest_colors(own, inside) if inside.any() else image


def nearest_colors(image: Float[NDArray[np.float32], "h w 3"], inside: HardMask) -> Float[NDArray[np.float32], "h w 3"]:
    """An image [h, w, 3] whose pixels outside of a mask [h, w] have the colours of the nearest ones inside."""
    if not inside.any():
        return image
    _, (rows, columns) = distance_transform_edt(~inside, return_indices=True)
    return np.ascontiguousarray(image[rows, columns], np.float32)


def captured_clip(person: FittedPerson, size_px: int) -> BodyClip:
    """The photograph as a clip of one frame: its own pixels on white, geometry of the fit.

    Seams are also where the fit says that the photograph shows the surface badly. There a millimetre of the fit decides
    whose colours a pixel has: along a jaw, points learned the shadow of the neck below, which stood in the cheek as
    soon as the head was seen from the side.
    """
    return _window_clip(person, *person_camera(person, size_px))


def captured_patches(person: FittedPerson, size_px: int) -> list[BodyClip]:
    """The photographed face and hands, each as a clip of one frame at nearly the photograph's own resolution.

    In a picture of a whole person a face has twenty pixels, and thousands of Gaussians: only a closer look says which
    colours are whose.
    """
    face = face_window(person)
    windows = [] if face is None else [face]
    joints = _posed_joints(person)
    for side in ("left", "right"):
        hand = _window(person, joints[finger_joint(side, "middle", 0)], HAND_M)
        windows += [] if hand is None else [hand]
    return [_window_clip(person, camera.resized(size_px, size_px), box) for camera, box in windows]


Window = tuple[Camera, tuple[int, int, int, int]]
"""A camera that sees a square window of the photograph, and the window (x0, y0, x1, y1)."""


def face_window(person: FittedPerson) -> Window | None:
    """Window of the photographed face; None where it is too small to be worth a closer look."""
    eyes = _posed_joints(person)[[BodyJoint.LEFT_EYE, BodyJoint.RIGHT_EYE]].mean(0)
    return _window(person, eyes + torch.tensor([0.0, -0.02, 0.0]), FACE_M)


def _posed_joints(person: FittedPerson) -> Tensor:
    return pose_body(person.dressed.model, person.dressed.parameters).posed_joints


def _window(person: FittedPerson, centre: Tensor, width_m: float) -> Window | None:
    camera = person.dressed.camera
    pixel, depth = camera.project(centre[None])
    half = int(0.5 * width_m * float(camera.intrinsics[0, 0]) / float(depth[0]))
    x, y = (int(place) for place in pixel[0].tolist())
    box = (x - half, y - half, x + half, y + half)
    height, width = person.mask.shape
    if half < LEAST_HALF_PX or box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        return None
    return camera.cropped(box[0], box[1], 2 * half, 2 * half), box


def _window_clip(person: FittedPerson, camera: Camera, box: tuple[int, int, int, int]) -> BodyClip:
    image, mask = _cut(person.image, box, camera.width), _cut(person.mask, box, camera.width)
    drawn = draw_person(person.dressed, person.dressed.posed(person.dressed.parameters), camera)
    covered = drawn.alpha == 255
    mask = np.asarray(mask * cv2.dilate(covered.astype(np.uint8), _disc(BESIDE_M * _pixels_per_metre(person, camera))))
    inside = mask > 0.5
    doubtful = covered & _not_the_surface(person, image, drawn.image, camera)
    image = nearest_colors(np.where(doubtful[..., None], drawn.image, image).astype(np.float32), covered & inside)
    frame = DrawnBody(
        image=laid_on_white(image, mask),
        alpha=np.round(255 * mask).astype(np.uint8),
        depth=np.where(inside, drawn.depth, 0).astype(np.float32),
        normals=drawn.normals * inside[..., None].astype(np.int8),
        parts=nearest_labels(drawn.parts, inside),
        hands=drawn.hands & inside,
    )
    still = person.dressed.parameters
    alone = BodyParameters(
        still.betas, still.vertex_offsets, still.expression[None], still.pose[None], still.translation[None]
    )
    clip = clip_of([frame], alone, camera)
    dressed = person.dressed
    badly_seen = drawn_points(dressed, dressed.posed(dressed.parameters), camera, dressed.seen < WELL_SEEN)
    return replace(clip, seams=clip.seams | badly_seen)


def _pixels_per_metre(person: FittedPerson, camera: Camera) -> float:
    depth = camera.project(person.dressed.parameters.translation[None])[1]
    return float(camera.intrinsics[0, 0]) / float(depth[0])


def _disc(radius_px: float) -> NDArray[np.uint8]:
    size = 2 * max(1, round(radius_px)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _not_the_surface(person: FittedPerson, image: Floats, drawn: Image, camera: Camera) -> NDArray[np.bool_]:
    """[h, w], where the photograph shows something else than the bare skin that the fit has there: a wall between hair
    and neck that the mask took for the person, a strand in front of it. The fit has carried skin to such places."""
    dressed = person.dressed
    face = dressed.fine.of((body_regions(dressed.model) == BodyRegion.FACE).float()) > 0.5
    unseen = (dressed.covers == Cover.SKIN) & (dressed.seen < UNSEEN) & ~dressed.hands & ~face
    there = drawn_points(dressed, dressed.posed(dressed.parameters), camera, unseen)
    return there & (np.abs(image - drawn).mean(-1) > 255 * OTHER_COLOR)


def _cut(picture: NDArray[np.generic], box: tuple[int, int, int, int], size_px: int) -> NDArray[np.float32]:
    """A window of a picture, which may reach over its border (zeros there), at another size."""
    x0, y0, x1, _ = box
    scale = size_px / (x1 - x0)
    matrix = np.array([[scale, 0, -x0 * scale + 0.5 * scale - 0.5], [0, scale, -y0 * scale + 0.5 * scale - 0.5]])
    source = picture.astype(np.float32)
    if scale < 0.9:
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.45 / scale), np.float32)
    return np.asarray(cv2.warpAffine(source, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR), np.float32)

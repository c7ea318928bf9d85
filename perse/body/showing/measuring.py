"""Scores of a body avatar: on frames it has not seen, and beside the photograph."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.body.animation.clip import BodyClip
from perse.body.avatar import BodyAvatar
from perse.body.showing.drawing import draw, picture
from perse.body.training.frames import TargetFrame, frame_of
from perse.identity import DlibEmbedder
from perse.identity.embedder import Embedding
from perse.identity.embedder import identity_distance as descriptor_distance
from perse.losses import ssim
from perse.render import Rasterizer
from perse.tracking.detection import detect_faces

IDENTITY_MAGNIFICATION = 3


@dataclass(frozen=True)
class FrameScores:
    """Means over frames.

    Attributes:
        frames: how many.
        psnr: dB over the whole picture; psnr_person: over the person's pixels.
        ssim: structural similarity of the whole picture.
        mask_iou: of the silhouettes.
        sharpness: variance of the Laplacian inside the person, relative to the target's; 1 is as sharp.
    """

    frames: int
    psnr: float
    psnr_person: float
    ssim: float
    mask_iou: float
    sharpness: float


def score_frames(avatar: BodyAvatar, targets: Sequence[TargetFrame], rasterizer: Rasterizer) -> FrameScores:
    """Scores of an avatar on frames."""
    rows = [_score(avatar, target, rasterizer) for target in targets]
    return FrameScores(len(rows), *(float(np.mean(column)) for column in zip(*rows, strict=True)))


def _score(avatar: BodyAvatar, target: TargetFrame, rasterizer: Rasterizer) -> tuple[float, ...]:
    drawn = draw(avatar, target.pose, target.translation, target.camera, rasterizer)
    image, inside = drawn.colors.clamp(0, 1), target.alpha > 0.5
    squared = (image - target.image).square()
    own = drawn.alphas > 0.5
    iou = float((own & inside).sum() / (own | inside).sum().clamp(min=1))
    similar = float(ssim(image, target.image, inner=True))
    return (
        _psnr(squared),
        _psnr(squared[inside]),
        similar,
        iou,
        _sharpness(image, inside) / _sharpness(target.image, inside),
    )


def _psnr(squared: Tensor) -> float:
    return float(-10 * torch.log10(squared.mean().clamp(min=1e-10)))


def _sharpness(image: Tensor, inside: Tensor) -> float:
    gray = image.mean(-1).numpy()
    inner = cv2.erode(inside.numpy().astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return float(cv2.Laplacian(gray, cv2.CV_32F)[inner].var() + 1e-9)


def held_out(clip: BodyClip, every: int) -> list[TargetFrame]:
    """Frames of a clip that training leaves out."""
    return [frame_of(clip, number, generated=True) for number in range(len(clip)) if number % every == every - 1]


def trained_on(clip: BodyClip, every: int) -> list[TargetFrame]:
    """Frames of a clip that training sees."""
    return [frame_of(clip, number, generated=True) for number in range(len(clip)) if number % every != every - 1]


def identity_distance(avatar: BodyAvatar, captured: TargetFrame, rasterizer: Rasterizer) -> float | None:
    """Distance of dlib's descriptors (0.6 is another person) between the photograph and the avatar in its pose.

    None where no face can be found in the photograph; 1 where none can be found in the avatar.
    """
    embedder = DlibEmbedder(least_score=-0.5)  # the window is known to show a face
    drawn = picture(draw(avatar, captured.pose, captured.translation, captured.camera, rasterizer))
    photograph = np.round(255 * captured.image.numpy()).astype(np.uint8)
    wanted = _descriptor(embedder, photograph)
    if wanted is None:
        return None
    found = _descriptor(embedder, drawn)
    return 1.0 if found is None else descriptor_distance(found, wanted)


def _descriptor(embedder: DlibEmbedder, image: NDArray[np.uint8]) -> Embedding | None:
    faces = detect_faces(image)
    if not faces:
        return None
    box = faces[0]
    half = 1.4 * box.width
    x, y = box.left + box.width / 2, box.top + box.height / 2
    left, top = max(0, int(x - half)), max(0, int(y - half))
    window = image[top : int(y + half), left : int(x + half)]
    large = cv2.resize(
        window, None, fx=IDENTITY_MAGNIFICATION, fy=IDENTITY_MAGNIFICATION, interpolation=cv2.INTER_CUBIC
    )
    return embedder.embed(np.asarray(large, np.uint8))


def frames_per_second(
    avatar: BodyAvatar, targets: Sequence[TargetFrame], rasterizer: Rasterizer, size_px: int
) -> float:
    """Rate of posing and drawing at a size, after a first frame that warms up."""
    cameras = [target.camera.resized(size_px, size_px) for target in targets]
    draw(avatar, targets[0].pose, targets[0].translation, cameras[0], rasterizer)
    begin = time.perf_counter()
    for target, camera in zip(targets, cameras, strict=True):
        draw(avatar, target.pose, target.translation, camera, rasterizer)
    return len(targets) / (time.perf_counter() - begin)

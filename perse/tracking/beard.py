"""Beards and moustaches in the photograph, by colour against the cheeks' skin."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import FaceLandmarks, HardMask, Picture, SoftMask
from perse.tracking import landmarks as marks
from perse.tracking.colors import blur, guided_filter, to_gray
from perse.tracking.frame import FaceCoordinates
from perse.tracking.person import disk
from perse.tracking.polygons import landmark_mask

Floats = NDArray[np.float32]

MIN_MOUSTACHE_SHARE, MIN_CHIN_SHARE = 0.35, 0.2
"""A beard covers at least one of these shares of the upper lip or of the chin; less is a shadow or a fold."""
DARKER_BY = 14.0
"""CIELAB lightness below the cheeks at which skin becomes beard, at half strength."""


def beard_mask(
    image: Picture, lab: Float32[np.ndarray, "h w 3"], points: FaceLandmarks, frame: FaceCoordinates, person: SoftMask
) -> SoftMask:
    """Mask [h, w] in [0, 1] of the beard; all zeros for a shaved face.

    Darker than the cheeks and of another chroma (shadows keep the skin's), or so dark that no shadow of a portrait is.
    """
    shape = lab.shape[:2]
    zone = _growing_zone(points, frame, shape) * person
    cheeks = _cheeks(points, frame, shape)
    if zone.sum() < 50 or cheeks.sum() < 50:
        return np.zeros(shape, np.float32)
    smooth = blur(lab, 0.008 * frame.width_px + 0.5)
    chroma = np.hypot(smooth[..., 1], smooth[..., 2])
    skin_lightness = _across_the_face(smooth[..., 0], cheeks, frame)
    skin_chroma = _across_the_face(chroma, cheeks, frame)
    darker = smoothstep(skin_lightness - smooth[..., 0], 0.6 * DARKER_BY, 1.6 * DARKER_BY)
    # Shaded skin darkens along its own hue: its chroma falls with its lightness, no faster.
    expected = skin_chroma * np.clip(smooth[..., 0] / np.maximum(skin_lightness, 1), 0.3, 1)
    tint = np.maximum(skin_chroma, 1)
    grayer = smoothstep(np.asarray((expected - chroma) / tint, np.float32), -0.02, 0.22)
    redder = smoothstep(np.asarray(chroma / tint, np.float32), 1.25, 1.6)
    much_darker = smoothstep(skin_lightness - smooth[..., 0], 1.4 * DARKER_BY, 2.4 * DARKER_BY)
    unlike_skin = np.maximum(darker * np.maximum(grayer, redder), much_darker)
    likely = zone * unlike_skin
    core = _core(points, frame, shape)
    moustache = core & (frame.down < frame.mouth) & (np.abs(frame.across) < 0.2)
    chin = core & (frame.down >= frame.mouth)
    if _share(likely, moustache) < MIN_MOUSTACHE_SHARE and _share(likely, chin) < MIN_CHIN_SHARE:
        return np.zeros(shape, np.float32)
    zone = np.maximum(zone, _under_the_nose(points, frame, shape) * person)
    likely = zone * unlike_skin
    if _share(likely, chin & (np.abs(frame.across) < 0.13)) < MIN_CHIN_SHARE:
        # A moustache alone: what is dark along the jaw is the face's own shadow.
        likely *= smoothstep(frame.down, frame.mouth + 0.07, frame.mouth + 0.03)
        likely *= smoothstep(np.abs(frame.across), 0.36, 0.3)
    likely = likely * _pieces_touching(likely > 0.35, core)
    closed = cv2.morphologyEx(likely.astype(np.float32), cv2.MORPH_CLOSE, disk(0.015 * frame.width_px))
    gray = to_gray(image)
    return (
        guided_filter(gray, np.asarray(closed, np.float32), max(2, round(0.015 * frame.width_px)), 1e-3) * zone
    ).astype(np.float32)


def _across_the_face(values: SoftMask, cheeks: HardMask, frame: FaceCoordinates) -> SoftMask:
    """Median of either cheek, blended over the middle of the face: light from the side leaves one half in shadow."""
    halves = [cheeks & (frame.across < 0), cheeks & (frame.across >= 0)]
    both = float(np.median(values[cheeks]))
    left, right = (float(np.median(values[half])) if half.sum() > 30 else both for half in halves)
    share = smoothstep(frame.across, -0.16, 0.16)
    return (left * (1 - share) + right * share).astype(np.float32)


def _growing_zone(points: FaceLandmarks, frame: FaceCoordinates, shape: tuple[int, int]) -> SoftMask:
    """Below the nose and along the cheeks' sides, inside the face and a little under the chin, without the lips."""
    face = landmark_mask(points, marks.FACE_OVAL, shape, grow=1.06)
    lips = landmark_mask(points, marks.LIPS_OUTER, shape, grow=1.04)
    lip_up = smoothstep(frame.down, frame.nose + 0.02, frame.nose + 0.06)
    whiskers = smoothstep(np.abs(frame.across), 0.24, 0.32) * smoothstep(frame.down, 0.05, 0.15)
    below = np.maximum(lip_up, whiskers)
    return (face * below * (1 - lips)).astype(np.float32)


def _under_the_nose(points: Floats, frame: FaceCoordinates, shape: tuple[int, int]) -> Floats:
    """From the nostrils' lower edge on: hair grows there too, but so dark is a shadow on a shaved lip as well."""
    nose = landmark_mask(points, marks.NOSE, shape, grow=1.0)
    lips = landmark_mask(points, marks.LIPS_OUTER, shape, grow=1.0)
    below = smoothstep(frame.down, frame.nose - 0.03, frame.nose) * smoothstep(
        frame.down, frame.mouth, frame.mouth - 0.02
    )
    return (below * smoothstep(np.abs(frame.across), 0.26, 0.2) * (1 - nose) * (1 - lips)).astype(np.float32)


def _core(points: FaceLandmarks, frame: FaceCoordinates, shape: tuple[int, int]) -> HardMask:
    """Upper lip and chin without the face's rim, whose shadows look like beards."""
    inner = landmark_mask(points, marks.FACE_OVAL, shape, grow=0.86)
    lips = landmark_mask(points, marks.LIPS_OUTER, shape, grow=1.12)
    return np.asarray((inner > 0.5) & (lips < 0.5) & (frame.down > frame.nose + 0.03) & (np.abs(frame.across) < 0.35))


def _share(likely: SoftMask, region: HardMask) -> float:
    return float(likely[region].mean()) if region.any() else 0.0


def _pieces_touching(mask: NDArray[np.bool_], core: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Connected pieces of a mask that lie in the core by a quarter at least."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    size = np.bincount(labels.ravel(), minlength=count)
    inside = np.bincount(labels[core], minlength=count)
    keep = inside >= 0.25 * size
    keep[0] = False
    return np.asarray(keep[labels])


def _cheeks(points: FaceLandmarks, frame: FaceCoordinates, shape: tuple[int, int]) -> HardMask:
    face = landmark_mask(points, marks.FACE_OVAL, shape, grow=0.9)
    band = (frame.down > 0.14) & (frame.down < frame.nose - 0.02) & (np.abs(frame.across) > 0.12)
    return (face > 0.9) & band

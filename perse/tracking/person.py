"""Matte of the person: a coarse network mask, sharpened by the picture's own colours and edges."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from perse.curves import smoothstep
from perse.shapes import ByteMask, HardMask, Picture, SoftMask
from perse.tracking.colors import blur, fit_mixture, guided_filter, to_gray, to_lab
from perse.tracking.detection import person_probability
from perse.tracking.matting import refine_alpha

WORK_PX = 256
GRABCUT_SEED = 1
GRABCUT_ROUNDS = 3
UNSURE_WIDTHS = 0.07
"""Half-width of the band around the network's outline that is decided by colour, in face widths."""
POSSIBLE = 0.3
"""Probability from which on something may be the person, whatever other opinions say."""


def disk(radius: float) -> UInt8[np.ndarray, "d d"]:
    """Structuring element of a radius in pixels."""
    size = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


BAND_WIDTHS = 0.035
"""Half-width of the band whose alpha is measured from colours, in face widths."""


def person_matte(
    image: Picture,
    face_width_px: float,
    face_hull: SoftMask,
    *,
    probability: SoftMask | None = None,
    possible: SoftMask | None = None,
    doubtful: SoftMask | None = None,
    work_px: int = WORK_PX,
    unsure_widths: float = UNSURE_WIDTHS,
) -> SoftMask:
    """Share [h, w] in [0, 1] of each pixel that is the person (hair and headwear included).

    Args:
        image: [h, w, 3] uint8 RGB.
        face_width_px: natural unit of distances.
        face_hull: [h, w] in [0, 1], certainly person.
        probability: [h, w], a network's opinion; by default that of the one for close portraits.
        possible: [h, w], where the person may be in spite of that opinion: colours decide there.
        doubtful: [h, w], where that opinion is not believed, however sure: colours decide there, too.
        work_px: longer side of the copy that colours are compared on.
        unsure_widths: half-width of the band around the network's outline that colours decide, in face widths.
    """
    height, width = image.shape[:2]
    scale = work_px / max(height, width)
    small_size = (round(width * scale), round(height * scale))
    small = np.asarray(cv2.resize(image, small_size, interpolation=cv2.INTER_AREA), np.uint8)
    probability = person_probability(image) if probability is None else probability
    nowhere = np.zeros_like(probability)
    likely, maybe, doubt = (
        np.asarray(cv2.resize(layer, small_size, interpolation=cv2.INTER_AREA), np.float32)
        for layer in (
            probability,
            probability if possible is None else possible,
            nowhere if doubtful is None else doubtful,
        )
    )
    hull = np.asarray(cv2.resize(face_hull, small_size, interpolation=cv2.INTER_AREA)) > 0.5
    rough = _grab_cut(small, likely, maybe > POSSIBLE, doubt > 0.5, hull, unsure_widths * face_width_px * scale)
    large = np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    gray = to_gray(image)
    soft = guided_filter(
        gray, np.clip(large, 0, 1).astype(np.float32), radius=max(3, round(0.03 * face_width_px)), epsilon=4e-4
    )
    # The filter leaves a haze over flat regions; the ends are pulled to 0 and 1, the edge stays soft.
    return np.maximum(smoothstep(soft, 0.08, 0.92), face_hull).astype(np.float32)


def soften_hair_edge(
    lab: Float32[np.ndarray, "h w 3"], person: SoftMask, hair: SoftMask, face_width_px: float
) -> SoftMask:
    """Matte [h, w] in [0, 1] with loose strands measured from colours, only where hair meets the background.

    Skin and cloth end in a line; there the colours on either side are often alike and would only add a haze.

    Args:
        hair: [h, w] in [0, 1], hair among the person's pixels.
    """
    band = BAND_WIDTHS * face_width_px
    inner = hair * (person > 0.5)
    nearby = blur(inner.astype(np.float32), band) / np.maximum(blur((person > 0.5).astype(np.float32), band), 1e-3)
    amount = smoothstep(nearby.astype(np.float32), 0.75, 0.97)
    return (person + amount * (refine_alpha(lab, person, band) - person)).astype(np.float32)


def _grab_cut(
    image: Picture, probability: SoftMask, possible: HardMask, doubtful: HardMask, hull: HardMask, unsure: float
) -> SoftMask:
    """Binary person mask [h, w] float32 after GrabCut in a band around the network's outline."""
    likely = (probability > 0.5).astype(np.uint8)
    likely[hull] = 1
    inner, outer = cv2.erode(likely, disk(unsure)), cv2.dilate(likely, disk(unsure))
    labels = np.where(likely > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[(outer == 0) & ~possible] = cv2.GC_BGD
    labels[((inner > 0) & ~doubtful) | hull] = cv2.GC_FGD
    disputed = ((likely == 0) & possible) | (doubtful & (outer > 0) & ~hull)
    if disputed.any():
        labels[disputed] = np.where(_like_person(image, labels)[disputed], cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    if (labels == cv2.GC_BGD).any() or (labels == cv2.GC_PR_BGD).any():
        cv2.setRNGSeed(GRABCUT_SEED)  # its k-means starts from OpenCV's own generator
        models = np.zeros((2, 1, 65))
        cv2.grabCut(
            image[..., ::-1].copy(), labels, (0, 0, 1, 1), models[0], models[1], GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK
        )
    mask = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    opened = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk(1)), np.uint8)
    return _main_component(opened, hull).astype(np.float32)


def _like_person(image: Picture, labels: ByteMask) -> HardMask:
    """Where colours [h, w, 3] are rather those of the certain person than of the certain background."""
    lab = to_lab(image)
    front, back = fit_mixture(lab[labels == cv2.GC_FGD], 5), fit_mixture(lab[labels == cv2.GC_BGD], 5)
    if front is None or back is None:
        return np.zeros(labels.shape, np.bool_)
    return np.asarray(front.log_likelihood(lab) > back.log_likelihood(lab))


def _main_component(mask: ByteMask, hull: HardMask) -> HardMask:
    """The component that the face belongs to, with its small holes filled."""
    _, labels = cv2.connectedComponents(mask)
    inside = labels[hull & (labels > 0)]
    if not len(inside):
        return mask > 0
    person = labels == np.bincount(inside).argmax()
    count, holes, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < 0.004 * mask.size
    small[0] = False
    return person | (small[holes] if count > 1 else False)

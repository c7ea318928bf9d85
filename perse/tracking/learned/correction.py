"""Skin that the part network sees and the colour models took for something else: hands, bare shoulders, a nape.

The network tells six kinds apart, and only its skin is used: measured on pictures that it was not trained on, what it
moved to the skin was right in 96 % of the pixels, what it moved to hair or headwear was mostly wrong
(docs/decisions/013). Only pieces on which it is sure are moved; where there are none, not a bit changes.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float32

from perse.curves import smoothstep
from perse.shapes import FaceLandmarks, HardMask, Picture
from perse.tracking.colors import guided_filter, to_gray
from perse.tracking.kinds import FoundKinds, PixelKind
from perse.tracking.learned.part_network import WORK_PX, PartInputs, PartNetwork, estimate_of

MOVED = (PixelKind.HAIR, PixelKind.CLOTHES, PixelKind.HEADWEAR)
"""What may become skin. Beards may not: they are drawn finer than the network sees."""
SURE_BY = 0.1
"""By how much skin must be likelier than what the colour models said."""
SURE_OF_PIECE = 0.5
"""By how much it must be likelier on the average of a piece: .77 on a hand and on bare shoulders, .42 on a pink
pullover below a pigtail."""
LEAST_RADIUS = 0.075
"""Face widths from a moved piece's innermost point to its edge. Whatever is thinner is an outline drawn elsewhere, and
along outlines the colour models and the matte see more than a network at 128 pixels."""


def with_missed_skin(
    found: FoundKinds, image: Picture, landmarks_px: FaceLandmarks, width_px: float, network: PartNetwork
) -> FoundKinds:
    """Kinds with pieces of hair, clothes and headwear moved to the skin; the very same object without any.

    Args:
        image: [h, h, 3], the picture that was parsed; width_px: of the face.
    """
    estimate = estimate_of(found.shares)
    with torch.inference_mode():
        likely = network(PartInputs.of(image, landmarks_px, estimate)).softmax(1)[0].numpy()
    pieces = skin_pieces(estimate, likely, width_px * WORK_PX / image.shape[0])
    if not pieces.any():
        return found
    large = np.asarray(cv2.resize(pieces.astype(np.float32), image.shape[1::-1]), np.float32)
    edged = guided_filter(to_gray(image), large, max(2, round(0.03 * width_px)), 1e-3)
    skin = smoothstep(edged, 0.25, 0.75)
    shares = found.shares.copy()
    for kind in MOVED:
        shares[PixelKind.SKIN] += skin * shares[kind]
        shares[kind] *= 1 - skin
    return replace(found, shares=shares)


def skin_pieces(
    estimate: Float32[np.ndarray, "k h w"], likely: Float32[np.ndarray, "k h w"], width_px: float
) -> HardMask:
    """Mask [s, s] where hair, clothes or headwear become skin.

    Args:
        estimate, likely: [k, s, s], probabilities before and after; width_px: of the face at this size.
    """
    before = estimate.argmax(0)
    wrong = np.isin(before, MOVED) & (likely.argmax(0) == PixelKind.SKIN)
    was = np.take_along_axis(likely, before[None], 0)[0]
    moved = wrong & (likely[PixelKind.SKIN] - was > SURE_BY)
    count, pieces = cv2.connectedComponents(moved.astype(np.uint8))
    size = np.bincount(pieces.ravel(), minlength=count)
    margin = np.bincount(pieces.ravel(), (likely[PixelKind.SKIN] - was).ravel(), minlength=count) / np.maximum(size, 1)
    depth = cv2.distanceTransform(np.pad(moved.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    thick = np.unique(pieces[moved & (depth > LEAST_RADIUS * width_px)])
    return moved & np.isin(pieces, thick[margin[thick] > SURE_OF_PIECE])

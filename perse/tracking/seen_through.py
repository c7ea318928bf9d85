"""Removal of the background that shows through loose hair from the person's matte, where the colours near by say so.

The person network counts everything between loose strands and the head as the person; a wall seen there would turn
with the hair, as a patch of the wall's colour. Wherever the wall's colour is a serious candidate, a pixel's alpha is
its place between the wall's and the hair's colours near by (the compositing equation): strands stay, the wall goes.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import HardMask, SoftMask
from perse.tracking.colors import blur, fit_mixture, guided_filter
from perse.tracking.matting import spread_color
from perse.tracking.person import disk
from perse.tracking.pieces import pieces_touching

Floats = NDArray[np.float32]

REACH_WIDTHS = 0.35
"""How far the background's colour is carried into the hair, face widths, standard deviation."""
CANDIDATE = -5.0
"""Log-likelihood by which a pixel's colour may be likelier in the hair than in the background near by and still be a
mixture of both: strands thinner than a pixel are."""
CERTAIN = -4.0
"""The same for hair that is certain, and teaches the hair's colour near by."""
NEAR_WIDTHS = 0.06
"""Over what distance colours of hair and background are carried, face widths."""
STRANDS = (0.4, 0.95)
"""Places between background (0) and hair (1) over which alpha rises: a wisp that is half wall would shine in the wall's
colour."""
NOISE = 40.0
"""Variance (CIELAB) that even a flat wall has in a JPEG."""
ALIKE = 2.5
LARGEST_SHARE = 0.35
"""When more of the hair than this looks like the background, the two cannot be told apart, and nothing is taken."""
LEAST_HUE = 25.0
"""Distance in a*, b* between background and hair: dark hair before a dark wall of its hue is not told apart by it. Less
is enough for hair of one hue before a plain wall, `ALIKE` of its own deviations: black hair before a blue wall, 18
away, varies by 5."""
PLAIN = 5.0
"""Deviation of a*, b* within a wall of one colour, its shading included."""
_LEAST_NEAR = 0.02


def without_background(
    lab: Float32[np.ndarray, "h w 3"], person: SoftMask, hair: SoftMask, width_px: float
) -> SoftMask:
    """Matte [h, w] without the background that it holds among the hair.

    Args:
        lab: [h, w, 3] CIELAB.
        person: [h, w] in [0, 1]; hair: [h, w], the share of hair among the person's pixels.
        width_px: of the face.
    """
    inside = (person > 0.5) & (hair > 0.5)
    core = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    smooth = blur(lab, 0.008 * width_px)
    background, alike = _background_likelihood(smooth, person, REACH_WIDTHS * width_px, smooth[core])
    # Hair that could be background would teach the hair's model the very colours that are in question.
    model = fit_mixture(lab[core & ~alike], 4)
    if model is None or (core & alike).sum() > LARGEST_SHARE * core.sum():
        return person
    likelier = background - model.log_likelihood(smooth)
    mixed = smoothstep(likelier - CANDIDATE, -1.0, 1.0) * smoothstep(hair, 0.3, 0.7) * (person > 0.02)
    mixed = guided_filter(np.asarray(lab[..., 0] / 100, np.float32), mixed, max(2, round(0.015 * width_px)), 1e-3)
    mixed = mixed * _beside_background(mixed > 0.5, person, width_px)
    if not mixed.any():
        return person
    alpha = _between(lab, _outside(person), core & (likelier < CERTAIN), NEAR_WIDTHS * width_px)
    return (person * (1 - smoothstep(mixed, 0.2, 0.6) * (1 - smoothstep(alpha, *STRANDS)))).astype(np.float32)


def _between(lab: Floats, back: NDArray[np.bool_], front: NDArray[np.bool_], sigma: float) -> Floats:
    """Where colours lie [h, w] between those of the background near by (0) and of the hair near by (1)."""
    behind = spread_color(lab, back, sigma)
    difference = spread_color(lab, front, sigma) - behind
    along = ((lab - behind) * difference).sum(-1) / np.maximum((difference * difference).sum(-1), 1e-3)
    return np.asarray(along, np.float32)


def _outside(person: SoftMask) -> HardMask:
    """[h, w], what is background for certain."""
    return np.asarray(cv2.dilate(person, np.ones((5, 5), np.uint8)) < 0.02)


def _background_likelihood(lab: Floats, person: Floats, reach: float, hair: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Log-likelihood [h, w] of each pixel's colour under the background around it, -inf where none is near or where its
    hue is that of hair [n, 3]; and where the colour lies within `ALIKE` deviations of it."""
    weight = _outside(person).astype(np.float32)
    near = blur(weight, reach)
    amount = np.maximum(near, 1e-4)[..., None]
    mean = blur(lab * weight[..., None], reach) / amount
    spread = np.maximum(blur(lab * lab * weight[..., None], reach) / amount - mean * mean, 0) + NOISE
    away = ((lab - mean) ** 2 / spread).sum(-1)
    value = -0.5 * (away + np.log(2 * np.pi * spread).sum(-1))
    plain = (spread[..., 1:] - NOISE).sum(-1) < PLAIN**2
    known = (near > _LEAST_NEAR) & _of_another_hue(mean[..., 1:], plain, hair[:, 1:])
    return np.where(known, value, -np.inf).astype(np.float32), known & (away < ALIKE**2)


def _of_another_hue(walls: Floats, plain: NDArray[np.bool_], hair: Floats) -> NDArray[np.bool_]:
    """Whether hues a*, b* of backgrounds [h, w, 2] are not those of hair [n, 2]: [h, w].

    Backgrounds of many colours, not `plain` [h, w], and those greyer than hair are left alone unless they are far away:
    a forest has some of hair's colours, and hair's shine has the light's, which is grey between the two.
    """
    if not len(hair):
        return np.asarray(np.linalg.norm(walls, axis=-1) > LEAST_HUE)
    own = np.median(hair, 0)
    apart = np.linalg.norm(walls - own, axis=-1)
    of_one_hue = ALIKE * float(np.sqrt(hair.var(0).sum() + NOISE / 2))
    sure = plain & (np.linalg.norm(walls, axis=-1) > np.linalg.norm(own))
    return np.asarray(apart > np.where(sure, min(LEAST_HUE, of_one_hue), LEAST_HUE))


def _beside_background(seen: HardMask, person: SoftMask, width_px: float) -> SoftMask:
    """1 on the pieces that reach the background and are more than a few strands wide, a little around them."""
    brush = disk(0.012 * width_px)
    opened = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_OPEN, brush)
    edge = cv2.dilate((person < 0.5).astype(np.uint8), brush) > 0
    return cv2.dilate(pieces_touching(opened > 0, edge).astype(np.float32), brush)

"""Bare shoulders under long hair: skin that the hair's colour model had swallowed.

A model of hair that is learned wherever hair hangs learns the shoulders between its strands too. So here it is learned
above the mouth alone, and among what hangs below, pixels of the face's own colours are given back to the skin.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from perse.curves import smoothstep
from perse.shapes import HardMask, SoftMask
from perse.tracking.colors import blur, fit_mixture, guided_filter
from perse.tracking.frame import FaceCoordinates

LIKELIER_BY = 4.0
"""Log-likelihood by which the colour must be the face's rather than the hair's: fair hair is as light as skin."""
UNUSUAL = 1.0
"""Percentile of the face's own log-likelihoods below which a colour is none of the face's."""
SMOOTHING_WIDTHS = 0.01


def bare_share(
    colors: Float32[np.ndarray, "h w 3"],
    hair: SoftMask,
    skin_seeds: HardMask,
    curtain: SoftMask,
    down: SoftMask,
    frame: FaceCoordinates,
) -> SoftMask:
    """Share [h, w] in [0, 1] of the hair that is bare skin instead; zeros outside of the curtain.

    Args:
        colors: [h, w, 3] CIELAB at half the picture's size, as everything here.
        hair: [h, w], the estimate. skin_seeds: [h, w], skin of the face for certain.
        curtain: [h, w] in [0, 1], where hair may hang. frame: of the whole picture.
    """
    smooth = blur(colors, 0.8)
    skin = fit_mixture(smooth[skin_seeds], 3)
    if skin is None:
        return np.zeros_like(hair)
    likely = skin.log_likelihood(smooth)
    usual = float(np.percentile(likely[skin_seeds], UNUSUAL))
    own = fit_mixture(smooth[(hair > 0.85) & (down < frame.mouth) & (likely < usual)], 4)
    if own is None:
        return np.zeros_like(hair)
    bare = smoothstep(likely - own.log_likelihood(smooth) - LIKELIER_BY, -1.5, 1.5) * smoothstep(
        likely, usual - 4, usual
    )
    bare = bare * smoothstep(down, frame.mouth, frame.chin)
    radius = max(2, round(SMOOTHING_WIDTHS * frame.width_px))
    return guided_filter(np.asarray(colors[..., 0] / 100, np.float32), bare, radius, 2e-3) * (curtain > 0)

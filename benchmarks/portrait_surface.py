"""What a person sees of a turned head, in numbers: holes, gaps beside the neck, and hair that nobody photographed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from scipy.spatial import cKDTree

from perse.attributes import Part
from perse.data import PortraitClip, TrackedPortrait
from perse.synthesis.procedural.animator import ProceduralAnimator
from perse.synthesis.procedural.animator.own_pose import take_own_pose
from perse.synthesis.procedural.animator.projection import prepare_photograph, project_texels

_MOUTH_OF_A_HOLE = 0.01
"""Holes that open to the outside by less than this share of the frame's side count as closed."""
_SEEN, _HIDDEN = 0.45, 0.1
"""Cosines of normal and view: a photograph shows the surface well, and as good as not."""
_NEAR_TEXELS = 60.0


@dataclass(frozen=True)
class SurfaceMeasures:
    """Faults of an animated portrait.

    Attributes:
        holes: transparent share of the person's filled outline, the worst view.
        gaps: transparent pixels that have the person on both sides in their row, as a share of the person, the worst
            view; what a photograph shows between arm and body counts too.
        grain: contrast of guessed hair over that of photographed hair; 1 is alike, 0 is a smear. None without hair.
        step: relative difference in brightness between guessed hair and the photographed hair next to it.
    """

    holes: float
    gaps: float
    grain: float | None
    step: float | None


def measure_surface(animator: ProceduralAnimator, portrait: TrackedPortrait, clip: PortraitClip) -> SurfaceMeasures:
    """All of them, of a clip that the animator made of the portrait."""
    grain, step = hair_measures(animator, portrait)
    return SurfaceMeasures(
        max(holes_of(alpha) for alpha in clip.alphas), max(gaps_of(alpha) for alpha in clip.alphas), grain, step
    )


def holes_of(alpha: NDArray[np.uint8]) -> float:
    """Transparent share of the filled outline of a frame's alpha [h, w]."""
    shown = alpha > 127
    size = 2 * round(_MOUTH_OF_A_HOLE * alpha.shape[0]) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    # Beyond the frame's lower edge a body goes on.
    padded = np.pad(shown.astype(np.uint8), ((size, 0), (size, size)))
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disk)[size:, size:-size]
    filled = binary_fill_holes(closed) | shown
    return float((filled & ~shown).sum() / max(filled.sum(), 1))


def gaps_of(alpha: NDArray[np.uint8]) -> float:
    """Pixels with the person to their left and right, but not at them, as a share of the person's pixels."""
    shown = alpha > 127
    left = np.maximum.accumulate(shown, 1)
    right = np.maximum.accumulate(shown[:, ::-1], 1)[:, ::-1]
    return float((left & right & ~shown).sum() / max(shown.sum(), 1))


def hair_measures(animator: ProceduralAnimator, portrait: TrackedPortrait) -> tuple[float | None, float | None]:
    """`grain` and `step` of the lifted head's texture."""
    lifted = animator.lift(portrait)
    surface = lifted.surface
    pose = take_own_pose(surface, lifted.head, lifted.camera, lifted.displacement)
    texels = project_texels(surface, pose, prepare_photograph(portrait.image, portrait.masks))
    height, width = surface.atlas_size
    hair = (lifted.labels[:height, :width] == Part.HAIR) & (surface.atlas.face >= 0)
    gray = lifted.texture[:height, :width, :3].astype(np.float32).mean(-1)
    tone, detail = _split(gray, hair)
    seen = hair & (texels.facing > _SEEN) & (texels.trust > 0.5)
    hidden = hair & (texels.facing < _HIDDEN)
    if min(seen.sum(), hidden.sum()) < 500:
        return None, None
    grain = float(np.std(detail[hidden]) / max(float(np.std(detail[seen])), 1e-3))
    border = hair & (np.abs(texels.facing) < _HIDDEN)
    away, nearest = cKDTree(np.argwhere(seen)).query(np.argwhere(border), distance_upper_bound=_NEAR_TEXELS)
    near = np.isfinite(away)
    if near.sum() < 100:
        return grain, None
    other = tone[seen][nearest[near]]
    return grain, float((np.abs(tone[border][near] - other) / np.maximum(other, 8)).mean())


def _split(gray: NDArray[np.float32], inside: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Brightness as a mean over a few texels of hair and what differs from it, relative to it."""
    weight = inside.astype(np.float32)
    total = np.maximum(cv2.GaussianBlur(weight, (0, 0), 5), 1e-4)
    tone = cv2.GaussianBlur(gray * weight, (0, 0), 5) / total
    return tone, (gray - tone) / np.maximum(tone, 8)

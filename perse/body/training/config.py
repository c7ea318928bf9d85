"""Numbers of a training of the body avatar. The source of each is named in docs/body.md#the-papers-numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from perse.losses import PictureLossConfig


@dataclass(frozen=True, kw_only=True)
class BodyLossConfig:
    """Weights of the losses."""

    image: PictureLossConfig = field(default_factory=lambda: PictureLossConfig(l1=0.8, ssim=0.2, alpha=0.0, scales=3))
    """Of the un-offset asset. SSIM of three octaves stands in for LPIPS, whose weights nobody may have."""
    refined_image: float = 0.1
    """The pose-refined asset's image term, relative to it."""
    seams: float = 0.1
    """Weight of the captured frame's pixels next to a seam, where one part of the body ends before another."""
    patches: float = 0.5
    """Image term of the photographed face or a hand, seen closely. The paper has .1 of a patch of 256²; ours is what
    holds the face together, since the whole picture is small."""
    captured_geometry: float = 0.1
    """Geometry terms of the captured frame: its geometry is a fit."""
    generated_geometry: float = 1.0
    """Geometry terms of generated frames."""
    mask: float = 1.0
    """Mean absolute difference of the silhouettes; in every frame, whatever the geometry's weight."""
    depth: float = 0.01
    """Scale-invariant logarithmic difference of depths."""
    normals: float = 0.1
    """L1 + (1 − cosine) of normals."""
    parts: float = 0.1
    """Mean absolute difference of part maps."""
    hands: float = 50.0
    """Weight of a hand's pixel in the geometry terms."""
    mean_laplacian: float = 1e5
    """Of the squared Laplacian of offsets, metres."""
    face_laplacian: float = 50.0
    """Relative, on the face."""
    hand_laplacian: float = 10.0
    """Relative, on the hands."""
    scale_laplacian: float = 0.05
    """Of the squared Laplacian of the logarithms of scales."""
    auxiliary_laplacian: float = 20.0
    """Of the squared Laplacian of the auxiliary colour: a tint is smooth, a pattern on a shirt is not."""
    fitted_colors: float = 0.2
    """Of the squared distance of colours from the fitted surface's. A point that lies behind others has a hundredth of
    a seen one's gradient, of which Adam makes a whole step: without this it learns what those in front get wrong."""
    unseen_colors: float = 20.0
    """How much more of it a point has that the photograph does not show well: the fitted surface weighs pixels by the
    angle that they show it at, and a photograph's frame knows nothing better. Without it jaws and temples were
    patched with the colours of what the outline shows beside them (docs/body.md#measured). 0 for an animator that
    invents what the photograph does not show: there its frames know better."""
    fitted_scales: float = 0.4
    """Of the squared difference of scales' logarithms from the first ones: at silhouettes, which are half a pixel too
    wide, points shrank to .6 of their size, and between them the background was seen from the side."""
    auxiliary: float = 0.02
    """Of the squared auxiliary colour."""


@dataclass(frozen=True, kw_only=True)
class BodyTrainingConfig:
    """One training run."""

    epochs: int = 5
    """Over the generated frames."""
    rate: float = 1e-3
    """Adam's, of offsets, triplane and MLP."""
    fast: float = 10.0
    """Factor for scales and colours."""
    color_epsilon: float = 1e-6
    """Adam's, for those: with the usual 1e-8, a face's colours wander where a small picture cannot tell them
    apart."""
    places: float = 0.2
    """Factor for the points' own offsets, which the paper's networks give instead: Adam would move each of them a
    millimetre in its own direction at the first step."""
    final_rate: float = 0.1
    """The rate at the end, relative to the first; it falls as a cosine."""
    balanced: bool = True
    """Whether the captured frame is repeated to one for every generated frame; otherwise it is one frame of many."""
    losses: BodyLossConfig = field(default_factory=BodyLossConfig)
    """Weights of the losses."""
    seed: int = 0
    """Of the order of frames and of the networks."""


def unweighted() -> BodyLossConfig:
    """Without geometry weighting, for the ablation: the image decides everywhere, geometry nowhere but the mask."""
    return BodyLossConfig(
        refined_image=1.0, seams=1.0, captured_geometry=0.0, generated_geometry=0.0, hands=1.0, mask=0.1,
    )  # fmt: skip

"""Correction of the fitted head's ear lobes to where the photograph shows them.

No landmark lies on an ear, and a degree of error in the head's nod moves the ears by two pixels: without this the
photograph's ears are painted beside the model's, and earrings hang in the air.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from perse.attributes import Part
from perse.data import PartMasks
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, Region, blend_transforms, pose_head
from perse.render.mesh import project_vertices, rasterize_mesh
from perse.shapes import FaceLandmarks, HardMask
from perse.tracking import landmarks as marks
from perse.tracking.polygons import landmark_mask


@dataclass(frozen=True, kw_only=True)
class EarConfig:
    """Limits of moving ears: how far, and when."""

    max_shift: float = 0.12
    """Largest shift of a lobe, in face widths; more is not an ear but a misread mask."""
    min_area: float = 0.003
    """Least visible area of an ear, in squared face widths."""
    top_share: float = 0.35
    """How much of the lobe's shift the ear's upper rim takes part in: ears are longer more often than lower."""
    held_m: float = 0.006
    """Skin nearer than this to a landmark stays where it is, metres."""
    free_m: float = 0.016
    """Skin farther than this from every landmark moves along, metres."""
    spread_rounds: int = 6
    """Smoothing steps that let the skin around the ear follow."""


def align_ears(
    model: HeadModel,
    head: HeadParameters,
    camera: Camera,
    masks: PartMasks,
    landmarks_px: FaceLandmarks,
    config: EarConfig | None = None,
) -> HeadParameters:
    """The head with its ears moved along the picture's vertical; unchanged where no ear can be measured.

    Args:
        head: a single frame; camera: of the picture that `masks` and `landmarks_px` belong to.
    """
    config = config or EarConfig()
    on_ear = model.regions == Region.EARS
    if not on_ear.any():
        return head
    posed = pose_head(model, head)
    outside = landmark_mask(landmarks_px, marks.FACE_OVAL, masks.person.shape, grow=1.02) < 0.5
    drawn = _drawn_ears(model, posed.vertices, camera) & outside
    seen = (masks[Part.EARS] > 0.5) & outside
    middle = float(landmarks_px[: marks.N_SURFACE, 0].mean())
    width = float(np.ptp(landmarks_px[: marks.N_SURFACE, 0]))
    columns = np.arange(seen.shape[1]) + 0.5
    pixels, depth = camera.project(posed.vertices)
    move = torch.zeros_like(posed.vertices)
    loose = _away_from_landmarks(model, posed.vertices, config)
    for on_picture_left in (True, False):
        side = (columns < middle) == on_picture_left
        shift = _lobe_shift(seen & side, drawn & side, width, config)
        own = on_ear & ((pixels[:, 0] < middle) == on_picture_left)
        if shift == 0 or not own.any():
            continue
        top, bottom = pixels[own, 1].min(), pixels[own, 1].max()
        share = config.top_share + (1 - config.top_share) * ((pixels[:, 1] - top) / (bottom - top)).clamp(0, 1)
        metres = shift * depth / camera.intrinsics[1, 1]
        soft = _soften(own, model.faces, config.spread_rounds).to(share) * loose
        move[:, 1] -= soft * share * metres  # the picture's y points down
    if not move.any():
        return head
    rotation = blend_transforms(posed.transforms, model.skinning_weights)[..., :3, :3]
    offsets = head.vertex_offsets + torch.linalg.solve(rotation, move[..., None])[..., 0]
    return HeadParameters(head.betas, offsets, head.expression, head.pose)


def _drawn_ears(model: HeadModel, vertices: Float[Tensor, "n 3"], camera: Camera) -> HardMask:
    """Pixels at which the model shows an ear."""
    faces = model.faces.numpy().astype(np.int32)
    fragments = rasterize_mesh(project_vertices(vertices.numpy(), camera), faces, camera.width, camera.height)
    ear_face = (model.regions[model.faces] == Region.EARS).all(1).numpy()
    return np.asarray((fragments.face >= 0) & ear_face[fragments.face])


def _lobe_shift(seen: HardMask, drawn: HardMask, width: float, config: EarConfig) -> float:
    """How far the lobe must move down, pixels; 0 where it cannot be measured."""
    if min(seen.sum(), drawn.sum()) < config.min_area * width**2:
        return 0.0
    shift = _bottom(seen) - _bottom(drawn)
    return shift if abs(shift) <= config.max_shift * width else 0.0


def _bottom(mask: HardMask) -> float:
    """Row below which 3 % of a mask lie: its lower end without stray pixels."""
    return float(np.percentile(np.nonzero(mask)[0], 97))


def _away_from_landmarks(model: HeadModel, vertices: Float[Tensor, "n 3"], config: EarConfig) -> Float[Tensor, " n"]:
    """[v] in [0, 1]: 0 at the landmarks, which are fitted already, 1 far enough from them."""
    nearest = torch.cdist(vertices, model.landmarks(vertices)).amin(1)
    t = ((nearest - config.held_m) / (config.free_m - config.held_m)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _soften(own: Bool[Tensor, " n"], faces: Int[Tensor, "f 3"], rounds: int) -> Float[Tensor, " n"]:
    """[v] in [0, 1]: 1 on the ear, fading over the skin around it."""
    weight = own.double()
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = torch.cat([edges, edges.flip(1)])
    degree = torch.zeros_like(weight).index_add_(0, edges[:, 0], torch.ones(len(edges), dtype=weight.dtype))
    for _ in range(rounds):
        total = torch.zeros_like(weight).index_add_(0, edges[:, 0], weight[edges[:, 1]])
        weight = torch.maximum(own.double(), 0.5 * weight + 0.5 * total / degree.clamp(min=1))
    return weight

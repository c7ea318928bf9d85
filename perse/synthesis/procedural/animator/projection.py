"""Projection of the surface into the photograph: the pixel that shows a point, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import PartMasks
from perse.render.mesh import project_vertices
from perse.shapes import ByteMask, Field, Picture
from perse.synthesis.procedural.animator.fill import push_pull
from perse.synthesis.procedural.animator.hair_volume import COVERS, sum_of
from perse.synthesis.procedural.animator.own_pose import OwnPose, sample
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.tracking.person import disk

_HELD_PX, _SHADE_PX = 2, 28
"""How far beyond a hand its soft edge reaches, and the shade that it casts: two fingers wide."""
_LEAST_HAND_PX = 150
_SPECK = 0.02
"""Pieces of clothes smaller than this share of the largest one are flecks of the masks."""


@dataclass(frozen=True)
class PreparedPhotograph:
    """Photograph that is prepared for projection.

    Attributes:
        rgb: [h, w, 3] float32; the person's colours, continued over the background so that no halo is picked up.
        masks: part masks.
        matte: [h, w] float32, the person's alpha.
        solid: [h, w] float32, 1 well inside the person.
        cover: [h, w] float32, hair and headwear.
        clothes: [h, w] float32, without specks.
        hanging: [h, w] float32, hair and beard.
        held: [h, w] float32, 1 on hands before the head; shaded: [h, w], 1 next to them, where they cast a shade.
    """

    rgb: Float32[NDArray[np.float32], "h w 3"]
    masks: PartMasks
    matte: Float32[NDArray[np.float32], "h w"]
    solid: Float32[NDArray[np.float32], "h w"]
    cover: Float32[NDArray[np.float32], "h w"]
    clothes: Float32[NDArray[np.float32], "h w"]
    hanging: Float32[NDArray[np.float32], "h w"]
    held: Float32[NDArray[np.float32], "h w"]
    shaded: Float32[NDArray[np.float32], "h w"]


def prepare_photograph(image: Picture, masks: PartMasks) -> PreparedPhotograph:
    """Photograph whose colours at the person's outline are free of the background."""
    matte = (masks.person / 255).astype(np.float32)
    core = cv2.erode((matte > 0.9).astype(np.float32), np.ones((3, 3), np.uint8))
    rgb = image.astype(np.float32)
    near = cv2.dilate((matte > 0.02).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    extended = push_pull(rgb, core)
    keep = cv2.GaussianBlur(core, (0, 0), 0.8)[..., None]
    clean = np.where(near[..., None], keep * rgb + (1 - keep) * extended, extended)
    hand = _hands(masks)
    return PreparedPhotograph(
        rgb=clean.astype(np.float32),
        masks=masks,
        matte=matte,
        solid=cv2.GaussianBlur(core, (0, 0), 0.7),
        cover=sum_of(masks, COVERS),
        clothes=_garment(masks),
        hanging=sum_of(masks, (Part.HAIR, Part.BEARD)),
        held=_grown(hand, _HELD_PX, soft_px=1.0),
        shaded=_grown(hand, _SHADE_PX, soft_px=6.0),
    )


def _hands(masks: PartMasks) -> NDArray[np.uint8]:
    """Hands before the head, [h, w] of 0 or 1: skin of the body that reaches higher than the mouth."""
    skin = (masks.labels == Part.NECK).astype(np.uint8)
    mouth = np.nonzero(masks.labels == Part.MOUTH)[0]
    if not len(mouth):
        return np.zeros_like(skin)
    pieces = cv2.connectedComponents(skin)[1]
    above = np.bincount(pieces[: int(mouth.mean())].ravel(), minlength=int(pieces.max()) + 1)
    hands = 1 + np.nonzero(above[1:] > _LEAST_HAND_PX)[0]
    return np.isin(pieces, hands).astype(np.uint8)


def _grown(mask: ByteMask, by_px: int, soft_px: float) -> Field:
    """A mask [h, w] grown by so many pixels, with a soft edge."""
    if not mask.any():
        return mask.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(cv2.dilate(mask, disk(by_px)).astype(np.float32), (0, 0), soft_px), np.float32)


def _garment(masks: PartMasks) -> Field:
    """Clothes without specks [h, w]: a mole or a necklace's shade on the throat is no collar, and is no hole in it."""
    found = (masks[Part.CLOTHES] > 0.3).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(found)
    if count < 3:
        return masks[Part.CLOTHES]
    sizes = stats[:, cv2.CC_STAT_AREA]
    specks = 1 + np.nonzero(sizes[1:] < _SPECK * sizes[1:].max())[0]
    near = cv2.dilate(np.isin(pieces, specks).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    gone = near & np.isin(pieces, [0, *specks])
    return np.where(gone, 0, masks[Part.CLOTHES]).astype(np.float32)


@dataclass(frozen=True)
class Projection:
    """Points of the surface in the photograph.

    Attributes:
        pixels: [..., 2] positions in the picture.
        trust: [...] in [0, 1]; 0 where the picture does not show the point.
        facing: [...] cosine between normal and view.
    """

    pixels: Float32[NDArray[np.float32], "... 2"]
    trust: Float32[NDArray[np.float32], " ..."]
    facing: Float32[NDArray[np.float32], " ..."]


def project_points(
    pose: OwnPose,
    picture: PreparedPhotograph,
    points: Float32[NDArray[np.float32], "*n 3"],
    facing: Float32[NDArray[np.float32], "*n"],
    share: Float32[NDArray[np.float32], "*n"],
) -> Projection:
    """Projection of points [..., 3] of the surface.

    Args:
        facing: [...] cosine between normal and view.
        share: [...] how far the point follows the head (1) rather than the body (0).
    """
    flat = project_vertices(points.reshape(-1, 3), pose.camera).reshape(points.shape)
    pixels = flat[..., :2]
    seen = pose.visible(flat)
    covered = sample(picture.cover, pixels)
    # Hair is trusted nearer to its outline than skin, but not up to it: a turn by 40 degrees stretches what is seen at
    # a cosine of .1 more than tenfold, the background between its strands included.
    ramp = covered * smoothstep(facing, 0.12, 0.36) + (1 - covered) * smoothstep(facing, 0.12, 0.42)
    solid = np.clip(2 * sample(picture.solid, pixels) - 1 + 0.6 * covered, 0, 1)
    clothes = np.clip(2 * sample(picture.clothes, pixels), 0, 1) * smoothstep(share, 0.85, 0.97)
    # Hair and beard before the neck hang from the head (see `hanging`): they are not painted on the neck.
    clothes = clothes + sample(picture.hanging, pixels) * (1 - smoothstep(share, 0.75, 0.9))
    x, y = pixels[..., 0], pixels[..., 1]
    inside = (x > 0.5) & (y > 0.5) & (x < pose.camera.width - 0.5) & (y < pose.camera.height - 0.5)
    trust = ramp * solid * np.clip(1 - clothes, 0, 1) * (seen & inside)
    if picture.held.any():
        trust = trust * (1 - sample(picture.held, pixels))
    return Projection(pixels, trust.astype(np.float32), np.asarray(facing, np.float32))


def project_texels(surface: HeadSurface, pose: OwnPose, picture: PreparedPhotograph) -> Projection:
    """Projection of every texel of the atlas, [h, w, …]; trust is 0 outside the charts and softened where visibility
    ends.

    Texels outside of the charts lie in the middle of the head, with a cosine of 0.
    """
    values = np.concatenate([pose.vertices, pose.facing[:, None], surface.head_share[:, None]], 1)
    inside = surface.atlas.face >= 0
    texels = surface.on_texels(values)[inside]  # half of the atlas is empty
    found = project_points(pose, picture, texels[:, :3], texels[:, 3], texels[:, 4])
    pixels = np.empty((*inside.shape, 2), np.float32)
    pixels[:] = project_vertices(np.zeros((1, 3), np.float32), pose.camera)[:, :2]  # the middle of the head
    facing, hard = np.zeros(inside.shape, np.float32), np.zeros(inside.shape, np.float32)
    pixels[inside], facing[inside], hard[inside] = found.pixels, found.facing, found.trust
    # Visibility is decided texel by texel: close pinholes, then let the trust fall off instead of ending.
    closed = cv2.morphologyEx(hard, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    soft = np.minimum(closed, cv2.blur(cv2.erode(closed, np.ones((5, 5), np.uint8)), (5, 5)))
    return Projection(pixels, np.where(inside, soft, 0).astype(np.float32), facing)


def project_mesh(surface: HeadSurface, pose: OwnPose, picture: PreparedPhotograph) -> Projection:
    """Projection of every vertex of the drawn mesh, [n, …]; trust is 0 for inner surfaces."""
    projection = project_points(pose, picture, pose.vertices, pose.facing, surface.head_share)
    return replace(projection, trust=projection.trust * surface.outer)

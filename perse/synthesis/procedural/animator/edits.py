"""Lifting of an edit onto the reference: what it does not touch stays bit for bit the reference's.

Training compares subjects frame by frame, so neither shape nor texture outside an edit may wander because the edit was
lifted by itself. What is *touched* follows from the edit's mask: seen vertices and texels look it up where they lie in
the picture, hidden ones continue it over the mesh, as their colours do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import PartMasks, TrackedPortrait
from perse.shapes import Field
from perse.synthesis.procedural.animator.body import BodyLayer
from perse.synthesis.procedural.animator.eyelids import ClosedLid
from perse.synthesis.procedural.animator.follow import follow_landmarks
from perse.synthesis.procedural.animator.hair_volume import sum_of
from perse.synthesis.procedural.animator.harmonic import extend
from perse.synthesis.procedural.animator.lift import Geometry, LiftConfig, dress, shape_head
from perse.synthesis.procedural.animator.lifted import LiftedPortrait
from perse.synthesis.procedural.animator.own_pose import sample_nearest, take_own_pose
from perse.synthesis.procedural.animator.projection import PreparedPhotograph, prepare_photograph, project_texels
from perse.tracking.crop import FADE_WIDTHS
from perse.tracking.person import disk
from perse.tracking.spectacles import without_spectacles

_REACH_PX = 3
"""Interpolation carries an edit this far beyond its mask."""
_WORN = 0.5
"""Share of a pixel that a garment or the neck has, from which on the edit shows the person there."""
_CLOTHES_CHANGED = 0.05
"""Share of the clothes that an edit must touch before what they hide under the head changes with them."""


@dataclass(frozen=True)
class EditedPicture:
    """Edit as an image.

    Attributes:
        image: [h, w, 3] uint8; masks: its part masks; edit_mask: [h, w] uint8, where it may differ.
        reshaped: whether it moves features of the face, which the mesh must follow.
    """

    image: UInt8[NDArray[np.uint8], "h w 3"]
    masks: PartMasks
    edit_mask: UInt8[NDArray[np.uint8], "h w"]
    reshaped: bool = False


def lift_edit(
    portrait: TrackedPortrait, reference: LiftedPortrait, edited: EditedPicture, config: LiftConfig
) -> LiftedPortrait:
    """Lifted edit of a portrait whose reference has been lifted."""
    surface = reference.surface
    picture = prepare_photograph(without_spectacles(edited.image, reference.spectacles), edited.masks)
    mask = cv2.dilate((edited.edit_mask > 0).astype(np.float32), np.ones((2 * _REACH_PX + 1,) * 2, np.uint8))
    shape = shape_head(surface, portrait, picture, config)
    if edited.reshaped:
        pose = take_own_pose(surface, portrait.head, portrait.camera, reference.displacement)
        follow = follow_landmarks(surface, portrait, pose, edited.image, mask)
        shape = replace(shape, displacement=shape.displacement + follow)
    touched = _touched_vertices(portrait, reference, shape, picture, mask)
    geometry = Geometry(
        cover=_mixed(reference.cover, shape.cover, touched),
        displacement=_mixed(reference.displacement, shape.displacement, touched),
    )
    alone = dress(surface, with_garment(portrait, edited), picture, geometry, reference.light, reference.spectacles)
    texels = _touched_texels(portrait, reference, geometry, picture, mask, touched)
    texture, rim, labels = alone.texture.copy(), alone.rim.copy(), alone.labels.copy()
    dressed = alone.dressed.copy()
    height, width = surface.atlas_size
    atlas = slice(0, height), slice(0, width)
    texture[atlas] = _mixed_bytes(reference.texture[atlas], alone.texture[atlas], texels)
    dressed[atlas] = _mixed_bytes(reference.dressed[atlas], alone.dressed[atlas], texels)
    rim[atlas] = _mixed_bytes(reference.rim[atlas], alone.rim[atlas], texels)
    labels[atlas] = np.where(texels > 0.5, alone.labels[atlas], reference.labels[atlas])
    return replace(
        alone,
        texture=texture,
        dressed=dressed,
        rim=rim,
        labels=labels,
        lids=tuple(_mixed_lid(before, after, texels) for before, after in zip(reference.lids, alone.lids, strict=True)),
        body=_mixed_body(reference, alone.body, picture, mask),
    )


def with_garment(portrait: TrackedPortrait, edited: EditedPicture) -> TrackedPortrait:
    """A portrait that shows the person also where an edit has drawn a garment, or the neck in its opening, beyond the
    photograph's border, and so far around that it does not fade out there. Of a hoodie put on in a crop that ends at
    the neck only the hood was left."""
    body = edited.masks[Part.CLOTHES] + edited.masks[Part.NECK]
    drawn = (edited.edit_mask > 0) & (body > _WORN) & (portrait.inside == 0)
    if not drawn.any():
        return portrait
    around = cv2.dilate(drawn.astype(np.uint8), disk(FADE_WIDTHS * portrait.face_width_px))
    return replace(portrait, inside=np.where(around > 0, np.uint8(255), portrait.inside))


def _touched_vertices(
    portrait: TrackedPortrait, reference: LiftedPortrait, shape: Geometry, picture: PreparedPhotograph, mask: Field
) -> Float32[np.ndarray, " n"]:
    """How much of every vertex belongs to the edit, [n]: seen before or after, it lies in the mask; hidden, near it."""
    surface = reference.surface
    value = np.zeros(len(surface.rest), np.float32)
    known = np.zeros_like(value)
    for displacement in (reference.displacement, shape.displacement):
        pose = take_own_pose(surface, portrait.head, portrait.camera, displacement)
        seen = surface.outer & (pose.facing > 0.1) & pose.visible(pose.pixels)
        inside = sample_nearest(mask, pose.pixels[:, :2], outside=0.0)
        # A neck behind new hair or a new beard is hidden, not changed.
        hidden = sample_nearest(picture.hanging, pose.pixels[:, :2], outside=0.0)
        inside = inside * (1 - (hidden > 0.02) * (surface.head_share < 0.8))
        value = np.maximum(value, seen * inside)
        known = np.maximum(known, seen.astype(np.float32))
    continued = smoothstep(extend(value, 4 * known, surface.average, surface.outer), 0.3, 0.7)
    return np.where(known > 0, value, continued).astype(np.float32)


def _touched_texels(
    portrait: TrackedPortrait,
    reference: LiftedPortrait,
    geometry: Geometry,
    picture: PreparedPhotograph,
    mask: Float32[np.ndarray, "ph pw"],
    touched: Float32[np.ndarray, " n"],
) -> Field:
    """How much of every texel belongs to the edit, [h, w]."""
    surface = reference.surface
    pose = take_own_pose(surface, portrait.head, portrait.camera, geometry.displacement)
    texels = project_texels(surface, pose, picture)
    looked_up = (texels.trust > 0) * sample_nearest(mask, texels.pixels, outside=0.0)
    continued = (texels.trust < 0.999) * surface.on_texels(touched[:, None])[..., 0]
    return np.maximum(looked_up, continued).astype(np.float32)


def _mixed(
    before: Float32[np.ndarray, "..."], after: Float32[np.ndarray, "..."], share: Float32[np.ndarray, "..."]
) -> Float32[np.ndarray, "..."]:
    """Exactly `before` where the share is 0."""
    share = share.reshape(*share.shape, *(1,) * (before.ndim - share.ndim))
    return np.where(share > 0, before + share * (after - before), before).astype(np.float32)


def _mixed_bytes(
    before: UInt8[np.ndarray, "..."], after: UInt8[np.ndarray, "..."], share: Float32[np.ndarray, "..."]
) -> UInt8[np.ndarray, "..."]:
    return np.round(_mixed(before.astype(np.float32), after.astype(np.float32), share)).astype(np.uint8)


def _mixed_lid(before: ClosedLid, after: ClosedLid, texels: Field) -> ClosedLid:
    height, width = before.rgb.shape[:2]
    share = texels[before.top : before.top + height, before.left : before.left + width]
    return replace(before, rgb=_mixed(before.rgb, after.rgb, share))


def _mixed_body(reference: LiftedPortrait, body: BodyLayer, picture: PreparedPhotograph, mask: Field) -> BodyLayer:
    """The body changes inside the mask; what it hides behind the head changes along with the clothes."""
    before = reference.body
    clothes = picture.masks[Part.CLOTHES]
    # What hair, beard or hat hide of the body is known from the reference.
    own = sum_of(picture.masks, (Part.CLOTHES, Part.NECK, Part.BACKGROUND))
    worn = cv2.dilate((own < 0.97).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    share = np.where(worn, 0, mask).astype(np.float32)
    if float((clothes * mask).sum()) > _CLOTHES_CHANGED * float(clothes.sum()):
        share = np.maximum(share, (before.labels == Part.CLOTHES) & (clothes < 0.5))
    return BodyLayer(
        rgb=_mixed(before.rgb, body.rgb, share),
        alpha=_mixed(before.alpha, body.alpha, share),
        labels=np.where(share > 0.5, body.labels, before.labels),
        depth=before.depth,
    )

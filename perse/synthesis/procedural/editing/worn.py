"""Hats, headphones and earrings on the portrait: in 3D for the animator, and drawn into the photograph.

The finished picture is made with the same drawing code as the animation, at the portrait's own pose: the fitted head
hides what is behind it, attachments cast their shadow on the photograph, and the photograph's grain is laid over them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float64, Shaped
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import Attachment, AttributePrompt, PartMasks, TrackedPortrait, Underlay
from perse.head import HeadModel
from perse.shapes import Colors, Field
from perse.synthesis.procedural.attachments.earrings import build_earrings
from perse.synthesis.procedural.attachments.hats import build_hat, rim_plane
from perse.synthesis.procedural.attachments.headphones import build_headphones
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.editing.canvas import blur, grain
from perse.synthesis.procedural.editing.head_view import SUPERSAMPLING, HeadView, reduced
from perse.synthesis.procedural.editing.painted import PaintedEdit, unchanged
from perse.synthesis.procedural.editing.shortcut import trim_hair_under_hat
from perse.synthesis.procedural.scene import FrameBuffers, bake_occlusion, draw_attachments, shadows_on


def wear_hat(portrait: TrackedPortrait, prompt: AttributePrompt, head_model: HeadModel) -> PaintedEdit:
    """Portrait in the hat that the prompt describes; hair above its rim goes.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    view = HeadView.of(portrait, head_model)
    skull = Skull.fit(head_model, portrait.head)
    trimmed = trim_hair_under_hat(portrait, head_model, rim_plane(prompt), view=view, skull=skull)
    hat = build_hat(skull, prompt)
    # Hair beside the head, below the rim, hides the far side of a brim.
    return put_on(portrait, trimmed, hat, view, seed=prompt.seed, hair_depth_m=view.depth_m(skull.centre))


def wear_headphones(portrait: TrackedPortrait, prompt: AttributePrompt, head_model: HeadModel) -> PaintedEdit:
    """Portrait in the headphones that the prompt describes, over the hair.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    view = HeadView.of(portrait, head_model)
    skull = Skull.fit(head_model, portrait.head)
    headphones = build_headphones(skull, prompt, hair_cover(portrait, view, skull))
    return put_on(portrait, unchanged(portrait), headphones, view, seed=prompt.seed)


def wear_earrings(portrait: TrackedPortrait, prompt: AttributePrompt, head_model: HeadModel) -> PaintedEdit:
    """Portrait with the earrings that the prompt describes at the lobes; in front of the hair where it covers them.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    view = HeadView.of(portrait, head_model)
    skull = Skull.fit(head_model, portrait.head)
    earrings = build_earrings(skull, prompt, _hair_over_lobes(portrait, view, skull))
    return put_on(portrait, unchanged(portrait), earrings, view, seed=prompt.seed)


def put_on(
    portrait: TrackedPortrait,
    underlay: PaintedEdit,
    attachments: tuple[Attachment, ...],
    view: HeadView,
    *,
    seed: int,
    hair_depth_m: float | None = None,
    body_depth_m: float | None = None,
) -> PaintedEdit:
    """Portrait with attachments drawn into the picture that they stand on.

    Args:
        underlay: the portrait without what is in the way.
        seed: of the grain.
        hair_depth_m: camera depth of hair that is seen beside the head, where it may hide attachments; None: never.
        body_depth_m: camera depth of clothes and neck, which hide what hangs behind them (long hair); None: never.
    """
    baked = bake_occlusion(attachments, view.rest, view.faces, view.light)
    shadow = view.spread(shadows_on(view.rest, view.rest_normals, baked, view.light))
    lit = underlay.image.astype(np.float32) * blur(shadow, 0.8)[..., None]
    buffers = _buffers(lit, underlay.masks, view, hair_depth_m, body_depth_m)
    fine = view.camera.resized(SUPERSAMPLING * view.camera.width, SUPERSAMPLING * view.camera.height)
    draw_attachments(buffers, baked, view.neck_transform, fine, view.light)
    drawn = reduced(buffers.rgb)
    shares = {part: reduced((buffers.parts == part).astype(np.float32)) for part in {item.part for item in baked}}
    worn = np.clip(sum(shares.values(), np.zeros(lit.shape[:2], np.float32)), 0, 1)
    drawn = drawn + 0.5 * grain(portrait, np.random.default_rng(seed)) * worn[..., None]
    touched = (np.abs(drawn - underlay.image) > 0.5).any(-1) | (worn > 0)
    image = np.where(touched[..., None], np.round(drawn).clip(0, 255).astype(np.uint8), underlay.image)
    changed = (image != portrait.image).any(-1) | (worn > 0)
    edit_mask = np.maximum(underlay.edit_mask, 255 * changed.astype(np.uint8))
    return PaintedEdit(
        image=image,
        masks=_worn_masks(underlay.masks, shares),
        edit_mask=edit_mask,
        attachments=baked,
        underlay=Underlay(underlay.image, underlay.masks),
    )


def hair_cover(
    portrait: TrackedPortrait, view: HeadView, skull: Skull
) -> Callable[[Float64[NDArray[np.float64], "*n 3"]], Float64[NDArray[np.float64], "*n"]]:
    """Radius of the hair from the skull's centre, by direction in rest space, read off the outline in the picture.

    The outline tells the thickness across the line of sight; towards the face it tapers off.
    """
    ratio = _outline_ratio(portrait, view, skull)
    angles = np.linspace(-np.pi, np.pi, len(ratio))

    def reach(towards: Float64[NDArray[np.float64], "*n 3"]) -> Float64[NDArray[np.float64], "*n"]:
        around = np.arctan2(towards[..., 0], towards[..., 1])
        forward = towards[..., 2] / np.maximum(np.linalg.norm(towards, axis=-1), 1e-9)
        share = np.clip((0.75 - forward) / 0.5, 0, 1)
        return np.asarray(skull.radius(towards) * (1 + (np.interp(around, angles, ratio) - 1) * share))

    return reach


def _outline_ratio(portrait: TrackedPortrait, view: HeadView, skull: Skull) -> Float64[NDArray[np.float64], "73"]:
    """Radius of the head with hair over that of the bare one, [73] by angle from the crown to the person's left."""
    angles = np.linspace(-np.pi, np.pi, 73)
    hairy = np.clip(portrait.masks[Part.HAIR] + portrait.masks[Part.HEADWEAR] + portrait.masks[Part.HEADPHONES], 0, 1)
    head = np.maximum(hairy, view.coverage)
    around = np.stack([np.sin(angles), np.cos(angles), np.zeros_like(angles)], 1)
    bare = skull.radius(around)
    steps = np.linspace(0.6, 1.9, 66)
    points = skull.centre + around[:, None] * (bare[:, None] * steps)[..., None]
    pixels = view.project(points.reshape(-1, 3)).reshape(len(angles), len(steps), 3)
    on_head = cv2.remap(head, pixels[..., 0] - 0.5, pixels[..., 1] - 0.5, cv2.INTER_LINEAR, borderValue=0) > 0.5
    left = np.where(on_head.all(1), len(steps), np.argmax(~on_head, 1))
    ratio = np.clip(steps[np.maximum(left - 1, 0)], 1.0, 1.6)
    ratio[np.abs(angles) > np.deg2rad(118)] = 1.0  # neck and shoulders are in the way
    smooth = np.convolve(np.pad(ratio, 2, mode="wrap"), np.ones(5) / 5, mode="valid")
    return np.maximum(smooth, 1.0)


def _hair_over_lobes(portrait: TrackedPortrait, view: HeadView, skull: Skull) -> float:
    """How far earrings must stand off the lobes to hang in front of hair, metres; 0 where the ears are free."""
    radius = 0.05 * portrait.face_width_px
    rows, columns = np.mgrid[0 : portrait.image.shape[0], 0 : portrait.image.shape[1]] + 0.5
    for x, y, _ in view.project(skull.lobes):
        near = np.hypot(columns - x, rows - y) < radius
        if portrait.masks[Part.HAIR][near].sum() > 2 * portrait.masks[Part.EARS][near].sum() + 0.25 * near.sum():
            return 0.010 * skull.scale
    return 0.0


def _buffers(
    lit: Colors, masks: PartMasks, view: HeadView, hair_depth_m: float | None, body_depth_m: float | None
) -> FrameBuffers:
    """The photograph as a frame that is already drawn: opaque, with the fitted head's depth."""
    fine = _enlarged(lit)
    depth = view.depth_px.copy()
    if hair_depth_m is not None:
        hair = _enlarged(np.maximum(masks[Part.HAIR], masks[Part.EARS])) > 0.5
        depth = np.where(hair, np.minimum(depth, np.float32(hair_depth_m)), depth)
    if body_depth_m is not None:
        body = _enlarged(np.clip(masks[Part.CLOTHES] + masks[Part.NECK] + masks[Part.SKIN], 0, 1)) > 0.5
        depth = np.where(body, np.minimum(depth, np.float32(body_depth_m)), depth)
    # No part yet, whatever the photograph shows: afterwards every part that is there is an attachment's.
    none = np.full(depth.shape, Part.BACKGROUND, np.uint8)
    return FrameBuffers(fine, np.ones(depth.shape, np.float32), none, depth.astype(np.float32))


def _enlarged(values: Shaped[NDArray, "h w *c"]) -> Shaped[NDArray, "sh sw *c"]:  # type: ignore[type-arg]
    """Every pixel as a block: its mean is the pixel itself, exactly."""
    return np.ascontiguousarray(values.repeat(SUPERSAMPLING, 0).repeat(SUPERSAMPLING, 1))


def _worn_masks(masks: PartMasks, shares: dict[Part, Field]) -> PartMasks:
    soft = masks.soft.astype(np.float32)
    total = np.clip(sum(shares.values(), np.zeros(soft.shape[1:], np.float32)), 0, 1)
    soft *= 1 - total
    for part, share in sorted(shares.items()):
        soft[part] += 255 * share
    person = np.maximum(masks.person, np.round(255 * total)).astype(np.uint8)
    return PartMasks(np.round(soft).clip(0, 255).astype(np.uint8), person)

"""Shortcut step: the old hair is taken off before new hair or a hat is put on (P 4.2).

Where hair covered the fitted head, skin is painted: the albedo of the visible skin under the portrait's light over the
head's own normals, bent at the hairline until it meets the photograph. Where hair stuck out beside the head, the
background is continued, and below the chin the body: cloth or bare shoulders, whichever is seen next to it. A hat that
the portrait already wears is taken off with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import PartMasks, TrackedPortrait
from perse.head import HeadModel
from perse.shapes import ByteMask, Colors, Field, HardMask
from perse.synthesis.procedural.animator.fill import push_pull
from perse.synthesis.procedural.attachments.hat_models import RimPlane
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.editing.body_frame import BELOW, SHOULDER, BodyFrame, Corners
from perse.synthesis.procedural.editing.canvas import blur, fill_hole, finish, grain, mix, noise
from perse.synthesis.procedural.editing.face_frame import FaceFrame
from perse.synthesis.procedural.editing.head_view import HeadView
from perse.synthesis.procedural.editing.painted import PaintedEdit
from perse.tracking.crop import fade, surely_shown
from perse.tracking.person import disk
from perse.tracking.pieces import pieces_touching

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_ANY_SKIN = np.array([200, 160, 140], np.float32)  # for portraits that show none
_EAR_TINT = np.array([1.03, 0.95, 0.94], np.float32)  # thin and well supplied with blood
_DETAIL_REACHES = 0.15  # face widths; what is reflected from farther away belongs to other things (a frame, a lamp)
_TORSO: Corners = (
    (1, 0.0, 0.0), (1, 0.0, 0.2), (0, 0.55 * SHOULDER[0], 0.62 * SHOULDER[1]),
    (0, 0.85 * SHOULDER[0], 0.82 * SHOULDER[1]), (0, *SHOULDER), (0, 1.08 * SHOULDER[0], 1.5 * SHOULDER[1]),
    (0, 1.1 * SHOULDER[0], BELOW),
)  # fmt: skip
"""Right half of neck, shoulders and chest."""
_FEATURES = (Part.BROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.EARS, Part.BEARD)


def remove_hair(portrait: TrackedPortrait, head_model: HeadModel, *, view: HeadView | None = None) -> PaintedEdit:
    """The portrait with a bald head.

    Args:
        view: the portrait's head as its camera sees it, where the caller has it already.
    """
    view = view or HeadView.of(portrait, head_model)
    skull = Skull.fit(head_model, portrait.head)
    return _without(portrait, view, _growing_here(_hair(portrait.masks), view, skull))


def trim_hair_under_hat(
    portrait: TrackedPortrait,
    head_model: HeadModel,
    plane: RimPlane,
    *,
    view: HeadView | None = None,
    skull: Skull | None = None,
) -> PaintedEdit:
    """The portrait with hair only below a hat's rim, pressed to the head right under it.

    Args:
        plane: where the hat ends.
        view, skull: where the caller has them already.
    """
    view = view or HeadView.of(portrait, head_model)
    skull = skull or Skull.fit(head_model, portrait.head)
    kept = _kept_below(view, skull, plane) * portrait.masks[Part.HAIR]
    return _without(portrait, view, np.clip(_growing_here(_hair(portrait.masks), view, skull) - kept, 0, 1))


def _hair(masks: PartMasks) -> Field:
    """Everything that hides the bare head, [h, w] in [0, 1]."""
    return np.clip(masks[Part.HAIR] + masks[Part.HEADWEAR], 0, 1)


def _growing_here(hair: Field, view: HeadView, skull: Skull) -> Field:
    """Hair that hangs together with the upper head; what a parser takes for hair on a dark collar is left alone."""
    upper = (view.coverage > 0.5) & (view.rest_px[..., 1] > skull.lobes[:, 1].mean())
    connected = pieces_touching(hair > 0.25, _dilated(upper.astype(np.uint8), 3) > 0.5)
    return hair * _dilated(connected.astype(np.uint8), 3)


def _kept_below(view: HeadView, skull: Skull, plane: RimPlane) -> Field:
    """How much of the hair at each pixel may stay: that below the rim, flaring out from under it."""
    scale = skull.scale
    beside = view.on_plane_through(skull.centre)
    on_head = view.coverage[..., None]
    points = view.rest_px * on_head + beside * (1 - on_head)
    below = -plane.height_above(skull, points).astype(np.float32) / scale
    outside = cv2.distanceTransform((view.coverage < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    outside_m = outside * view.metres_per_pixel(skull.centre) / scale
    room = plane.cuff_m + 0.6 * np.maximum(below, 0)
    # It begins a little inside the hat, so that no bare skin shows at the rim.
    return smoothstep(below, -plane.cuff_m, 0.5 * (0.005 - plane.cuff_m)) * smoothstep(room - outside_m, -0.003, 0.003)


def _without(portrait: TrackedPortrait, view: HeadView, gone: Field) -> PaintedEdit:
    matte = _matte(portrait, view, gone)
    if not (matte > 0).any():
        return finish(portrait, portrait.image.astype(np.float32), matte, portrait.masks)
    rng = np.random.default_rng(0)
    texture = 0.45 * grain(portrait, rng)  # it is measured on pores and freckles too
    body, photograph = _body_behind(portrait, matte), portrait.image.astype(np.float32)
    painted = _continued_background(portrait)
    for part, share in ((Part.CLOTHES, body.clothes), (Part.NECK, body.bare)):
        if share.any():
            painted = mix(painted, push_pull(photograph, portrait.masks[part] ** 4) + texture, share)
    painted = mix(painted, bare_skin(portrait, view, rng) + texture, view.coverage)
    return finish(portrait, painted, matte, _bared_masks(portrait, view, matte, body))


def _matte(portrait: TrackedPortrait, view: HeadView, gone: Field) -> Field:
    """What is repainted: the hair, its wisps, and the shadow that it cast on the skin; never eyes, brows or nose."""
    width = portrait.face_width_px
    hard = (gone > 0.12).astype(np.uint8)
    on_head = _dilated(hard, 0.045 * width) * smoothstep(view.coverage, 0.3, 0.9)
    beside = _dilated(hard, 0.03 * width) * (1 - portrait.masks[Part.CLOTHES])
    near = blur(np.maximum(np.maximum(on_head, beside), hard), max(0.012 * width, 0.7))
    matte = np.maximum(smoothstep(near, 0.05, 0.75), gone)
    kept = np.clip(portrait.masks.soft[list(_FEATURES)].astype(np.float32).sum(0) / 255, 0, 1)
    stays = np.clip(portrait.masks[Part.HAIR] - gone, 0, 1)
    return (matte * (1 - np.maximum(kept, stays))).astype(np.float32)


def _dilated(mask: ByteMask, radius_px: float) -> Field:
    return cv2.dilate(mask, disk(radius_px)).astype(np.float32)


@dataclass(frozen=True)
class _Body:
    """What long hair hid of the body beside and below the head, each [h, w] in [0, 1]; the two never overlap.

    Attributes:
        clothes: cloth, that which is seen included.
        bare: neck and shoulders without cloth.
    """

    clothes: Field
    bare: Field


def _body_behind(portrait: TrackedPortrait, matte: Field) -> _Body:
    """Where the body goes on behind hair: where shoulders are, or about there and nearer to the body than to a wall.

    Of what it is there, cloth or skin, the nearest visible piece decides.
    """
    masks = portrait.masks
    clothes, neck = (_solid(masks[part] > 0.8, 0.02 * portrait.face_width_px) for part in (Part.CLOTHES, Part.NECK))
    hidden = matte > 0
    if not (clothes | neck).any() or not hidden.any():
        return _Body(masks[Part.CLOTHES], np.zeros_like(matte))
    to_clothes, to_neck = _distance(clothes), _distance(neck)
    torso = _torso(portrait)
    about = blur(_dilated((torso > 0.5).astype(np.uint8), 0.22 * portrait.face_width_px), 0.05 * portrait.face_width_px)
    # A person whom the picture's edge cuts fades out before it: that is no wall.
    wall = (masks[Part.BACKGROUND] >= 0.8) & (surely_shown(portrait.inside, portrait.face_width_px) > 0)
    near = smoothstep(_distance(wall) - np.minimum(to_clothes, to_neck), -2, 2) * about
    behind = np.maximum(near, torso) * hidden
    cloth = smoothstep(to_neck - to_clothes, -2, 2)
    return _Body(np.maximum(masks[Part.CLOTHES], behind * cloth), behind * (1 - cloth))


def _solid(mask: HardMask, radius_px: float) -> HardMask:
    """A mask without what is thinner than twice the radius: the rims that hair leaves are no cloth."""
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk(radius_px)) > 0


def _distance(mask: HardMask) -> Field:
    """Pixels to the nearest pixel of a mask; far where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.float32(2 * sum(mask.shape)))
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5).astype(np.float32)


def _torso(portrait: TrackedPortrait) -> Field:
    """Neck, shoulders and chest as adults have them below such a face, [h, w] in [0, 1]."""
    body = BodyFrame(FaceFrame(portrait))
    return body.symmetric(body.corners(_TORSO), 0.01)


def _continued_background(portrait: TrackedPortrait) -> Colors:
    """The background as if nobody stood in front of it: smooth tones, with the detail reflected at the outline."""
    image = portrait.image.astype(np.float32)
    width = portrait.face_width_px
    unknown = (portrait.masks.person > 12) | (portrait.inside < 255)
    known = 1 - _dilated(unknown.astype(np.uint8), 0.03 * width)
    if known.sum() < 100:
        return image
    smooth = fill_hole(image, 1 - known, 0.02 * width, octaves=6)
    sigma = 0.08 * width
    tones = blur(image * known[..., None], sigma) / np.maximum(blur(known, sigma), 1e-3)[..., None]
    detail = (image - tones) * known[..., None]
    _, nearest = distance_transform_edt(known < 0.5, return_indices=True)
    rows, columns = np.mgrid[0 : known.shape[0], 0 : known.shape[1]]
    # Reflect at a smoothed outline: a ragged one would tear the detail to shreds.
    down, right = blur(nearest[0] - rows, 0.04 * width), blur(nearest[1] - columns, 0.04 * width)
    mirrored = cv2.remap(
        detail, (columns + 2 * right).astype(np.float32), (rows + 2 * down).astype(np.float32), cv2.INTER_LINEAR
    )
    near = np.exp(-np.hypot(down, right) / (_DETAIL_REACHES * width))[..., None]
    return np.where(known[..., None] > 0.5, image, smooth + near * mirrored).astype(np.float32)


def bare_skin(portrait: TrackedPortrait, view: HeadView, rng: np.random.Generator) -> Colors:
    """Skin over the whole head, lit like the portrait's own and continuing it; [h, w, 3], float32 0…255.

    Beside the head the content does not matter.
    """
    image, width = portrait.image.astype(np.float32), portrait.face_width_px
    shade = np.maximum(view.light.shade(view.normals_px) * view.spread(view.openness), 0.2)[..., None]
    evidence = _trusted_skin(portrait, view)
    albedo = image / shade
    if not evidence.any():
        return np.broadcast_to(_ANY_SKIN, image.shape) * shade
    middle = np.median(albedo[evidence], 0)
    tone = (albedo[evidence] - middle) @ _LUMA
    plausible = evidence.copy()
    plausible[evidence] = np.abs(tone) < 0.28 * float(middle @ _LUMA)
    local = blur(push_pull(albedo, plausible.astype(np.float32)), 0.08 * width)
    mottle = noise(evidence.shape, rng, 0.02 * width) + noise(evidence.shape, rng, 0.1 * width)
    skin = (0.4 * local + 0.6 * middle) * (1 + 0.008 * mottle[..., None])
    skin = skin * (1 + (_EAR_TINT - 1) * view.ears[..., None])
    painted = skin * shade + _scalp_shine(view)[..., None]
    return _meeting_the_photo(painted, image, evidence, width)


def _trusted_skin(portrait: TrackedPortrait, view: HeadView) -> HardMask:
    """Pixels of plain skin, away from hair, its shadow and the outline."""
    width = portrait.face_width_px
    hidden = _dilated((_hair(portrait.masks) > 0.15).astype(np.uint8), 0.055 * width)
    skin = cv2.erode(portrait.masks[Part.SKIN], np.ones((3, 3), np.uint8))
    return (skin > 0.9) & (hidden < 0.5) & (view.coverage > 0.95) & (view.normals_px[..., 2] > 0.25)


def _scalp_shine(view: HeadView) -> Field:
    """The highlight of a bald head under the key light."""
    halfway = view.light.direction + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    return (20 * np.clip(view.normals_px @ halfway, 0, 1) ** 26).astype(np.float32)


def _meeting_the_photo(painted: Colors, image: Colors, evidence: HardMask, width: float) -> Colors:
    """Add the membrane that carries the photograph's tones over the hairline and lets go of them beyond it."""
    known = evidence.astype(np.float32)
    sigma = 0.03 * width
    error = blur((image - painted) * known[..., None], sigma) / np.maximum(blur(known, sigma), 1e-3)[..., None]
    carried = push_pull(error.astype(np.float32), known)
    away = cv2.distanceTransform((~evidence).astype(np.uint8), cv2.DIST_L2, 5)
    share = np.exp(-((away / (0.28 * width)) ** 2))[..., None]
    return painted + carried * share


def _bared_masks(portrait: TrackedPortrait, view: HeadView, matte: Field, body: _Body) -> PartMasks:
    """Masks in which the matte shows head, body or background instead of what it hid."""
    masks, shown = portrait.masks, fade(portrait.inside, portrait.face_width_px)
    soft = masks.soft.astype(np.float32) * (1 - matte)
    head = 255 * matte * view.coverage
    ears, neck = np.minimum(view.ears, view.coverage), np.minimum(view.neck, view.coverage)
    share = 1 / np.maximum(view.coverage, 1e-6)
    soft[Part.EARS] += head * ears * share
    soft[Part.NECK] += head * neck * share * (1 - ears * share)
    soft[Part.SKIN] += head * (1 - neck * share) * (1 - ears * share)
    beside = 255 * matte * (1 - view.coverage)
    soft[Part.CLOTHES] += beside * body.clothes * shown
    soft[Part.NECK] += beside * body.bare * shown
    covered = (body.clothes + body.bare) * shown
    soft[Part.BACKGROUND] += beside * (1 - covered)
    person = masks.person * (1 - matte) + 255 * matte * view.coverage + beside * covered
    return PartMasks(np.round(soft).clip(0, 255).astype(np.uint8), np.round(person).clip(0, 255).astype(np.uint8))

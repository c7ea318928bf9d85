"""Materials of the person's pixels (skin, hair, clothes) by colour mixtures learned from the picture itself."""

from __future__ import annotations

from enum import IntEnum

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.curves import smoothstep
from perse.shapes import Picture, SoftMask
from perse.tracking.bare_shoulders import bare_share
from perse.tracking.colors import ColorMixture, blur, fit_mixture, guided_filter, to_gray
from perse.tracking.frame import FaceCoordinates
from perse.tracking.open_neck import skin_below_throat
from perse.tracking.strands import hair_or_cloth, place_of_cloth, shoulder_lift

Floats = NDArray[np.float32]

ROUNDS = 4
COMPONENTS = {0: 3, 1: 4, 2: 5}
IMPOSSIBLE = -40.0
LEAST_CLOTHES = 60
"""Pixels of clothes (half of the picture's size) from which their colours are learned."""
CURTAIN_AREA = 0.02
"""Hair beside the chin, squared face widths a side, from which on it is long: it may cover the shoulders."""
LOCK_WIDTH = 0.2
"""Mean width of that hair between nose and chin, face widths: long hair comes down past the cheek. A bun's shadow above
a black collar is .13 wide, the thinnest of five heads of long hair .3."""
ENDED = 5.0
"""Log prior against hair below the chin on a side where none comes down past the cheek."""
ENDED_AREA = 0.005
"""Such hair in squared face widths from which on the estimate is made again."""
LOOKS_TRUST = 0.5
"""The same for texture and colour together, which are averages over neighbours anyway."""
COLLAR = 5.0
"""Log prior against hair in front of the throat, under the jaw: a collar in the jaw's shadow looks like hair."""
COLOR_TRUST = 0.6
"""Neighbouring pixels repeat each other's evidence, so one pixel's log-likelihood counts less than in full."""


class Material(IntEnum):
    """Material of a pixel of the person."""

    SKIN = 0
    HAIR = 1
    CLOTHES = 2


def estimate_materials(
    image: Picture,
    lab: Float32[np.ndarray, "h w 3"],
    person: SoftMask,
    hull: SoftMask,
    frame: FaceCoordinates,
    hands: SoftMask | None = None,
) -> dict[Material, SoftMask]:
    """Probabilities [h, w] of the materials, which sum to one; only meaningful where there is a person.

    Args:
        lab: [h, w, 3] CIELAB.
        person, hull: [h, w] in [0, 1], matte and face contour.
        hands: [h, w] in [0, 1], where a hand was seen.
    """
    hands = np.zeros_like(person) if hands is None else hands
    height, width = person.shape
    half = (width // 2, height // 2)

    def shrink(values: Floats) -> Floats:
        return np.asarray(cv2.resize(values, half, interpolation=cv2.INTER_AREA), np.float32)

    small_across, small_down = shrink(frame.across), shrink(frame.down)
    priors = np.stack([shrink(prior) for prior in _priors(hull, hands, frame)])
    colors, present, face = shrink(lab), shrink(person) > 0.6, shrink(hull)
    gray = np.asarray(shrink(lab[..., 0]) / 100, np.float32)
    seeds = _seeds(colors, present, face, small_across, small_down, frame)
    radius = max(2, round(0.02 * frame.width_px / 2))
    posterior = _estimate(colors, gray, priors, seeds, present, radius)
    seen_hair = posterior[Material.HAIR] * present
    curtain = find_curtain(seen_hair, small_across, small_down, frame)
    ended = hair_ends(seen_hair, curtain, small_across, small_down, frame)
    if curtain.any() or ended.any():
        seeds = _with_curtain(colors, posterior, present, curtain, seeds, small_down, frame)
        priors = _below_curtain(priors, curtain, small_across, small_down, frame)
        priors[Material.HAIR] -= ENDED * ended
        posterior = _estimate(colors, gray, priors, seeds, present, radius)
    if curtain.any():
        free = present & (face < 0.3) & (posterior[Material.SKIN] < 0.5)
        posterior = _by_their_looks(posterior, lab, gray, free, curtain, priors, (small_across, small_down), frame)
        hair = posterior[Material.HAIR]
        bare = hair * bare_share(colors, hair * present, seeds[Material.SKIN], curtain, small_down, frame)
        posterior[Material.SKIN] += bare
        posterior[Material.HAIR] -= bare
    full = to_gray(image)
    radius = max(2, round(0.02 * frame.width_px))
    sharp = np.stack(
        [
            guided_filter(full, np.asarray(cv2.resize(layer, (width, height)), np.float32), radius, 5e-4)
            for layer in posterior
        ]
    )
    sharp = smoothstep(sharp, 0.1, 0.9)
    loose = _loose_hair(sharp[Material.HAIR], person, frame)
    sharp[Material.CLOTHES] += loose
    sharp[Material.HAIR] -= loose
    sharp /= np.maximum(sharp.sum(0), 1e-6)
    return {material: sharp[material].astype(np.float32) for material in Material}


def find_curtain(hair: SoftMask, across: SoftMask, down: SoftMask, frame: FaceCoordinates) -> SoftMask:
    """Mask [h, w] in [0, 1] of where hair may fall over the shoulders, zeros for hair that ends above them.

    Hair beside the chin on one side opens a zone below it, as wide as it is there and a little wider further down:
    strands spread on the shoulders.

    Args:
        hair: [h, w] in [0, 1], a first estimate.
    """
    band = (down > frame.mouth) & (down < frame.chin + 0.12)
    cheek = (down > frame.nose) & (down < frame.chin - 0.05)
    zone = np.zeros_like(hair)
    for side in (-1, 1):
        aside = side * across
        lock = (hair > 0.5) & (aside > 0.3) & (aside < 1.6)
        beside = band & lock
        unit = (frame.width_px / 2) ** 2  # the estimate works at half the resolution
        thick = float((cheek & lock).sum()) / unit / (frame.chin - 0.05 - frame.nose)
        if float(beside.sum()) / unit < CURTAIN_AREA or thick < LOCK_WIDTH:
            continue
        inner, outer = np.percentile(aside[beside], [3, 97])
        below = np.clip(down - frame.chin, 0, 2)
        grown = smoothstep(aside, inner - 0.43, inner - 0.05) * smoothstep(
            aside - 0.45 * below, outer + 0.3, outer + 0.1
        )
        zone = np.maximum(zone, grown * smoothstep(down, frame.mouth - 0.1, frame.mouth))
    return zone.astype(np.float32)


def hair_ends(hair: SoftMask, curtain: SoftMask, across: SoftMask, down: SoftMask, frame: FaceCoordinates) -> SoftMask:
    """Mask [h, w] in [0, 1] of where no hair can be, below the chin on the sides that have no curtain.

    Zeros where the first estimate `hair` [h, w] finds none there anyway.
    """
    zone = np.zeros_like(hair)
    for side in (-1, 1):
        here = side * across > 0
        low = here & (hair > 0.5) & (down > frame.chin + 0.05)
        if not curtain[here].any() and float(low.sum()) / (frame.width_px / 2) ** 2 > ENDED_AREA:
            zone = np.maximum(zone, here * smoothstep(down, frame.chin - 0.05, frame.chin + 0.1))
    return zone.astype(np.float32)


def _below_curtain(priors: Floats, curtain: Floats, across: Floats, down: Floats, frame: FaceCoordinates) -> Floats:
    """Priors [3, h, w] by which colours decide between hair and clothes under a curtain."""
    priors = priors.copy()
    depth = np.clip((down - frame.chin) / 1.0, 0, 2)
    inside = smoothstep(down, frame.mouth, frame.chin) * curtain
    loose = -0.6 * depth - 3.0 * smoothstep(np.abs(across), 1.5, 2.0)
    priors[Material.HAIR] = (1 - inside) * priors[Material.HAIR] + inside * loose
    return priors


def _by_their_looks(
    posterior: Floats,
    lab: Floats,
    gray: Floats,
    free: NDArray[np.bool_],
    curtain: Floats,
    priors: Floats,
    place: tuple[Floats, Floats],
    frame: FaceCoordinates,
) -> Floats:
    """The posterior [3, h, w] with hair and clothes below the mouth parted again, by texture as well as colour."""
    hair, clothes = posterior[Material.HAIR], posterior[Material.CLOTHES]
    odds = hair_or_cloth(lab, hair, clothes, free, curtain, place, frame)
    if odds is None:
        return posterior
    across, down = np.abs(place[0]), place[1]
    throat = smoothstep(across, 0.5, 0.3) * smoothstep(down, frame.mouth, frame.chin - 0.1)
    throat *= smoothstep(down, frame.chin + 0.8, frame.chin + 0.2)
    logits = LOOKS_TRUST * odds + priors[Material.HAIR] - COLLAR * throat - place_of_cloth(*place, frame)
    share = np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
    share = guided_filter(gray, share, max(2, round(0.02 * frame.width_px)), 2e-3)
    lifted = shoulder_lift(place[0])
    low = smoothstep(down, frame.mouth - lifted, frame.chin - lifted)
    parted = posterior.copy()
    parted[Material.HAIR] = hair + low * ((hair + clothes) * share - hair)
    parted[Material.CLOTHES] = clothes + low * ((hair + clothes) * (1 - share) - clothes)
    return parted


def _with_curtain(
    colors: Floats,
    posterior: Floats,
    present: NDArray[np.bool_],
    curtain: Floats,
    seeds: list[NDArray[np.bool_]],
    down: Floats,
    frame: FaceCoordinates,
) -> list[NDArray[np.bool_]]:
    """Better seeds: hair from the first estimate, clothes from where no hair can hang, or that do not look like it."""
    hair_seed = (posterior[Material.HAIR] > 0.85) & present & (down < frame.chin + 0.1)
    hair = fit_mixture(colors[hair_seed], 4)
    clothes = seeds[Material.CLOTHES]
    if hair is not None:
        smooth = blur(colors, 1.0)
        likelihood = hair.log_likelihood(smooth)
        floor = float(np.percentile(likelihood[hair_seed], 4))
        certain = clothes & ~((curtain > 0.2) & (likelihood > floor))
        if certain.sum() > LEAST_CLOTHES:
            clothes = certain
    return [seeds[Material.SKIN], hair_seed, clothes]


def _loose_hair(hair: SoftMask, person: SoftMask, frame: FaceCoordinates) -> SoftMask:
    """Hair [h, w] in pieces that lie low and hang together with nothing on the head: dark clothes, most likely."""
    _, labels = cv2.connectedComponents(((hair > 0.4) & (person > 0.5)).astype(np.uint8))
    on_head = np.unique(labels[(labels > 0) & (frame.down < 0.1)])
    low = (frame.down > frame.nose) & ~np.isin(labels, on_head)
    # Pixels next to a piece belong to it; soft hair around the head's own hair does not.
    near_head = cv2.dilate(np.isin(labels, on_head).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(low & ~near_head, hair, 0).astype(np.float32)


def _priors(hull: Floats, hands: Floats, frame: FaceCoordinates) -> list[Floats]:
    """Log prior of each material at each pixel, from anatomy alone."""
    across, down = np.abs(frame.across), frame.down
    face = smoothstep(hull, 0.3, 0.9)
    # The oval of the landmarks ends below the hairline: skin may go on above it.
    forehead = smoothstep(across, 0.5, 0.36) * smoothstep(down, -0.78, -0.55) * smoothstep(down, 0.0, -0.1)
    # Below the neck skin is a bare shoulder, or a hand.
    shoulders = 0.4 * smoothstep(down, frame.chin + 0.05, frame.chin + 0.3)
    below_brow = smoothstep(down, frame.brow - 0.02, frame.brow + 0.06)
    inner = face * below_brow
    # Skin: the face, the ears, the throat; elsewhere it would be a hand or a bald head.
    neck = (
        smoothstep(across, 0.6, 0.4)
        * smoothstep(down, frame.mouth, frame.chin)
        * smoothstep(down, frame.chin + 0.75, frame.chin + 0.35)
    )
    ears = smoothstep(across, 0.75, 0.6) * smoothstep(down, -0.4, -0.25) * smoothstep(down, 0.65, 0.5)
    allowed = np.maximum.reduce([face, neck, 0.75 * ears, 0.8 * forehead, shoulders, hands])
    skin = -4.5 * (1 - allowed) + 2.0 * inner
    # Hair: anywhere around the head; not on the face below the brows, rarely far below the chin.
    far = smoothstep(np.hypot(across, np.maximum(-down, 0) * 0.9), 0.75, 1.3)
    depth = np.clip((down - frame.chin) / 1.0, 0, 2)
    throat = smoothstep(across, 0.45, 0.3) * smoothstep(down, frame.mouth, frame.chin)
    hair = -3.0 * far - 4.0 * depth - 5.0 * throat - 9.0 * inner
    # Clothes: from the jaw downwards; high collars may reach the ears' lobes at the sides.
    above = smoothstep(down, frame.chin + 0.15, frame.mouth - 0.1)
    clothes = -12.0 * above - 9.0 * face + 0.5 * smoothstep(down, frame.chin + 0.2, frame.chin + 0.5)
    return [np.asarray(prior, np.float32) for prior in (skin, hair, clothes)]


def _seeds(
    colors: Floats, present: NDArray[np.bool_], face: Floats, across: Floats, down: Floats, frame: FaceCoordinates
) -> list[NDArray[np.bool_]]:
    """Pixels that can be trusted to begin with."""
    # Cheeks and nose between eyes and nose tip: free of beards, brows and lips.
    skin = present & (face > 0.95) & (down > 0.1) & (down < frame.nose) & (np.abs(across) < 0.36)
    skin_model = fit_mixture(colors[skin], 3)
    around = present & (face < 0.05) & (down < frame.nose)
    clothes = present & (down > frame.chin + 0.5)
    if skin_model is not None:
        likelihood = skin_model.log_likelihood(blur(colors, 1.0))
        floor = float(np.percentile(likelihood[skin], 2))
        around &= likelihood < floor
        # Bare shoulders are no clothes; a garment of the skin's colour still is one where there is nothing else.
        unlike_skin = clothes & (likelihood < floor)
        clothes = unlike_skin if unlike_skin.sum() > 0.15 * clothes.sum() else clothes
        bare = skin_below_throat(colors, present, skin, around, across, down, frame)
        if (clothes & ~bare).sum() > LEAST_CLOTHES:
            clothes, skin = clothes & ~bare, skin | bare
    return [skin, around, clothes]


def _estimate(
    colors: Floats,
    gray: Floats,
    priors: Floats,
    seeds: list[NDArray[np.bool_]],
    present: NDArray[np.bool_],
    radius: int,
) -> Floats:
    """Alternate between posteriors and colour mixtures; edge-aware smoothing stands for a neighbourhood prior."""
    members = seeds
    posterior = np.full(priors.shape, 1 / len(priors), np.float32)
    smooth = blur(colors, 0.8)
    for _ in range(ROUNDS):
        evidence = np.stack([_evidence(fit_mixture(smooth[m], COMPONENTS[k]), smooth) for k, m in enumerate(members)])
        logits = COLOR_TRUST * evidence + priors
        raw = np.exp(logits - logits.max(0))
        raw /= raw.sum(0)
        posterior = np.stack([guided_filter(gray, layer.astype(np.float32), radius, 2e-3) for layer in raw])
        posterior /= np.maximum(posterior.sum(0), 1e-6)
        members = [(layer > 0.85) & present for layer in posterior]
        members[Material.SKIN] |= seeds[Material.SKIN]
    return posterior.astype(np.float32)


def _evidence(mixture: ColorMixture | None, colors: Float32[np.ndarray, "h w 3"]) -> SoftMask:
    if mixture is None:
        return np.full(colors.shape[:2], IMPOSSIBLE, np.float32)
    return np.maximum(mixture.log_likelihood(colors), -30.0)

"""Texture of the head: the photograph where it shows the surface, a plausible continuation where it does not.

Skin and hair are continued separately, since a mixture of both is neither: skin as albedo under the fitted light,
hair as its own colours with strands combed from the crown. Both continuations are harmonic on the mesh, so that they
meet the photograph without a step and know no seams of the texture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perse.attributes import Part
from perse.curves import smoothstep
from perse.shapes import ByteMask, Colors, Field
from perse.synthesis.procedural.animator.by_example import read_example
from perse.synthesis.procedural.animator.fill import blurred_within, grain, mean_of_channels, strand_noise
from perse.synthesis.procedural.animator.hair_detail import borrowed_detail
from perse.synthesis.procedural.animator.hair_volume import sum_of
from perse.synthesis.procedural.animator.harmonic import extend, smooth
from perse.synthesis.procedural.animator.own_pose import OwnPose, sample
from perse.synthesis.procedural.animator.projection import PreparedPhotograph, Projection
from perse.synthesis.procedural.animator.strand_frame import on_strands
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.synthesis.procedural.scene import Light
from perse.tracking.pieces import pieces_touching

_NOISE_SEED = 20
_TURNED_TO_CAMERA = (-0.3, -0.15)
"""Between these cosines of normal and view, the outline is the photograph's rather than made-up tips of strands."""
_NECK_ENDS = (0.05, 0.16)
"""Share of the head's turn between which the neck's surface ends, inside the clothes."""
_MOVES_WITH_HEAD = (0.5, 0.8)
"""Share of the head's turn between which the neck's surface leaves the place that the photograph shows it at."""
_WORN = (Part.BEARD, Part.CLOTHES)
_SOFTER = 0.8
"""Detail of guessed hair as a share of its example's: the example lies where light shows its strands best."""
_FALLING = 0.15
"""Share of a cloth's area below the chin from which on it is a veil rather than a cap."""
_LEAST_KNOWN = 0.03
"""Trust from which on a colour that was read pins the guess."""
_SCREEN, _ROUNDS = 0.03, 40
"""How fast a step of colour at the border of what is seen is forgotten: by half every 2 to 3 cm of the mesh."""


@dataclass(frozen=True)
class Complexion:
    """Colours of the hidden parts of the head, by vertex.

    Attributes:
        skin: [n, 3] colours 0…255; hair: [n, 3].
        cover: [n] in [0, 1], hair rather than skin; smooth_cover: [n], how much of the cover is smooth headwear.
        beard, clothes: [n] in [0, 1].
        hair_contrast: deviation of the hair's luminance from its local mean, relative.
    """

    skin: Float32[NDArray[np.float32], "n 3"]
    hair: Float32[NDArray[np.float32], "n 3"]
    cover: Float32[NDArray[np.float32], " n"]
    smooth_cover: Float32[NDArray[np.float32], " n"]
    beard: Float32[NDArray[np.float32], " n"]
    clothes: Float32[NDArray[np.float32], " n"]
    hair_contrast: float


def read_complexion(
    surface: HeadSurface,
    pose: OwnPose,
    picture: PreparedPhotograph,
    seen: Projection,
    cover: Float32[NDArray[np.float32], " n"],
    light: Light,
) -> Complexion:
    """Colours of the vertices that are seen in the photograph, continued over the hidden ones."""
    skin_mask = sum_of(picture.masks, (Part.SKIN, Part.NOSE, Part.EARS, Part.NECK)) * picture.solid
    beard_mask = picture.masks[Part.BEARD] * picture.solid
    veiled = _falls(surface, picture, seen)
    hair_mask = (picture.masks[Part.HEADWEAR] if veiled else picture.cover) * picture.solid
    shade = light.shade(pose.normals)[:, None]
    skin, skin_known = _read(picture, skin_mask, seen)
    hair, hair_known = _read(picture, hair_mask, seen)
    skin_known *= smoothstep(pose.facing, 0.25, 0.6) * (1 - sample(picture.shaded, seen.pixels))
    hair_known *= smoothstep(pose.facing, 0.15, 0.4)
    beard_color, beard_known = _read(picture, beard_mask, seen)
    albedo = extend(skin / np.maximum(shade, 0.3), skin_known, surface.average, surface.outer, softness=0.3)
    worn = np.stack([sample(picture.masks[part], seen.pixels) for part in _WORN], 1)
    worn_known = 4 * seen.trust
    low = surface.outer & (surface.head_share < 0.06)
    worn[low & (seen.trust < 0.1)] = [0, 1]  # further down there is clothing even where nothing is seen
    worn_known[low] = np.maximum(worn_known[low], 0.5)
    throat = surface.outer & (surface.head_share < 0.8) & (seen.trust < 0.1)
    worn[throat, 0] = 0  # beards grow on the jaw; what hangs before the neck hangs from there
    worn_known[throat] = np.maximum(worn_known[throat], 0.2)
    worn = extend(worn, worn_known, surface.average, surface.outer)
    smooth_cover = _smooth_cover(surface, picture, seen, veiled=veiled)
    tone = np.clip(albedo * np.clip(shade, 0.3, 1.2), 0, 255)
    tone = _meeting(surface, tone, skin, skin_known)
    if beard_known.sum() > 8:
        bearded = smoothstep(worn[:, 0], 0.4, 0.7)[:, None]
        beard_tone = extend(beard_color, beard_known, surface.average, surface.outer, softness=0.3)
        tone = tone * (1 - bearded) + beard_tone * bearded
    return Complexion(
        skin=tone.astype(np.float32),
        hair=_hair_tone(surface, hair, hair_known, smooth_cover),
        cover=cover,
        smooth_cover=smooth_cover,
        beard=worn[:, 0],
        clothes=worn[:, 1],
        hair_contrast=_contrast(picture, hair_mask),
    )


def _smooth_cover(
    surface: HeadSurface, picture: PreparedPhotograph, seen: Projection, *, veiled: bool
) -> Float32[np.ndarray, " n"]:
    """Headwear as a share of the cover: read where the cover is seen, continued around the head, [n]."""
    cover = sample(picture.cover, seen.pixels)
    share = np.clip(sample(picture.masks[Part.HEADWEAR], seen.pixels) / np.maximum(cover, 0.1), 0, 1)
    known = (4 * seen.trust * (cover > 0.5)).astype(np.float32)
    if veiled:
        return np.asarray(np.clip(known, 0, 1) * share + 1 - np.clip(known, 0, 1), np.float32)
    around = _around(surface, share[:, None].astype(np.float32), known, rounds=3)
    return np.clip(around[:, 0], 0, 1)


def _falls(surface: HeadSurface, picture: PreparedPhotograph, seen: Projection) -> bool:
    """Whether the headwear is a cloth that falls below the chin: hair that shows at its front has none behind."""
    head = surface.outer & (surface.head_share > 0.85)
    chin = int(np.clip(seen.pixels[head, 1].max(), 0, picture.matte.shape[0] - 1))
    worn = picture.masks[Part.HEADWEAR] > 0.5
    return bool(worn[chin:].sum() > _FALLING * max(int(worn.sum()), 1))


AROUND = 6
"""Seen vertices that a hidden one takes its values from."""


def _around(
    surface: HeadSurface, values: Float32[np.ndarray, "n c"], known: Float32[np.ndarray, " n"], rounds: int
) -> Float[np.ndarray, "n c"]:
    """Values [n, c] continued around the head: hidden vertices take those of the nearest seen ones of their height."""
    seen = surface.outer & (known > 1)
    if not seen.any():
        return np.asarray(values, np.float32)
    outer = surface.rest[surface.outer]
    middle = 0.5 * (outer.min(0) + outer.max(0))
    azimuth = np.arctan2(surface.rest[:, 0] - middle[0], surface.rest[:, 2] - middle[2])
    place = np.stack([surface.rest[:, 1] / 0.015, 1.2 * np.sin(azimuth), 1.2 * np.cos(azimuth)], 1)
    count = min(AROUND, int(seen.sum()))  # under a cap hardly any hair may be seen
    away, nearest = cKDTree(place[seen]).query(place, k=range(1, count + 1))
    weight = 1 / (away**2 + 0.05)
    weight /= weight.sum(1, keepdims=True)
    taken = (values[seen][nearest] * weight[..., None]).sum(1)
    share = np.clip(known, 0, 1)[:, None]
    return smooth(share * values + (1 - share) * taken, surface.average, rounds)


def _hair_tone(
    surface: HeadSurface,
    hair: Float32[np.ndarray, "n c"],
    known: Float32[np.ndarray, " n"],
    smooth_cover: Float32[np.ndarray, " n"],
) -> Float32[np.ndarray, "n c"]:
    """Hidden hair: halfway between the nearest hair that is seen, often dark at the outline, and all of it.

    Headwear continues as it is, each height around the head.
    """
    if known.sum() < 4:
        return np.broadcast_to(hair.mean(0), hair.shape)
    near = _around(surface, hair, known, rounds=3)
    typical = (known[:, None] * hair).sum(0) / known.sum()
    stays = smoothstep(extend(known, 1 + 0 * known, surface.average, surface.outer, softness=30.0), 0.0, 1.0)[:, None]
    stays = np.maximum(stays, smooth_cover[:, None])
    tone = stays * near + (1 - stays) * (0.45 * near + 0.55 * typical)
    return _meeting(surface, tone, hair, known)


def _meeting(
    surface: HeadSurface,
    tone: Float32[np.ndarray, "n c"],
    seen: Float32[np.ndarray, "n _"],
    known: Float32[np.ndarray, " n"],
) -> Float32[np.ndarray, "n c"]:
    """Hidden colours [n, 3] that meet those `seen` where these are `known` [n], and go over to themselves away from
    there (the membrane of Pérez et al. 2003, with a screen; Jacobi's iteration, since it reaches a few edges only)."""
    weight = known[:, None]
    pinned = weight * np.where(weight > _LEAST_KNOWN, seen - tone, 0).astype(np.float32)
    step = pinned / (weight + 1)
    for _ in range(_ROUNDS):
        step = (pinned + (1 - _SCREEN) * (surface.average @ step)) / (weight + 1)
    return np.clip(tone + step * surface.outer[:, None], 0, 255).astype(np.float32)


def _read(
    picture: PreparedPhotograph, mask: Field, seen: Projection
) -> tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, " n"]]:
    mean, amount = blurred_within(picture.rgb, mask, sigma_px=2.5)
    color = sample(mean, seen.pixels)
    known = seen.trust * np.clip(2 * sample(amount, seen.pixels) - 0.8, 0, 1)
    return color, 4 * known


def _contrast(picture: PreparedPhotograph, mask: Field) -> float:
    gray = mean_of_channels(picture.rgb)
    mean, amount = blurred_within(gray[..., None], mask, sigma_px=4)
    inside = (amount > 0.9) & (mask > 0.9)
    if inside.sum() < 100:
        return 0.1
    return float(np.clip(np.std((gray - mean[..., 0])[inside] / np.maximum(mean[..., 0][inside], 12)), 0.03, 0.3))


@dataclass(frozen=True)
class PaintedAtlas:
    """The texture of the outer skin.

    Attributes:
        rgb: [h, w, 3] float32, 0…255.
        alpha: [h, w] float32, 0 at the lower end of the neck, inside the clothes.
        dressed: [h, w] float32, how much clothes cover a texel of the neck wherever the body layer shows any.
        rim: [h, w] float32, alpha while the texel lies on the head's outline; 1 on skin.
        labels: [h, w] uint8, values of `Part`.
        skin: [h, w, 3] float32, the continued skin alone.
    """

    rgb: Float32[NDArray[np.float32], "h w 3"]
    alpha: Float32[NDArray[np.float32], "h w"]
    dressed: Float32[NDArray[np.float32], "h w"]
    rim: Float32[NDArray[np.float32], "h w"]
    labels: UInt8[NDArray[np.uint8], "h w"]
    skin: Float32[NDArray[np.float32], "h w 3"]


def paint_atlas(
    surface: HeadSurface,
    pose: OwnPose,
    picture: PreparedPhotograph,
    texels: Projection,
    complexion: Complexion,
    garment: Field,
) -> PaintedAtlas:
    """Atlas in which the projected photograph is blended with its continuation.

    Args:
        garment: [h, w] of the picture in [0, 1], clothes and what is continued of them behind the head and its hair.
    """
    c = complexion
    stack = [c.skin, c.hair, c.cover[:, None], c.smooth_cover[:, None], c.beard[:, None], c.clothes[:, None]]
    fields = surface.on_texels(np.concatenate([*stack, surface.head_share[:, None]], 1))
    cover, smooth_cover, beard, clothes, share = (fields[..., k] for k in range(6, 11))
    noise, pores = _noises(surface.atlas_size)
    strands = on_strands(surface.strands, noise)
    skin = fields[..., :3] * (1 + 0.012 * pores)[..., None]
    photo = sample(picture.rgb, texels.pixels, sharp=True)
    texels = replace(texels, trust=texels.trust * (1 - _foreign(picture, texels, photo, fields[..., :3])))
    trust = texels.trust[..., None]
    seen_hair = texels.trust * sample(picture.cover, texels.pixels)
    example = read_example(picture.rgb, picture.masks[Part.HAIR] * picture.solid)
    relief = c.hair_contrast * strands if example is None else borrowed_detail(surface.strands, example, _NOISE_SEED)
    loose = _SOFTER * (1 - 0.9 * smoothstep(smooth_cover, 0.2, 0.5))
    hair = fields[..., 3:6] * (1 + np.clip(relief * loose, -0.6, 0.8))[..., None]
    hairy_hidden = smoothstep(cover + 0.04 * strands, 0.4, 0.6)
    hairy = seen_hair + (1 - texels.trust) * hairy_hidden
    hidden = hair * hairy_hidden[..., None] + skin * (1 - hairy_hidden[..., None])
    dressed = _dressed(picture, texels, clothes, share, garment)
    shown = trust * (1 - dressed[..., None])  # under a collar there is skin, which shows when the head turns
    rgb = np.clip(shown * photo + (1 - shown) * hidden, 0, 255).astype(np.float32)
    return PaintedAtlas(
        rgb=rgb,
        alpha=(smoothstep(share, *_NECK_ENDS) * _within_person(picture, texels, share)).astype(np.float32),
        dressed=dressed,
        rim=_rim(picture, texels, hairy, strands, smooth_cover),
        labels=_labels(surface, picture, texels, hairy_hidden, smooth_cover, beard, share),
        skin=skin.astype(np.float32),
    )


@cache
def _noises(atlas_size: tuple[int, int]) -> tuple[Float32[np.ndarray, "along across"], Field]:
    """Strands, unrolled, and the grain of skin [h, w]: everybody's are the same."""
    rng = np.random.default_rng(_NOISE_SEED)
    return strand_noise(rng, 1024, 384), grain(rng, *atlas_size, 1.2)


def _foreign(picture: PreparedPhotograph, texels: Projection, photo: Colors, skin: Colors) -> Field:
    """Skin seen at a slant that does not look like skin, [h, w] in [0, 1]: hair, spectacles or background beyond it.
    And skin next to a hand: the shade of a finger would stay on a cheek that turns away from it."""
    slanted = 1 - smoothstep(texels.facing, 0.45, 0.65)
    bare = sum_of(picture.masks, (Part.SKIN, Part.EARS))
    color = cv2.GaussianBlur(photo, (0, 0), 1.5)
    difference = mean_of_channels(np.abs(color - skin)) / np.maximum(mean_of_channels(skin), 20)
    odd = slanted * smoothstep(difference, 0.18, 0.35)
    return np.maximum(odd, sample(picture.shaded, texels.pixels)) * sample(bare, texels.pixels)


def _within_person(picture: PreparedPhotograph, texels: Projection, share: Field) -> Field:
    """0 on the lower neck's texels, front and back, that lie where the photograph shows nobody: [h, w] in [0, 1].

    The head model's bust is one of an average body, seen from the front; who stands aslant has no shoulder there
    (the visual hull: nothing of a body projects outside of its silhouette, Laurentini 1994). Towards the photograph's
    border the person fades out, and the bust with it.
    """
    nobody = 1 - smoothstep(sample(picture.matte, texels.pixels), 0.1, 0.9)
    nobody = np.asarray(nobody * (1 - smoothstep(share, *_MOVES_WITH_HEAD)), np.float32)
    return 1 - _open_below(nobody, share)


def _open_below(nobody: Field, share: Field) -> Field:
    """What is taken away from the lower neck's texels, but for patches that do not reach its end: a neck that is drawn
    a little wider than the person's would have a hole, seen from the side."""
    return np.where(pieces_touching(nobody > 0.02, share < _NECK_ENDS[1]), nobody, 0).astype(np.float32)


def _dressed(
    picture: PreparedPhotograph, texels: Projection, clothes: Field, share: Field, garment: Float32[np.ndarray, "ph pw"]
) -> Field:
    """Skin of the neck is drawn with the head; clothes on it, and a hand before it, are left to the body layer, which
    stands still."""
    dressed = texels.trust * np.clip(sample(picture.clothes, texels.pixels), 0, 1)
    behind = sample(garment * (picture.masks.labels == Part.HAIR), texels.pixels) * smoothstep(texels.facing, 0.0, 0.2)
    dressed = dressed + (1 - texels.trust) * np.maximum(smoothstep(clothes, 0.4, 0.6), behind)
    dressed = np.maximum(dressed, sample(picture.held, texels.pixels))  # a hand stands still as well
    dressed = cv2.GaussianBlur(dressed, (0, 0), 1.5) * (1 - smoothstep(share, 0.85, 0.97))
    return smoothstep(dressed, 0.1, 0.4).astype(np.float32)


def _rim(picture: PreparedPhotograph, texels: Projection, hairy: Field, strands: Field, smooth_cover: Field) -> Field:
    """Soft outline of hair: the photograph's matte where it shows the outline, tips of strands elsewhere."""
    matte = sample(picture.matte, texels.pixels)
    # No colour is trusted in the matte's soft band, but the matte itself is what the photograph shows there.
    seen = np.maximum(smoothstep(texels.trust, 0.0, 0.05), smoothstep(texels.facing, *_TURNED_TO_CAMERA))
    tips = np.clip(0.62 + 0.42 * strands, 0, 1)
    tips = tips + (1 - tips) * smooth_cover
    soft = seen * matte + (1 - seen) * tips
    return (1 - hairy * (1 - soft)).astype(np.float32)


def _labels(
    surface: HeadSurface,
    picture: PreparedPhotograph,
    texels: Projection,
    hairy: Field,
    smooth_cover: Field,
    beard: Field,
    share: Field,
) -> ByteMask:
    ears = surface.on_texels(surface.ears[:, None].astype(np.float32))[..., 0] > 0.5
    label = np.where(share < 0.9, Part.NECK, np.where(ears, Part.EARS, Part.SKIN))
    label = np.where(beard > 0.5, Part.BEARD, label)
    label = np.where(hairy > 0.5, np.where(smooth_cover > 0.5, Part.HEADWEAR, Part.HAIR), label)
    column = np.clip(texels.pixels[..., 0].astype(int), 0, picture.matte.shape[1] - 1)
    row = np.clip(texels.pixels[..., 1].astype(int), 0, picture.matte.shape[0] - 1)
    shown = picture.masks.labels[row, column]
    usable = (texels.trust > 0.3) & (shown != Part.BACKGROUND) & ((shown != Part.CLOTHES) | (share < 0.9))
    return np.where(usable, shown, label).astype(np.uint8)

"""Hair, hats, veils, beards, garments and hands painted over a labelled portrait: what is drawn is known exactly.

Drawn in face coordinates (perse.tracking.frame), coarsely: the shapes and their order matter, whose hair it is does
not. Each painter returns a portrait that differs where it painted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int16, UInt8

from perse.curves import smoothstep
from perse.tracking.frame import FaceCoordinates
from perse.tracking.kinds import PixelKind
from perse.training.parsing.textures import SKIN_COLORS, any_color, cloth, hair_color, smooth_noise, strands


@dataclass(frozen=True)
class LabelledPortrait:
    """A portrait whose parts are known.

    Attributes:
        image: RGB.
        kinds: values of `PixelKind`; −1 where nobody knows.
        landmarks_px: mediapipe's.
        source: the picture that it was made from; measuring on a picture leaves out everything that was.
    """

    image: UInt8[np.ndarray, "s s 3"]
    kinds: Int16[np.ndarray, "s s"]
    landmarks_px: Float32[np.ndarray, "478 3"]
    source: str

    @property
    def frame(self) -> FaceCoordinates:
        """Face coordinates of the portrait."""
        return FaceCoordinates.of(self.landmarks_px, self.kinds.shape)  # type: ignore[arg-type]


def put(
    portrait: LabelledPortrait, amount: Float[np.ndarray, "s s"], surface: Float[np.ndarray, "s s 3"], kind: PixelKind
) -> LabelledPortrait:
    """Portrait with a surface over it, as much as `amount` says."""
    soft = cv2.GaussianBlur(amount.astype(np.float32), (0, 0), 0.6)[..., None]
    image = portrait.image * (1 - soft) + np.clip(surface, 0, 255) * soft
    kinds = np.where(amount > 0.5, np.int16(kind), portrait.kinds)
    return replace(portrait, image=np.clip(image + 0.5, 0, 255).astype(np.uint8), kinds=kinds.astype(np.int16))


def long_hair(rng: np.random.Generator, portrait: LabelledPortrait) -> LabelledPortrait:
    """Portrait with hair of a new colour, falling beside the face to anywhere between the jaw and the picture's lower
    edge."""
    frame, shape = portrait.frame, portrait.kinds.shape
    curl = float(rng.random() ** 2)
    surface = strands(rng, hair_color(rng), frame.across, frame.down, curl)
    wobble = (0.03 + 0.08 * curl) * smooth_noise(rng, shape, (8 + 16 * curl, 6 + 10 * curl))  # type: ignore[arg-type]
    across, down = frame.across + wobble, frame.down + wobble
    wide, high = rng.uniform(0.55, 0.62 + 0.3 * curl), rng.uniform(0.78, 0.9 + 0.3 * curl)
    skull = ((across / wide) ** 2 + ((down - 0.05) / high) ** 2 < 1) & (down < 0.1)
    fringe = rng.uniform(-0.45, -0.25) if rng.random() < 0.3 else rng.uniform(-0.6, -0.4)
    amount = skull.copy()
    spread = rng.uniform(0.0, 0.45)
    for side in (-1, 1):
        if rng.random() < 0.12:
            continue
        length = rng.uniform(0.5, 2.3)
        inner = rng.uniform(0.4, 0.47) + np.clip(down - 0.3, 0, 2) * rng.uniform(-0.16, 0.1)
        outer = wide + rng.uniform(-0.05, 0.1) + spread * np.clip(down, 0, 1.6)
        ragged = length + 0.5 * smooth_noise(rng, shape, (3, 40))  # type: ignore[arg-type]
        amount |= (side * across > inner) & (side * across < outer) & (down > -0.1) & (down < ragged)
    face = (np.abs(frame.across) < 0.41 - 0.25 * np.clip(-0.2 - frame.down, 0, 1)) & (
        frame.down > fringe + 0.5 * frame.across**2
    )
    own = portrait.kinds == PixelKind.HAIR
    beside = (np.abs(frame.across) > 0.42) & (frame.down < 2.3)
    covered = (amount & ~(face & ~beside)) | own
    hat = portrait.kinds == PixelKind.HEADWEAR
    return put(portrait, (covered & ~hat).astype(np.float32), surface, PixelKind.HAIR)


def dyed(rng: np.random.Generator, portrait: LabelledPortrait, kind: PixelKind) -> LabelledPortrait:
    """Portrait with the pixels of one kind in another colour, with their own light and shadow."""
    where = portrait.kinds == kind
    if where.sum() < 30:
        return portrait
    color = hair_color(rng) if kind in (PixelKind.HAIR, PixelKind.BEARD) else any_color(rng)
    gray = portrait.image.astype(np.float32).mean(-1)
    mean = max(float(gray[where].mean()), 8.0)
    shade = np.clip(gray / mean, 0.15, 3)[..., None]
    return put(portrait, where.astype(np.float32), color * (1 + (shade - 1) * rng.uniform(0.5, 1.0)), kind)


def new_clothes(rng: np.random.Generator, portrait: LabelledPortrait) -> LabelledPortrait:
    """Portrait in a garment of another cloth, with another neckline; often in the hair's own colour, or with bare
    shoulders."""
    frame, shape = portrait.frame, portrait.kinds.shape
    hair = portrait.kinds == PixelKind.HAIR
    color = any_color(rng)
    if rng.random() < 0.35 and hair.sum() > 50:
        color = np.median(portrait.image[hair], 0).astype(np.float32) * rng.uniform(0.8, 1.25)
    surface = cloth(rng, np.asarray(color, np.float32), shape)  # type: ignore[arg-type]
    shade = cv2.GaussianBlur(portrait.image.astype(np.float32).mean(-1), (0, 0), 2)
    body = (portrait.kinds == PixelKind.CLOTHES) | (
        (portrait.kinds == PixelKind.SKIN) & (frame.down > frame.chin + 0.08)
    )
    if body.sum() < 50:
        return portrait
    surface = surface * (0.6 + 0.4 * np.clip(shade / max(float(shade[body].mean()), 8), 0.3, 1.8))[..., None]
    deep, wide = rng.uniform(-0.05, 0.9) ** 2, rng.uniform(0.2, 0.6)
    if rng.random() < 0.5:
        neck = frame.down < frame.chin + 0.1 + deep * (1 - np.abs(frame.across) / wide)
    else:
        neck = frame.down < frame.chin + 0.1 + deep * np.sqrt(np.clip(1 - (frame.across / wide) ** 2, 0, 1))
    skin = portrait.image[(portrait.kinds == PixelKind.SKIN) & (frame.down < frame.chin)]
    tone = np.median(skin, 0) if len(skin) else np.array(SKIN_COLORS[0])
    bare = (
        np.broadcast_to(tone.astype(np.float32), surface.shape)
        * (0.9 + 0.1 * smooth_noise(rng, shape, (5, 5)))[..., None]
    )  # type: ignore[arg-type]
    dressed = put(portrait, (body & ~neck).astype(np.float32), surface, PixelKind.CLOTHES)
    return put(dressed, (body & neck & (portrait.kinds == PixelKind.CLOTHES)).astype(np.float32), bare, PixelKind.SKIN)


def veil(rng: np.random.Generator, portrait: LabelledPortrait) -> LabelledPortrait:
    """Portrait with a cloth over the head: a veil that shows hair, a scarf tied under the chin, a hood."""
    frame, shape = portrait.frame, portrait.kinds.shape
    across = frame.across + 0.06 * smooth_noise(rng, shape, (7, 7))  # type: ignore[arg-type]
    wide, high = rng.uniform(0.62, 0.9), rng.uniform(0.8, 1.15)
    opening = rng.uniform(0.42, 0.6), rng.uniform(0.5, 0.95 * high)
    spread, length = rng.uniform(0, 0.5), rng.uniform(0.7, 2.4)
    below = np.clip(frame.down, 0, 2)
    outer = np.where(
        frame.down < 0, (across / wide) ** 2 + (frame.down / high) ** 2 < 1, np.abs(across) < wide + spread * below
    )
    tied = rng.random() < 0.4
    closing = 0.45 * np.clip((frame.down - frame.mouth) / 0.5, 0, 1) if tied else -0.25 * below * rng.random()
    inner = np.where(
        frame.down < 0,
        (across / opening[0]) ** 2 + (frame.down / opening[1]) ** 2 < 1,
        np.abs(across) < opening[0] - closing,
    )
    inner &= ~((frame.down > frame.chin + 0.12) & tied)
    amount = outer & ~inner & (frame.down < length)
    for side in (-1, 1):
        if not tied and rng.random() < 0.25:
            amount &= ~((side * across > 0) & (frame.down > rng.uniform(0, 0.6)))
    return put(portrait, amount.astype(np.float32), cloth(rng, any_color(rng), shape), PixelKind.HEADWEAR)  # type: ignore[arg-type]


def hat(rng: np.random.Generator, portrait: LabelledPortrait) -> LabelledPortrait:
    """Portrait with a crown above the brows: turban, beanie, bowler, cap, with or without brim and band."""
    frame, shape = portrait.frame, portrait.kinds.shape
    tilt = rng.normal(0, 0.08)
    across, down = frame.across + 0.03 * smooth_noise(rng, shape, (6, 6)), frame.down + tilt * frame.across  # type: ignore[arg-type]
    edge, wide, high = rng.uniform(-0.52, -0.3), rng.uniform(0.52, 0.75), rng.uniform(0.4, 0.85)
    power = rng.uniform(2, 5)
    crown = (np.abs(across / wide) ** power + np.abs((down - edge) / high) ** power < 1) & (down < edge + 0.06)
    crown |= ((across / wide) ** 2 + ((down - edge) / 0.12) ** 2 < 1) & (rng.random() < 0.6)
    color = any_color(rng)
    surface = cloth(rng, color, shape)  # type: ignore[arg-type]
    round_ = (1 - 0.35 * np.clip(np.abs(across / wide), 0, 1) ** 2).astype(np.float32)
    surface = surface * round_[..., None]
    if rng.random() < 0.4:
        band = (down > edge - rng.uniform(0.1, 0.3)) & (down < edge)
        surface = np.where(band[..., None], any_color(rng) * round_[..., None], surface)
    brim = np.zeros_like(crown)
    if rng.random() < 0.5:
        reach, thick = rng.uniform(0.7, 1.15), rng.uniform(0.04, 0.16)
        brim = (across / reach) ** 2 + ((down - edge + rng.uniform(-0.02, 0.05)) / thick) ** 2 < 1
        surface = np.where((brim & ~crown)[..., None], color * rng.uniform(0.5, 1.0), surface)
    worn = crown | brim
    out = put(portrait, worn.astype(np.float32), surface, PixelKind.HEADWEAR)
    # Hair does not stand out above the hat; there the wall is seen.
    above = (out.kinds == PixelKind.HAIR) & (down < edge - 0.1)
    unknown = portrait.kinds == PixelKind.BACKGROUND
    wall = np.median(portrait.image[unknown], 0) if unknown.any() else np.array([128, 128, 128])
    return put(out, above.astype(np.float32), np.broadcast_to(wall, surface.shape), PixelKind.BACKGROUND)


def beard(rng: np.random.Generator, portrait: LabelledPortrait) -> LabelledPortrait:
    """Portrait with a moustache, a goatee or a full beard of its own or the hair's colour."""
    frame, shape = portrait.frame, portrait.kinds.shape
    rough = 0.03 * smooth_noise(rng, shape, (30, 30))  # type: ignore[arg-type]
    across, down = np.abs(frame.across) + rough, frame.down + rough
    skin = portrait.kinds == PixelKind.SKIN
    lip = (frame.nose + frame.mouth) / 2
    kind = rng.random()
    moustache = (np.abs(down - lip - 0.3 * across**2) < rng.uniform(0.03, 0.07)) & (across < rng.uniform(0.14, 0.24))
    end = frame.chin + rng.uniform(0.0, 0.5 if rng.random() < 0.3 else 0.12)
    chin = (down > frame.mouth + rng.uniform(0.05, 0.1)) & (down < end) & (across < rng.uniform(0.12, 0.3))
    jaw = (down > 0.2 + rng.uniform(0, 0.15)) & (down < end) & (
        across > rng.uniform(0.24, 0.36) - 0.5 * np.clip(down - frame.mouth, 0, 1)
    ) & (across < 0.46)  # fmt: skip
    amount = moustache if kind < 0.3 else (moustache | chin if kind < 0.55 else moustache | chin | jaw)
    mouth = (np.abs(down - frame.mouth) < 0.055) & (across < 0.17)
    beyond = skin | (portrait.kinds == PixelKind.CLOTHES) | ((portrait.kinds == PixelKind.BACKGROUND) & (across < 0.3))
    amount = amount & ~mouth & beyond & (skin | (down > frame.chin - 0.05))
    hair = portrait.kinds == PixelKind.HAIR
    own = rng.random() < 0.6 and hair.sum() > 50
    color = np.median(portrait.image[hair], 0).astype(np.float32) if own else hair_color(rng)
    surface = strands(rng, np.asarray(color, np.float32), frame.across * 2, frame.down * 2, 0.8)
    density = rng.uniform(0.65, 1.0)
    return put(portrait, density * amount.astype(np.float32), surface, PixelKind.BEARD)


def hand(rng: np.random.Generator, portrait: LabelledPortrait) -> LabelledPortrait:
    """Portrait with a hand at the cheek, chin or hair, with a forearm: skin in front of everything."""
    frame, shape = portrait.frame, portrait.kinds.shape
    side = rng.choice([-1, 1])
    x, y = side * rng.uniform(0.2, 0.75), rng.uniform(0.2, 0.9)
    canvas = np.zeros(shape, np.float32)
    centre = np.unravel_index(np.argmin((frame.across - x) ** 2 + (frame.down - y) ** 2), shape)
    px = frame.width_px
    lean = rng.uniform(-0.5, 0.5)
    palm = (int(centre[1]), int(centre[0]))
    cv2.ellipse(canvas, palm, (int(0.15 * px), int(0.22 * px)), float(np.degrees(lean)), 0, 360, 1.0, -1)
    for finger in range(4):
        angle = lean - np.pi / 2 + (finger - 1.5) * rng.uniform(0.08, 0.28)
        start = (int(palm[0] + (finger - 1.5) * 0.07 * px), palm[1])
        reach = rng.uniform(0.25, 0.48) * px
        tip = (int(start[0] + reach * np.cos(angle)), int(start[1] + reach * np.sin(angle)))
        cv2.line(canvas, start, tip, 1.0, max(2, int(0.075 * px)), cv2.LINE_AA)
    elbow = (int(palm[0] + side * rng.uniform(-0.2, 0.6) * px), shape[0] + 10)
    cv2.line(canvas, palm, elbow, 1.0, max(3, int(rng.uniform(0.16, 0.26) * px)), cv2.LINE_AA)
    skin = portrait.image[(portrait.kinds == PixelKind.SKIN) & (frame.down < frame.chin) & (np.abs(frame.across) < 0.3)]
    tone = np.median(skin, 0) if len(skin) else np.array(SKIN_COLORS[1])
    light = cv2.GaussianBlur(canvas, (0, 0), 0.05 * px)
    shade = 0.6 + 0.45 * smoothstep(light, 0.2, 1.0) + 0.06 * smooth_noise(rng, shape, (12, 12))  # type: ignore[arg-type]
    return put(portrait, canvas, tone.astype(np.float32) * shade[..., None], PixelKind.SKIN)

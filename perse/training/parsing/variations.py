"""Variations of a labelled portrait: other hair, hats, clothes, walls, light, framing, lens and compression."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import UInt8

from perse.tracking.kinds import PixelKind
from perse.training.parsing import painting
from perse.training.parsing.painting import LabelledPortrait
from perse.training.parsing.textures import wall

EXAMPLE_PX = 256


@dataclass(frozen=True, kw_only=True)
class VariationConfig:
    """Probabilities of each change."""

    hat: float = 0.22
    """A hat, cap or turban."""
    veil: float = 0.16
    """A veil, scarf or hood."""
    long_hair: float = 0.35
    """Painted hair."""
    dyed_hair: float = 0.4
    """Own hair of another colour."""
    clothes: float = 0.5
    """Another garment."""
    dyed_clothes: float = 0.3
    """The own garment, dyed."""
    beard: float = 0.2
    """A painted beard."""
    hand: float = 0.15
    """A hand in front."""
    wall: float = 0.6
    """Another background."""
    none: float = 0.12
    """Nothing of all this: the picture as it is, in another light."""


def vary(
    rng: np.random.Generator,
    portrait: LabelledPortrait,
    photographs: tuple[UInt8[np.ndarray, "_ _ 3"], ...],
    config: VariationConfig,
) -> LabelledPortrait:
    """A portrait of `EXAMPLE_PX` made from another; the same seed gives the same."""
    example = _framed(rng, portrait)
    if rng.random() > config.none:
        example = _dressed(rng, example, photographs, config)
    return replace(example, image=_photographed(rng, example.image))


def _dressed(
    rng: np.random.Generator,
    example: LabelledPortrait,
    photographs: tuple[UInt8[np.ndarray, "_ _ 3"], ...],
    config: VariationConfig,
) -> LabelledPortrait:
    if rng.random() < config.wall:
        away = (example.kinds == PixelKind.BACKGROUND).astype(np.float32)
        shape = (EXAMPLE_PX, EXAMPLE_PX)
        example = painting.put(example, away, wall(rng, shape, photographs), PixelKind.BACKGROUND)
    if rng.random() < config.dyed_clothes:
        example = painting.dyed(rng, example, PixelKind.CLOTHES)
    if rng.random() < config.clothes:
        example = painting.new_clothes(rng, example)
    if rng.random() < config.dyed_hair:
        example = painting.dyed(rng, example, PixelKind.HAIR)
    if rng.random() < config.beard:
        example = painting.beard(rng, example)
    if rng.random() < config.long_hair:
        example = painting.long_hair(rng, example)
    chance = rng.random()
    if chance < config.veil:
        example = painting.veil(rng, example)
    elif chance < config.veil + config.hat:
        example = painting.hat(rng, example)
    elif (example.kinds == PixelKind.HEADWEAR).any() and rng.random() < 0.5:
        example = painting.dyed(rng, example, PixelKind.HEADWEAR)
    if rng.random() < config.hand:
        example = painting.hand(rng, example)
    return example


def _framed(rng: np.random.Generator, portrait: LabelledPortrait) -> LabelledPortrait:
    """A little turned, moved, nearer or farther. Mirrored are the network's inputs, where it costs nothing."""
    size = portrait.kinds.shape[0]
    scale = EXAMPLE_PX / size * rng.uniform(0.9, 1.1)
    angle = rng.normal(0, 0.08)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = EXAMPLE_PX / 2 + rng.normal(0, 6, 2) - turn @ np.array([size / 2, size / 2])
    matrix = np.concatenate([turn, (shift + turn @ np.array([0.5, 0.5]) - 0.5)[:, None]], 1)
    area = (EXAMPLE_PX, EXAMPLE_PX)
    smooth = cv2.GaussianBlur(portrait.image, (0, 0), max(0.45 / scale - 0.3, 0.1))
    image = cv2.warpAffine(smooth, matrix, area, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kinds = cv2.warpAffine(
        portrait.kinds, matrix, area, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=-1
    )
    points = portrait.landmarks_px.copy()
    points[:, :2] = points[:, :2] @ turn.T + shift
    points[:, 2] *= scale
    return replace(
        portrait,
        image=np.asarray(image, np.uint8),
        kinds=np.asarray(kinds, np.int16),
        landmarks_px=points.astype(np.float32),
    )


def _photographed(rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Exposure, colour cast, contrast, black and white, blur, grain and JPEG."""
    values = image.astype(np.float32) / 255
    values = values ** rng.uniform(0.7, 1.5) * rng.uniform(0.6, 1.15)
    if rng.random() < 0.15:
        values = values.mean(-1, keepdims=True) * (1 + 0.15 * rng.random() * np.array([1, 0.3, -0.8]))
    else:
        values = values * rng.uniform(0.88, 1.12, 3)
    if rng.random() < 0.12:
        values = values * rng.uniform(0.2, 0.6)
    if rng.random() < 0.3:
        values = cv2.GaussianBlur(values.astype(np.float32), (0, 0), rng.uniform(0.4, 1.6))
    values = values + rng.normal(0, rng.uniform(0.002, 0.03), values.shape)
    picture = np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(35, 95))
        _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
    return picture

"""Part masks without a trained parser: landmarks, the person's matte, and colour models learned from this picture.

Every pixel of the person gets probabilities for a few *materials* (skin, hair, clothes, headwear), from colour
mixtures that are re-estimated a few times and from where such material can be; contours from the landmarks then split
the skin into its parts. Working resolution is halved for the estimation; edges come back by a guided filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import PartMasks
from perse.shapes import ByteMask, FaceLandmarks, Picture, SoftMask
from perse.tracking import landmarks as marks
from perse.tracking.beard import beard_mask
from perse.tracking.colors import blur, to_lab
from perse.tracking.exposure import brightened
from perse.tracking.frame import FaceCoordinates
from perse.tracking.hands import find_hands
from perse.tracking.headwear import find_headwear
from perse.tracking.islands import without_islands
from perse.tracking.kinds import FoundKinds, PixelKind
from perse.tracking.materials import Material, estimate_materials
from perse.tracking.person import person_matte, soften_hair_edge
from perse.tracking.polygons import contour_mask, landmark_mask
from perse.tracking.seen_through import without_background
from perse.tracking.silhouette import person_silhouette

Floats = NDArray[np.float32]


class FaceParser(Protocol):
    """Parser of the parts of a portrait."""

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        """Part masks of a picture [h, w, 3] with one face, whose 478 landmarks are given in its pixels.

        Args:
            inside: [h, w], 255 where the picture is a photograph; elsewhere it was made up. All of it if left out.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ProceduralParser:
    """Parser that needs no weights but mediapipe's person mask."""

    brow_darkness: float = 7.0
    """How much darker than the skin around it (CIELAB L) a pixel of a brow is, at half strength."""

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        return self.find(image, landmarks_px, inside).masks()

    def find(self, image: Picture, landmarks_px: FaceLandmarks, inside: ByteMask | None = None) -> FoundKinds:
        """The kinds of pixels, for who goes on from there; arguments as for `parse`."""
        shape = image.shape[:2]
        frame = FaceCoordinates.of(landmarks_px, shape)
        hull = landmark_mask(landmarks_px, marks.FACE_OVAL, shape)
        image = brightened(image, hull > 0.9)
        lab = to_lab(image)
        certain = landmark_mask(landmarks_px, marks.FACE_OVAL, shape, grow=0.97)
        seen = person_silhouette(image, _between_eyes(landmarks_px), frame.width_px)
        person = person_matte(
            image, frame.width_px, smoothstep(certain, 0.4, 0.9), probability=seen.likely, possible=seen.possible
        )
        real = person if inside is None else person * (inside > 0)  # what was made up teaches no colours
        hands = find_hands(image) * (1 - hull)
        materials = estimate_materials(image, lab, real, hull, frame, hands)
        headwear = find_headwear(lab, person, person * materials[Material.HAIR], materials[Material.SKIN], frame)
        hair = materials[Material.HAIR] * (1 - headwear)
        if headwear.any():
            # A hat taught the hair model wrong colours: learn again from what is left.
            materials = estimate_materials(image, lab, real * (1 - headwear), hull, frame, hands)
            hair = materials[Material.HAIR] * (1 - headwear)
        person = without_background(lab, person, hair, frame.width_px)
        person = soften_hair_edge(lab, person, hair, frame.width_px)
        beard = beard_mask(image, lab, landmarks_px, frame, person)
        skin_parts = self._split_skin(lab, landmarks_px, frame, hull, hands)
        shares = _kinds(person, materials, hair, headwear, beard, skin_parts[Part.MOUTH])
        return FoundKinds(without_islands(shares, frame.width_px), person, skin_parts)

    def _split_skin(
        self,
        lab: Float32[np.ndarray, "h w 3"],
        points: FaceLandmarks,
        frame: FaceCoordinates,
        hull: SoftMask,
        hands: SoftMask,
    ) -> dict[Part, Floats]:
        """Soft masks inside the skin; what none of them claims is `Part.SKIN`."""
        shape = lab.shape[:2]
        feather = 0.008 * frame.width_px

        def loop(indices: tuple[int, ...], grow: float) -> Floats:
            return landmark_mask(points, indices, shape, grow=grow, feather_px=feather)

        eyes = np.maximum(loop(marks.LEFT_EYE, 1.12), loop(marks.RIGHT_EYE, 1.12))
        brows = np.maximum(
            self._brow(lab, points, marks.LEFT_BROW, frame), self._brow(lab, points, marks.RIGHT_BROW, frame)
        )
        return {
            Part.MOUTH: loop(marks.LIPS_OUTER, 1.03),
            Part.EYES: eyes,
            Part.BROWS: brows,
            Part.NOSE: landmark_mask(points, marks.NOSE, shape, grow=1.04, feather_px=2 * feather),
            Part.EARS: _ear_zone(frame, hull) * (1 - hands),
            Part.NECK: np.maximum(_neck_zone(points, frame, hull), hands),
        }

    def _brow(
        self, lab: Float32[np.ndarray, "h w 3"], points: FaceLandmarks, loop: tuple[int, ...], frame: FaceCoordinates
    ) -> SoftMask:
        """The brow's hairs: dark against the skin around, inside a generous contour."""
        shape = lab.shape[:2]
        zone = landmark_mask(points, loop, shape, grow=1.25, feather_px=0.012 * frame.width_px)
        core = landmark_mask(points, loop, shape, feather_px=0.008 * frame.width_px)
        ring = (landmark_mask(points, loop, shape, grow=1.7) > 0.5) & (zone < 0.2)
        lightness = blur(lab[..., 0], 0.6)
        around = float(np.percentile(lightness[ring], 60)) if ring.any() else float(lightness.mean())
        dark = smoothstep(around - lightness, 0.35 * self.brow_darkness, 1.8 * self.brow_darkness)
        # Inside the contour proper half a mask is given even where no hair is seen: thin brows are still brows.
        return np.maximum(zone * dark, 0.5 * core).astype(np.float32)


def _between_eyes(points: Floats) -> tuple[float, float]:
    middle = points[[*marks.LEFT_EYE, *marks.RIGHT_EYE], :2].mean(0)
    return float(middle[0]), float(middle[1])


def _ear_zone(frame: FaceCoordinates, hull: SoftMask) -> SoftMask:
    """Beside the face, from the brows to the mouth."""
    beside = smoothstep(np.abs(frame.across), 0.40, 0.46) * smoothstep(np.abs(frame.across), 0.85, 0.75)
    height = smoothstep(frame.down, -0.32, -0.22) * smoothstep(frame.down, 0.62, 0.52)
    return (beside * height * (1 - smoothstep(hull, 0.2, 0.8))).astype(np.float32)


def _neck_zone(points: FaceLandmarks, frame: FaceCoordinates, hull: SoftMask) -> SoftMask:
    """Below the jaw line and outside the face, and beside it from the chin down: shoulders, also raised ones."""
    jaw = points[list(marks.JAW_LINE), :2]
    jaw = jaw[4:-4]  # without the part beside the ears
    height, width = hull.shape
    below = np.concatenate([jaw, [[jaw[-1, 0] - 2 * width, height * 2]], [[jaw[0, 0] + 2 * width, height * 2]]])
    zone = contour_mask(below.astype(np.float32), hull.shape, feather_px=0.01 * frame.width_px, smooth=False)
    shoulders = smoothstep(np.abs(frame.across), 0.55, 0.7) * smoothstep(frame.down, frame.chin - 0.15, frame.chin)
    return (np.maximum(zone, shoulders) * (1 - smoothstep(hull, 0.3, 0.9))).astype(np.float32)


def _kinds(
    person: SoftMask,
    materials: dict[Material, Floats],
    hair: SoftMask,
    headwear: SoftMask,
    beard: SoftMask,
    lips: SoftMask,
) -> Float32[np.ndarray, "k h w"]:
    """Materials divide the person: shares [k, h, w]."""
    shares = np.zeros((len(PixelKind), *person.shape), np.float32)
    shares[PixelKind.BACKGROUND] = 1 - person
    shares[PixelKind.HAIR] = person * hair
    shares[PixelKind.HEADWEAR] = person * headwear
    shares[PixelKind.CLOTHES] = person * materials[Material.CLOTHES] * (1 - headwear)
    skin = np.clip(person - shares[PixelKind.HAIR] - shares[PixelKind.HEADWEAR] - shares[PixelKind.CLOTHES], 0, 1)
    shares[PixelKind.BEARD] = skin * beard * (1 - lips)
    shares[PixelKind.SKIN] = skin - shares[PixelKind.BEARD]
    return shares

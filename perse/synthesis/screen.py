"""Quality screen of edits that are to be trained on: identity, confinement, visibility, landmarks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import EditedPortrait, TrackedPortrait, Verdict
from perse.head import HeadModel
from perse.identity import SAME_PERSON_DISTANCE, DlibEmbedder, FaceEmbedder, identity_distance
from perse.shapes import ByteMask, FaceLandmarks, HardMask, Picture
from perse.tracking.landmarks import FACE_OVAL, N_SURFACE
from perse.tracking.polygons import landmark_mask

# Grey levels (mean of the channels) above which a changed pixel counts as seen.
_SEEN_CHANGE = 10.0

# A finding: score name, score, and the reason for rejection or None.
Finding = tuple[str, float, str | None]


log = logging.getLogger(__name__)

# dlib's detector gave a face with curls and glasses −0.4 to 0, and nothing else in its surroundings as much.
_DOUBTFUL_SCORE = -0.6
_SURROUNDINGS_WIDTHS = 1.8

LandmarkFinder = Callable[[Picture], FaceLandmarks | None]


@dataclass(frozen=True, kw_only=True)
class ProceduralScreenConfig:
    """Thresholds of the screen."""

    max_identity_distance: float = SAME_PERSON_DISTANCE
    """dlib's own threshold for "the same person"; other people are usually beyond 0.65."""

    min_seen_share: float = 0.008
    """Area that must visibly change, in squared face widths: 0.008 is 200 pixels for a face 160 pixels wide, or two
    spots as large as an eye's iris. The least that our own edits changed was 0.034 (thin eyebrows)."""

    min_mean_change: float = 4.0
    """Mean change inside the edit mask, grey levels of 255; the least that our own edits changed was 10."""

    max_mask_share: float = 0.75
    """Largest part of the picture that an edit may touch."""

    max_landmark_distance: float = 0.05
    """Median distance of landmarks found in the edit from the portrait's, in face widths; a long or short nose, which
    takes the mouth along, reaches 0.031."""

    max_face_holes: float = 0.003
    """Share of the face's inside that the edit may turn into background: a pixel or two along a cheek."""

    max_loose_area: float = 0.02
    """Area that the edit may add apart from the person, squared face widths: earrings are smaller."""

    def build(self, head: HeadModel) -> ProceduralScreen:
        """The screen; it looks at pictures only and needs no head model."""
        return ProceduralScreen(self)


class ProceduralScreen:
    """Screen by measurements that need no weights beyond those inside pip packages; see `QualityScreen`."""

    def __init__(
        self,
        config: ProceduralScreenConfig,
        embedder: FaceEmbedder | None = None,
        find_landmarks: LandmarkFinder | None = None,
        near_embedder: FaceEmbedder | None = None,
    ) -> None:
        """Without embedders they are dlib's, without a finder mediapipe's; all load at the first edit.

        Args:
            near_embedder: asked about the face's surroundings where the first finds none (curls and glasses): it may
                take their being a face for granted.
        """
        self._config = config
        self._embedder = embedder or DlibEmbedder()
        if near_embedder is None and embedder is None:  # descriptors of two networks cannot be compared
            near_embedder = DlibEmbedder(least_score=_DOUBTFUL_SCORE)
        self._near_embedder = near_embedder
        self._find_landmarks = find_landmarks
        self._known: tuple[str, NDArray[np.float32] | None] | None = None

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict:
        """Verdict with all measurements, and a reason for every one that fails.

        Raises:
            ValueError: the edit is not of this portrait's size.
        """
        if edited.image.shape != portrait.image.shape or edited.edit_mask.shape != portrait.image.shape[:2]:
            raise ValueError(f"portrait {portrait.image.shape} and edit {edited.image.shape} differ in size")
        findings = list(self._findings(portrait, edited))
        reasons = tuple(reason for _, _, reason in findings if reason is not None)
        scores = tuple(sorted((name, float(score)) for name, score, _ in findings))
        return Verdict(accepted=not reasons, reasons=reasons, scores=scores)

    def _findings(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Iterator[Finding]:
        yield from self._confined(portrait, edited)
        yield from self._visible(portrait, edited)
        yield from self._whole(portrait, edited)
        yield self._same_landmarks(portrait, edited)
        yield from self._same_person(portrait, edited)

    def _confined(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Iterator[Finding]:
        leaked = int(((edited.image != portrait.image).any(-1) & (edited.edit_mask == 0)).sum())
        reason = f"{leaked} pixels changed outside the edit mask" if leaked else None
        yield "leaked_pixels", leaked, reason
        share = float((edited.edit_mask > 0).mean())
        limit = self._config.max_mask_share
        reason = f"the edit mask covers {share:.0%} of the picture, more than {limit:.0%}" if share > limit else None
        yield "mask_share", share, reason

    def _visible(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Iterator[Finding]:
        change = np.abs(edited.image.astype(np.float32) - portrait.image).mean(-1)
        inside = edited.edit_mask > 127
        mean = float(change[inside].mean()) if inside.any() else 0.0
        reason = None
        if mean < self._config.min_mean_change:
            reason = f"the edit changes its region by {mean:.1f} grey levels, less than {self._config.min_mean_change}"
        yield "mean_change", mean, reason
        seen = float((change > _SEEN_CHANGE).sum()) / portrait.face_width_px**2
        reason = None
        if seen < self._config.min_seen_share:
            reason = f"the visible change is {seen:.4f} face widths², less than {self._config.min_seen_share}"
        yield "seen_share", seen, reason

    def _whole(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Iterator[Finding]:
        """What a person sees at once: background inside the face, and pieces that hang on nothing."""
        face = _face(portrait)
        before, after = (masks[Part.BACKGROUND][face] > 0.5 for masks in (portrait.masks, edited.masks))
        share = max(float(after.mean()) - float(before.mean()), 0.0)
        limit = self._config.max_face_holes
        reason = f"background shows in {share:.1%} of the face, more than {limit:.1%}" if share > limit else None
        yield "face_holes", share, reason
        loose = _loose_area(edited.masks.person) - _loose_area(portrait.masks.person)
        area, most = max(loose, 0.0) / portrait.face_width_px**2, self._config.max_loose_area
        reason = f"a piece of {area:.3f} face widths² hangs on nothing, more than {most}" if area > most else None
        yield "loose_area", area, reason

    def _same_landmarks(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Finding:
        found = self._landmarks(edited.image)
        if found is None:
            return "landmark_distance", float("inf"), "no face landmarks were found in the edit"
        moved = np.linalg.norm(found[:N_SURFACE, :2] - portrait.landmarks_px[:N_SURFACE, :2], axis=-1)
        # The median, since an edit may move the landmarks of its own part: a beard those of the jaw, a nose its own.
        distance = float(np.median(moved)) / portrait.face_width_px
        limit = self._config.max_landmark_distance
        if distance <= limit:
            return "landmark_distance", distance, None
        return "landmark_distance", distance, f"landmarks moved by {distance:.3f} face widths, more than {limit}"

    def _same_person(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Iterator[Finding]:
        original = self._portrait_descriptor(portrait)
        if original is None:
            return  # said once: a portrait without a descriptor must not reject every edit of it
        descriptor = self._describe(edited.image, portrait)
        if descriptor is None:
            yield "identity_distance", float("inf"), "no face descriptor could be computed for the edit"
            return
        distance = identity_distance(original, descriptor)
        limit = self._config.max_identity_distance
        reason = None
        if distance >= limit:
            reason = f"another person: descriptor distance {distance:.2f}, limit {limit}"
        yield "identity_distance", distance, reason

    def _portrait_descriptor(self, portrait: TrackedPortrait) -> Float32[np.ndarray, " d"] | None:
        # A run screens one portrait's edits one after the other; its descriptor costs as much as each of theirs.
        if self._known is None or self._known[0] != portrait.key:
            self._known = (portrait.key, self._describe(portrait.image, portrait))
            if self._known[1] is None:
                log.warning("no face descriptor could be computed for the portrait: edits are not tested for identity")
        return self._known[1]

    def _describe(self, image: Picture, portrait: TrackedPortrait) -> Float32[np.ndarray, " d"] | None:
        """The descriptor of the portrait's face in a picture of its size; landmarks say where to look again."""
        found = self._embedder.embed(image)
        if found is not None or self._near_embedder is None:
            return found
        return self._near_embedder.embed(around_face(image, portrait.landmarks_px))

    def _landmarks(self, image: Picture) -> Float32[np.ndarray, "478 3"] | None:
        if self._find_landmarks is None:
            from perse.tracking import detect_landmarks

            self._find_landmarks = detect_landmarks
        return self._find_landmarks(image)


def around_face(image: Picture, landmarks_px: FaceLandmarks) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The square around landmarks [478, 2 or 3], 1.8 face widths wide, as far as the picture reaches."""
    low, high = landmarks_px[:N_SURFACE, :2].min(0), landmarks_px[:N_SURFACE, :2].max(0)
    half = 0.5 * _SURROUNDINGS_WIDTHS * float(high[0] - low[0])
    x, y = 0.5 * (low + high)
    left, top = max(int(x - half), 0), max(int(y - half), 0)
    return np.ascontiguousarray(image[top : int(y + half), left : int(x + half)])


def _face(portrait: TrackedPortrait) -> HardMask:
    """Inside of the face's contour, without its rim, [h, w]."""
    shape = portrait.image.shape[:2]
    return landmark_mask(portrait.landmarks_px, FACE_OVAL, (shape[0], shape[1]), grow=0.92) > 0.5


def _loose_area(person: ByteMask) -> float:
    """Area of the largest piece of a matte [h, w] that hangs together with nothing else, pixels."""
    sizes = cv2.connectedComponentsWithStats((person > 127).astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
    return float(np.sort(sizes)[-2]) if len(sizes) > 1 else 0.0

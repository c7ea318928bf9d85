"""The quality screen: is an edit good enough to train on? Identity, confinement, visibility, landmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perse.data import EditedPortrait, TrackedPortrait, Verdict
from perse.head import HeadModel
from perse.identity import SAME_PERSON_DISTANCE, DlibEmbedder, FaceEmbedder, identity_distance
from perse.tracking.landmarks import N_SURFACE

# Grey levels (mean of the channels) above which a changed pixel counts as seen.
_SEEN_CHANGE = 10.0

# A finding: score name, score, and the reason for rejection or None.
Finding = tuple[str, float, str | None]


LandmarkFinder = Callable[[NDArray[np.uint8]], NDArray[np.float32] | None]


@dataclass(frozen=True, kw_only=True)
class ProceduralScreenConfig:
    """Where the screen draws its lines."""

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

    def build(self, head: HeadModel) -> ProceduralScreen:
        """The screen; it looks at pictures only and needs no head model."""
        return ProceduralScreen(self)


class ProceduralScreen:
    """Decides by measurements that need no weights beyond those inside pip packages; see `QualityScreen`."""

    def __init__(
        self,
        config: ProceduralScreenConfig,
        embedder: FaceEmbedder | None = None,
        find_landmarks: LandmarkFinder | None = None,
    ) -> None:
        """Without an embedder it is dlib's, without a finder mediapipe's; both load at the first edit."""
        self._config = config
        self._embedder = embedder or DlibEmbedder()
        self._find_landmarks = find_landmarks
        self._known: tuple[str, NDArray[np.float32] | None] | None = None

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict:
        """All measurements, and a reason for every one that fails.

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
        yield self._same_landmarks(portrait, edited)
        yield self._same_person(portrait, edited)

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

    def _same_person(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Finding:
        original = self._portrait_descriptor(portrait)
        descriptor = self._embedder.embed(edited.image)
        if original is None or descriptor is None:
            where = "edit" if descriptor is None else "portrait"
            return "identity_distance", float("inf"), f"no face descriptor could be computed for the {where}"
        distance = identity_distance(original, descriptor)
        limit = self._config.max_identity_distance
        if distance < limit:
            return "identity_distance", distance, None
        return "identity_distance", distance, f"another person: descriptor distance {distance:.2f}, limit {limit}"

    def _portrait_descriptor(self, portrait: TrackedPortrait) -> NDArray[np.float32] | None:
        # A run screens one portrait's edits one after the other; its descriptor costs as much as each of theirs.
        if self._known is None or self._known[0] != portrait.key:
            self._known = (portrait.key, self._embedder.embed(portrait.image))
        return self._known[1]

    def _landmarks(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        if self._find_landmarks is None:
            from perse.tracking import detect_landmarks

            self._find_landmarks = detect_landmarks
        return self._find_landmarks(image)

"""Default parser: colour models of the picture, and a small trained network for skin they miss."""

from __future__ import annotations

from dataclasses import dataclass, field

from perse.data import PartMasks
from perse.shapes import ByteMask, FaceLandmarks, Picture
from perse.tracking.detection import face_width
from perse.tracking.learned.correction import with_missed_skin
from perse.tracking.learned.weights import packaged_digest, packaged_network
from perse.tracking.parser import ProceduralParser


@dataclass(frozen=True, kw_only=True)
class LearnedParser:
    """Parser with a trained network; see `perse.tracking.parser.FaceParser`. Deterministic."""

    first: ProceduralParser = field(default_factory=ProceduralParser)
    """What the network corrects."""
    weights: str = field(default_factory=packaged_digest)
    """Digest of the packaged weights: other weights make other parts, so they belong to the portrait's key."""

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        found = self.first.find(image, landmarks_px, inside)
        return with_missed_skin(found, image, landmarks_px, face_width(landmarks_px), packaged_network()).masks()

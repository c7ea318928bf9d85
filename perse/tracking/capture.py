"""A person's own video as a clip: its frames cut out, cut on white, with their parts and the head's parameters.

What an animator makes of a photograph, a video has already: pictures of the person in known poses. They are seen
through the portrait's camera (`perse.tracking.reframing`), so that an avatar may be trained on both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import UNRECORDED, PartMasks, PortraitClip, TrackedPortrait
from perse.data.on_white import laid_on_white
from perse.errors import InputError
from perse.head import HeadModel, HeadParameters
from perse.shapes import ByteMask, Picture
from perse.tracking.colors import blur
from perse.tracking.crop import end_softly, soften_outside
from perse.tracking.detection import face_width
from perse.tracking.learned.parser import LearnedParser
from perse.tracking.parser import FaceParser
from perse.tracking.reframing import Reframed, reframed
from perse.tracking.standing_body import StandingBody, StandingBodyConfig
from perse.tracking.video_file import VideoFile
from perse.tracking.video_tracker import FoundFace, Started, TrackedVideo, VideoTracker, VideoTrackerConfig, unwatched

log = logging.getLogger(__name__)

Image = NDArray[np.uint8]


_MADE_UP_PX = 2.0
"""How far what lies beyond the frame reaches into it by resampling, pixels of the crop."""

_SOLID = 0.95
"""Share of a pixel from which its colour is the person's alone."""


@dataclass(frozen=True)
class FramedPicture:
    """Frame seen by the portrait's camera, and what it sees.

    Attributes:
        frame: where it was brought to.
        crop: [s, s, 3] uint8; inside: [s, s] uint8, 255 where the video's frame reaches.
    """

    frame: Reframed
    crop: UInt8[NDArray[np.uint8], "s s 3"]
    inside: UInt8[NDArray[np.uint8], "s s"]


@dataclass(frozen=True, kw_only=True)
class CaptureConfig:
    """Numbers by which a video becomes a clip."""

    tracker: VideoTrackerConfig = field(default_factory=VideoTrackerConfig)
    """Finds the head in every frame."""
    body: StandingBodyConfig = field(default_factory=StandingBodyConfig)
    """Lays the body of every frame on the portrait's."""
    unseen_share: float = 0.2
    """The video's last part, which is kept for testing."""
    least_frames: int = 40
    """Frames in which the face must be seen."""
    stray_widths: float = 0.25
    """How far from where the person mostly is a pixel of them may lie, face widths: the head turns, hair swings."""
    most_stray: float = 0.01
    """Share of the person's pixels that may lie farther; a frame with more has background in its matte, or a hand
    before the face, and is left out."""
    bleed_px: float = 3.0
    """How far the person's colours reach into the soft edge of the matte, pixels of the crop: what is mixed with the
    video's background there would be a rim on white."""


class Capture:
    """Maker of clips from videos. Deterministic.

    Args:
        model: with embedded landmarks.
        parser: tells the parts apart.
    """

    def __init__(self, config: CaptureConfig, model: HeadModel, parser: FaceParser | None = None) -> None:
        self._config, self._model, self._parser = config, model, parser or LearnedParser()

    def track(
        self, found: FoundFace, fps: float, portrait: TrackedPortrait, started: Started = unwatched
    ) -> TrackedVideo:
        """The portrait's head as it moves in the video.

        Raises:
            InputError: the face is seen too seldom, too small, or fits no head.
        """
        tracked = VideoTracker(self._config.tracker, self._model).fit(
            found, fps, identity=portrait.head, started=started
        )
        if int(tracked.seen.sum()) < self._config.least_frames:
            raise too_short(int(tracked.seen.sum()), self._config)
        return tracked

    def clip(
        self,
        video: VideoFile,
        tracked: TrackedVideo,
        portrait: TrackedPortrait,
        numbers: tuple[Sequence[int], Sequence[int]],
        size_px: int,
        started: Started = unwatched,
    ) -> PortraitClip:
        """Frames of the video as a clip.

        Args:
            tracked: of this video, with the portrait's identity.
            numbers: names of the clip's frames, to train on and to test on: as many of them, at most, are taken from
                the video's first part and from its last, evenly.
            size_px: of its pictures.
        """
        chosen = self.chosen(tracked.seen, *(len(one) for one in numbers))
        named = [*numbers[0][: len(chosen[0])], *numbers[1][: len(chosen[1])]]
        wanted = [number for part in chosen for number in part]
        tick = started("parts", len(wanted))
        images, alphas, parts = [], [], []
        framed = self._framed(video, tracked, portrait, wanted)
        for number, one in zip(wanted, framed, strict=True):
            image, alpha, part = self._shown(one, tracked.landmarks_px[number], portrait, size_px)
            images.append(image)
            alphas.append(alpha)
            parts.append(part)
            tick()
        width_px = portrait.face_width_px * size_px / portrait.image.shape[0]
        kept = self._clean(np.stack(alphas), width_px, len(chosen[1]))
        heads = [one.frame.head for one, clean in zip(framed, kept, strict=True) if clean]
        return PortraitClip(
            key=portrait.key,
            frame_numbers=np.array(named, np.int32)[kept],
            images=np.stack(images)[kept],
            alphas=np.stack(alphas)[kept],
            parts=np.stack(parts)[kept],
            parameters=HeadParameters(
                portrait.head.betas, portrait.head.vertex_offsets,
                torch.stack([head.expression for head in heads]), torch.stack([head.pose for head in heads]),
            ),
            camera=portrait.camera.resized(size_px, size_px),
        )  # fmt: skip

    def _framed(
        self, video: VideoFile, tracked: TrackedVideo, portrait: TrackedPortrait, wanted: Sequence[int]
    ) -> list[FramedPicture]:
        """Frames seen by the portrait's camera, on their bodies where these are found in most of them: turns that are
        told by the body and turns that are told by landmarks alone differ, and an avatar could meet only one kind.

        The video is decoded once; whole frames are not kept, since a minute of them fills the memory.
        """
        body = StandingBody(portrait, self._model, self._config.body)
        side = portrait.image.shape[0]
        first, settled = [], []
        for number, picture in _pictures(video, wanted):
            plain = reframed(tracked, number, portrait, self._model)
            found = body.settled(plain, picture, tracked.landmarks_px[number])
            first.append(FramedPicture(plain, *plain.picture(picture, side)))
            settled.append(first[-1] if found is plain else FramedPicture(found, *found.picture(picture, side)))
        if len(first) != len(wanted):
            raise InputError(f"{len(wanted) - len(first)} of {len(wanted)} frames of the video cannot be decoded again")
        again = sum(a is not b for a, b in zip(first, settled, strict=True))
        log.info("the body is found again in %d of %d frames", again, len(wanted))
        return settled if again > len(wanted) / 2 else first

    def chosen(self, seen: Bool[NDArray[np.bool_], " f"], train: int, test: int) -> tuple[list[int], list[int]]:
        """Frames of the video to train on, and to test on.

        Args:
            seen: [f].
            train, test: how many at most.
        """
        frames = np.flatnonzero(seen)
        border = round(len(frames) * (1 - self._config.unseen_share))
        return _spread(frames[:border], train), _spread(frames[border:], test)

    def _clean(self, alphas: Image, width_px: float, n_test: int) -> NDArray[np.bool_]:
        """Frames [f] whose matte shows the person and nothing else.

        Args:
            alphas: [f, s, s].
            width_px: of the face.
            n_test: how many of them, the last, are kept unseen.

        Raises:
            InputError: these are less than half of the frames, or none of those to train or to test on.
        """
        person = alphas > 127
        radius = max(1, round(self._config.stray_widths * width_px))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        usual = cv2.dilate((np.median(alphas, axis=0) > 127).astype(np.uint8), kernel) > 0
        stray = (person & ~usual).sum((1, 2)) / np.maximum(person.sum((1, 2)), 1)
        kept = stray <= self._config.most_stray
        if kept.sum() < 0.5 * len(kept) or not kept[-n_test:].any() or not kept[:-n_test].any():
            raise InputError(
                f"in {len(kept) - int(kept.sum())} of {len(kept)} frames the person cannot be told from the "
                "background; record them in front of a plain wall of another colour than skin, hair and clothes"
            )
        return np.asarray(kept)

    def _shown(
        self,
        framed: FramedPicture,
        points_px: NDArray[np.float32],
        portrait: TrackedPortrait,
        size_px: int,
    ) -> tuple[Image, Image, Image]:
        """Picture on white, alpha and part map of one frame, at the clip's size."""
        points, inside = framed.frame.points(points_px), framed.inside
        crop = soften_outside(framed.crop, inside)
        masks = self._parser.parse(crop, points, inside=inside)
        # Beyond the portrait's border nobody is shown, as in the clips of its edits; beyond the frame's, who knows.
        masks = end_softly(masks, portrait.inside, face_width(points))
        image, alpha = (
            _resized(one, size_px) for one in (on_white(crop, masks.person, self._config.bleed_px), masks.person)
        )
        parts = _labels(masks, size_px, alpha)
        unseen = _unseen(inside, portrait.inside, size_px)
        image[unseen], alpha[unseen], parts[unseen] = 255, 0, UNRECORDED
        return image, alpha, parts


def too_short(seen: int, config: CaptureConfig) -> InputError:
    """Refusal of a video that shows the face in so many frames."""
    return InputError(
        f"the face is seen in {seen} frames, at least {config.least_frames} are needed; give a longer video "
        "(ten seconds in which the head turns to both sides, and speaks)"
    )


def on_white(image: Picture, alpha: ByteMask, bleed_px: float) -> Picture:
    """Person [h, w, 3] on white. In the soft edge of the matte [h, w] the person's own colours are continued from
    within, as far as `bleed_px`."""
    share = (alpha / np.float32(255))[..., None]
    solid = (share > _SOLID).astype(np.float32)
    amount = blur(solid[..., 0], bleed_px)[..., None]
    within = blur(image * solid, bleed_px) / np.maximum(amount, 1e-6)
    known = np.clip(amount / 0.05, 0, 1) * (1 - solid)
    own = known * within + (1 - known) * image
    return laid_on_white(own, share[..., 0])


def _labels(masks: PartMasks, size_px: int, alpha: Image) -> Image:
    """Values of `Part` [s, s]: background where less than half of a pixel is the person's."""
    strongest = np.stack([_resized(part, size_px) for part in masks.soft[1:]]).argmax(0) + 1
    return np.where(alpha > 127, strongest, Part.BACKGROUND).astype(np.uint8)


def _unseen(inside: Image, portraits: Image, size_px: int) -> NDArray[np.bool_]:
    """Pixels [s, s] that the portrait shows and the frame does not, or only with what was made up beside them."""
    away = cv2.distanceTransform((inside > 0).astype(np.uint8), cv2.DIST_L2, 5)
    missing = (away <= _MADE_UP_PX) & (not inside.all()) & (portraits > 0)
    return _resized(missing.astype(np.uint8) * 255, size_px) > 0


def _resized(image: Image, size_px: int) -> Image:
    shrinks = size_px < len(image)
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size_px, size_px), interpolation=method), np.uint8)


def _pictures(video: VideoFile, wanted: Sequence[int]) -> Iterator[tuple[int, Image]]:
    """Some frames of a video, in order."""
    left = set(wanted)
    for number, picture in enumerate(video.frames()):
        if number in left and picture is not None:
            left.discard(number)
            yield number, picture
        if not left:
            return


def _spread(frames: NDArray[np.intp], count: int) -> list[int]:
    """At most so many of the frames, evenly."""
    places = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    return [int(n) for n in frames[places]]

"""Person in a video, found before a build begins: landmarks of every frame, and the frame that stands for them.

Finding them takes as long as the video has frames, and the build's photograph depends on it; so what was found is kept
in the workspace under a key of all that decides it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.data.file_digests import file_digest
from perse.data.keys import content_key
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays
from perse.data.workspace import Workspace
from perse.errors import InputError, PortraitError, WorkspaceError
from perse.identity import DlibEmbedder
from perse.recipes import Recipe
from perse.shapes import Picture
from perse.tracking import HeadTracker
from perse.tracking.capture import CaptureConfig
from perse.tracking.good_frame import good_frames
from perse.tracking.landmarks import N_SURFACE
from perse.tracking.selection import SelectionConfig, faces_to_choose
from perse.tracking.video_file import VideoFile, open_video
from perse.tracking.video_tracker import FoundFace, Started, VideoTracker, unwatched
from perse_ray.rows.fingerprint import fingerprint

log = logging.getLogger(__name__)

VIDEO = "portrait/video.json"
"""Which video the workspace's person was found in."""

FOUND = {"landmarks_px", "faces", "photograph", "number", "face_of_photograph"}
"""What is kept of a person."""

LOOKED_AT = 3
"""Frames in which it is made sure that other faces are faces."""

LIKELY_SCORE = -0.4
"""Of dlib's detector: what it says of a face with curls and glasses at the least [M]."""

TRIED = 8
"""Frames that are tried as the portrait."""


@dataclass(frozen=True, kw_only=True)
class RecordedPerson:
    """Person in a video.

    Attributes:
        video: to be decoded again.
        digest: of the file's content.
        face: where they are in the video, and how many others.
        photograph: [h, w, 3], the frame that stands for them; number: of it.
        face_of_photograph: which of its faces, from 1 at the left; None where there is one.
        config: how the video becomes a clip.
    """

    video: VideoFile
    digest: str
    face: FoundFace
    photograph: UInt8[NDArray[np.uint8], "h w 3"]
    number: int
    face_of_photograph: int | None
    config: CaptureConfig


def find_recorded(
    workspace: Workspace,
    path: Path,
    recipe: Recipe,
    *,
    face: int | None = None,
    config: CaptureConfig | None = None,
    started: Started = unwatched,
) -> RecordedPerson:
    """Find the person, or remember them.

    Args:
        face: which of several, counted from 1 at the left.

    Raises:
        InputError: the file is no video that can be read, nobody or several people are in it, or no frame of it can be
            a portrait.
        WorkspaceError: the workspace belongs to another video or portrait.
    """
    config = config or CaptureConfig()
    video = open_video(path)
    digest = file_digest(path)
    _check_owner(workspace, digest)
    key = content_key("recorded", digest, face, config, recipe.tracker, recipe.head, fingerprint(config, recipe.head))
    place = f"portrait/recorded-{key}.npz"
    kept = _kept(workspace, place)
    if kept is None:
        kept = _found(video, recipe, face, config, started)
        # The video's name first: a run that ends between the two has lost a few minutes, and no workspace.
        workspace.write_json(VIDEO, {"sha256": digest, "frame": int(kept["number"])})
        workspace.write(place, arrays_to_npz(kept))
    chosen = int(kept["face_of_photograph"])
    return RecordedPerson(
        video=video,
        digest=digest,
        face=FoundFace(kept["landmarks_px"], int(kept["faces"])),  # type: ignore[arg-type]
        photograph=kept["photograph"],  # type: ignore[arg-type]
        number=int(kept["number"]),
        face_of_photograph=chosen or None,
        config=config,
    )


def _kept(workspace: Workspace, place: str) -> Mapping[str, NDArray[np.generic]] | None:
    """What an earlier run found; None if there was none, or its file is damaged."""
    if not workspace.has(place):
        return None
    try:
        kept = npz_to_arrays(workspace.read(place))
    except (ValueError, OSError, EOFError, BadZipFile, KeyError):
        log.warning("%s is damaged: the person is looked for again", place)
        return None
    return kept if set(kept) == FOUND else None


def _check_owner(workspace: Workspace, digest: str) -> None:
    """Another video would be refused after minutes of looking for faces: it is refused now."""
    owner = workspace.owner()
    if owner is not None and not (workspace.has(VIDEO) and workspace.read_json(VIDEO).get("sha256") == digest):
        raise WorkspaceError(
            f"{workspace.location} holds the avatar of another video or portrait (identity {owner}); choose another "
            "--workspace"
        )


def _found(
    video: VideoFile, recipe: Recipe, face: int | None, config: CaptureConfig, started: Started
) -> Mapping[str, NDArray[np.generic]]:
    head = recipe.head.load()
    found = VideoTracker(config.tracker, head).find(video, face=face, started=started)
    tracker, reason = recipe.tracker.build(head), "the face is never seen"
    if found.faces > 1 and face is None and _others(video, found.landmarks_px, tracker):
        raise InputError(
            f"the video shows {found.faces} faces; choose one with --face N, counted from 1 at the left, or cut the "
            "others off"
        )
    for number in good_frames(found.landmarks_px, head)[:TRIED]:
        picture = _frame(video, number)
        which = _which_face(picture, found.landmarks_px[number])
        try:
            tracker.track(picture, face=which)
        except PortraitError as error:
            log.info("frame %d cannot be the portrait: %s", number, error)
            reason = str(error)
            continue
        return {
            "landmarks_px": found.landmarks_px,
            "faces": np.array(found.faces),
            "photograph": picture,
            "number": np.array(number),
            "face_of_photograph": np.array(which or 0),
        }
    raise InputError(f"no frame of {video.path.name} can be the portrait; the best one: {reason}")


def _others(video: VideoFile, points_px: NDArray[np.float32], tracker: HeadTracker) -> bool:
    """Whether somebody else is there who could be a portrait: what a detector takes for a face may be a wheel."""
    seen = np.flatnonzero(np.isfinite(points_px[:, 0, 0]))
    looked_at = {int(number) for number in seen[:: max(1, len(seen) // LOOKED_AT)]}
    for number, picture in enumerate(video.frames()):
        if number in looked_at and picture is not None:
            covered = _covered(picture, points_px[number])
            count = len(faces_to_choose(covered, SelectionConfig()))
            if any(_is_somebody(covered, place, tracker) for place in range(1, count + 1)):
                return True
    return False


def _covered(picture: Picture, points_px: NDArray[np.float32]) -> Picture:
    """The picture without a face: the landmark network would look at that one instead of a wheel beside it."""
    low, high = points_px[:N_SURFACE, :2].min(0), points_px[:N_SURFACE, :2].max(0)
    (left, top), (right, bottom) = (low - 0.3 * (high - low)).clip(0), high + 0.2 * (high - low)
    covered = picture.copy()
    covered[int(top) : int(bottom), int(left) : int(right)] = picture.mean((0, 1)).astype(np.uint8)
    return covered


def _is_somebody(picture: Picture, face: int, tracker: HeadTracker) -> bool:
    """Whether two detectors that have nothing in common agree: landmarks lie on a blurred wheel as on a face."""
    try:
        portrait = tracker.track(picture, face=face)
    except PortraitError:
        return False
    return DlibEmbedder(least_score=LIKELY_SCORE).embed(portrait.image) is not None


def _frame(video: VideoFile, number: int) -> Picture:
    picture = next(picture for n, picture in enumerate(video.frames()) if n == number)
    assert picture is not None, "a face was seen in it"
    return picture


def _which_face(picture: Picture, points_px: NDArray[np.float32]) -> int | None:
    """The number of the face with these landmarks among those that a tracker would ask about; None of a single one."""
    boxes = faces_to_choose(picture, SelectionConfig())
    if len(boxes) < 2:
        return None
    x, y = points_px[:N_SURFACE, :2].mean(0)
    off = [abs(box.left + box.width / 2 - x) + abs(box.top + box.height / 2 - y) for box in boxes]
    return 1 + int(np.argmin(off))

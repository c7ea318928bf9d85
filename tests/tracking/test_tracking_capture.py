"""A video as a clip: the movement through the picture is undone, the head's parameters fit, strays are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tolerances import PIXELS

from perse.attributes import Part
from perse.data import PartMasks, TrackedPortrait
from perse.errors import InputError
from perse.export.video import mp4_bytes
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, Joint, pose_head
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.seams import Shot
from perse.tracking.capture import Capture, CaptureConfig, _unseen, on_white
from perse.tracking.good_frame import good_frames
from perse.tracking.reframing import Reframed, reframed
from perse.tracking.standing_body import StandingBody
from perse.tracking.video_file import VideoFile, open_video
from perse.tracking.video_tracker import FoundFace, TrackedVideo, VideoTracker, VideoTrackerConfig

FRAMES, FPS, SIZE, GREEN = 14, 6.0, 320, (40, 160, 60)


@dataclass(frozen=True)
class OffGreen:
    """A parser for people before a green wall: everything else is skin."""

    def parse(
        self, image: NDArray[np.uint8], landmarks_px: NDArray[np.float32], *, inside: NDArray[np.uint8] | None = None
    ) -> PartMasks:
        person = np.where(np.abs(image.astype(int) - GREEN).max(-1) > 60, 255, 0).astype(np.uint8)
        soft = np.zeros((len(Part), *person.shape), np.uint8)
        soft[Part.SKIN], soft[Part.BACKGROUND] = person, 255 - person
        return PartMasks(soft, person)


@dataclass(frozen=True)
class Filmed:
    """A film, and what was before the camera.

    Attributes:
        images: [f, s, s, 3] on green, by a camera that stood still; alphas: [f, s, s].
        moved: [f, 2, 3], from there to the film's frames.
        performed: the motion.
    """

    path: Path
    images: NDArray[np.uint8]
    alphas: NDArray[np.uint8]
    moved: NDArray[np.float64]
    performed: HeadParameters


@pytest.fixture(scope="module")
def filmed(
    tmp_path_factory: pytest.TempPathFactory, head_model: HeadModel, tracked_astronaut: TrackedPortrait
) -> Filmed:
    """The person turns a little, and is carried to the side and nearer while they do."""
    time = np.linspace(0, 1, FRAMES)
    pose = torch.zeros(FRAMES, head_model.n_joints, 3)
    pose[:, Joint.NECK, 1] = torch.from_numpy(0.3 * np.sin(2 * np.pi * time))
    performed = HeadParameters(torch.zeros(0), torch.zeros(0, 3), torch.zeros(FRAMES, head_model.n_expression), pose)
    shot = Shot(np.arange(FRAMES, dtype=np.int32), performed, SIZE)
    clip = ProceduralAnimatorConfig().build(head_model).animate(tracked_astronaut, None, shot)
    share = np.asarray(clip.alphas[:])[..., None] / np.float32(255)
    images = (np.asarray(clip.images[:]) - 255 * (1 - share) + np.array(GREEN) * (1 - share)).clip(0, 255)
    zoom, shift = 1 + 0.12 * time, 40 * time
    moved = np.stack([[[z, 0, 60 + s], [0, z, 20 + 0.3 * s]] for z, s in zip(zoom, shift, strict=True)])
    frames = [
        cv2.warpAffine(image.astype(np.uint8), matrix, (480, 400), flags=cv2.INTER_CUBIC, borderValue=GREEN)
        for image, matrix in zip(images, moved, strict=True)
    ]
    path = tmp_path_factory.mktemp("film") / "moved.mp4"
    path.write_bytes(mp4_bytes(frames, FPS))
    return Filmed(path, images.astype(np.uint8), np.asarray(clip.alphas[:]), moved, performed)


@pytest.fixture(scope="module")
def found(filmed: Filmed, head_model: HeadModel) -> FoundFace:
    return VideoTracker(VideoTrackerConfig(), head_model).find(open_video(filmed.path))


@pytest.fixture(scope="module")
def capture(head_model: HeadModel) -> Capture:
    return Capture(CaptureConfig(least_frames=FRAMES - 2), head_model, OffGreen())


@pytest.fixture(scope="module")
def tracked(capture: Capture, found: FoundFace, tracked_astronaut: TrackedPortrait) -> TrackedVideo:
    return capture.track(found, FPS, tracked_astronaut)


def test_frames_are_what_a_camera_that_stands_still_would_have_seen(
    capture: Capture, tracked: TrackedVideo, filmed: Filmed, tracked_astronaut: TrackedPortrait
) -> None:
    clip = capture.clip(open_video(filmed.path), tracked, tracked_astronaut, (range(6), range(400, 402)), SIZE)
    assert clip.frame_numbers.tolist() == [0, 1, 2, 3, 4, 5, 400, 401] and clip.key == tracked_astronaut.key
    train, test = capture.chosen(tracked.seen, 6, 2)
    for row, number in enumerate([*train, *test]):
        share = filmed.alphas[number][..., None] / np.float32(255)
        truth = filmed.images[number] * share + 255 * (1 - share)
        face = clip.images[row][110:210, 115:205].astype(float), truth[110:210, 115:205].astype(float)
        off, _ = cv2.phaseCorrelate(*(_edges(picture) for picture in face))
        assert np.hypot(*off) < 3, (number, off)  # the film moves it by 50
        body = clip.images[row][225:300, 60:240].astype(float), truth[225:300, 60:240].astype(float)
        off, _ = cv2.phaseCorrelate(*(_edges(picture) for picture in body))
        assert np.hypot(*off) < 1.5, (number, off)
    turn = clip.parameters.pose[:, Joint.NECK, 1] - filmed.performed.pose[[*train, *test], Joint.NECK, 1]
    assert float((turn - turn.median()).abs().max()) < np.radians(5)
    assert torch.equal(clip.parameters.betas, tracked_astronaut.head.betas)
    assert torch.equal(clip.camera.world_to_camera, tracked_astronaut.camera.world_to_camera)
    assert {int(value) for value in np.unique(clip.parts)} == {int(Part.BACKGROUND), int(Part.SKIN)}


def test_a_video_is_decoded_once(
    capture: Capture,
    tracked: TrackedVideo,
    filmed: Filmed,
    tracked_astronaut: TrackedPortrait,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To find the body again and to cut the parts are two steps; decoding a film of minutes twice is the dearer one."""
    video, begun, frames = open_video(filmed.path), [], VideoFile.frames

    def counted(file: VideoFile) -> Any:
        begun.append(file)
        return frames(file)

    monkeypatch.setattr(VideoFile, "frames", counted)
    clip = capture.clip(video, tracked, tracked_astronaut, (range(3), range(400, 401)), 64)
    assert len(begun) == 1 and len(clip.images) == 4


def test_a_body_that_is_seldom_found_is_left_alone(
    capture: Capture,
    tracked: TrackedVideo,
    filmed: Filmed,
    head_model: HeadModel,
    tracked_astronaut: TrackedPortrait,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frames of two kinds of turns would be worse than frames of the worse kind."""
    wanted, settled = [1, 4, 7, 9], StandingBody.settled
    first = [reframed(tracked, number, tracked_astronaut, head_model) for number in wanted]

    def turns(found_in: int) -> list[bool]:
        left = iter(range(len(wanted)))

        def sometimes(body: StandingBody, frame: Reframed, picture: Any, points_px: Any) -> Reframed:
            return settled(body, frame, picture, points_px) if next(left) < found_in else frame

        monkeypatch.setattr(StandingBody, "settled", sometimes)
        framed = capture._framed(open_video(filmed.path), tracked, tracked_astronaut, wanted)
        return [torch.equal(a.head.pose, b.frame.head.pose) for a, b in zip(first, framed, strict=True)]

    assert turns(2) == [True] * 4
    assert turns(3) == [False, False, False, True]


def test_what_the_frame_does_not_reach_is_unrecorded_where_the_portrait_shows_it() -> None:
    inside, portraits = np.full((80, 80), 255, np.uint8), np.full((80, 80), 255, np.uint8)
    assert not _unseen(inside, portraits, 40).any()
    inside[60:], portraits[:, 60:] = 0, 0
    missing = _unseen(inside, portraits, 40)
    assert missing[31:, :30].all() and missing[30, :29].all() and not missing[:29].any() and not missing[:, 30:].any()


def test_the_identity_that_is_given_is_kept(tracked: TrackedVideo, tracked_astronaut: TrackedPortrait) -> None:
    assert torch.allclose(tracked.head.betas, tracked_astronaut.head.betas)
    assert torch.allclose(tracked.head.vertex_offsets, tracked_astronaut.head.vertex_offsets)
    assert tracked.seen.all() and float(np.nanmean(tracked.rms_px)) < 2.0


def test_a_short_video_is_refused(head_model: HeadModel, found: FoundFace, tracked_astronaut: TrackedPortrait) -> None:
    with pytest.raises(InputError, match=f"seen in {FRAMES} frames, at least 40"):
        Capture(CaptureConfig(), head_model, OffGreen()).track(found, FPS, tracked_astronaut)


def _somewhere(model: HeadModel, portrait: TrackedPortrait, shift: tuple[float, float, float]) -> TrackedVideo:
    """One frame in which the portrait's head stands elsewhere."""
    camera = portrait.camera
    head = HeadParameters(
        portrait.head.betas, portrait.head.vertex_offsets, portrait.head.expression[None], portrait.head.pose[None]
    )
    translation = camera.world_to_camera[:3, 3] + torch.tensor(shift)
    window, points = (0.0, 0.0, float(camera.width)), np.zeros((1, 478, 3), np.float32)
    pose = camera.world_to_camera.clone()
    pose[:3, 3] = translation
    points[0, model.landmark_ids.numpy(), :2] = _pixels(model, portrait.head, replace(camera, world_to_camera=pose))
    return TrackedVideo(head, camera, translation[None], window, points, np.ones(1, bool), np.zeros(1), (0,), 1, 25.0)


def _edges(picture: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a shift is seen by: lids, nostrils, lips."""
    grey = picture.mean(-1).astype(np.float32)
    return grey - cv2.GaussianBlur(grey, (0, 0), 6)


def _pixels(model: HeadModel, head: HeadParameters, camera: Camera) -> NDArray[np.float32]:
    """Landmarks [l, 2]."""
    return camera.project(model.landmarks(pose_head(model, head).vertices))[0].numpy()


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.25, -0.1, 0.0), (0.0, 0.0, 0.3), (-0.2, 0.15, -0.25)])
def test_the_head_lies_where_the_portraits_camera_sees_it(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait, shift: tuple[float, float, float]
) -> None:
    video = _somewhere(head_model, tracked_astronaut, shift)
    frame = reframed(video, 0, tracked_astronaut, head_model)
    seen = _pixels(head_model, video.head.frame(0), video.head_camera(0))
    brought = frame.points(np.concatenate([seen, np.zeros((len(seen), 1))], 1).astype(np.float32))[:, :2]
    wanted = _pixels(head_model, frame.head, tracked_astronaut.camera)
    off = np.linalg.norm(brought - wanted, axis=1)
    assert np.linalg.norm((brought - wanted).mean(0)) < 1.0
    assert off.max() < 0.02 * tracked_astronaut.face_width_px  # perspective: nose and ears differ in their distance
    if not any(shift):
        # Pixels and radians: float32 rounding of the same fit.
        assert np.allclose(frame.matrix / frame.matrix[2, 2], np.eye(3), atol=PIXELS)
        assert torch.allclose(frame.head.pose, tracked_astronaut.head.pose, atol=1e-5)


def test_the_first_good_frame_is_straight_still_and_at_rest(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait
) -> None:
    points = np.repeat(tracked_astronaut.landmarks_px[None], 12, 0)
    points[0, [87, 14, 317, 402, 318, 324, 178, 88, 95, 308], 1] += 25  # an open mouth
    points[1] = np.nan
    points[2, [159, 158, 160, 386, 385, 387], 1] += 8  # closed eyes
    points[3] += 40  # blurred: the next frame is elsewhere
    assert good_frames(points, head_model)[0] == 5
    assert set(good_frames(points, head_model)) == set(range(12)) - {1}
    assert good_frames(np.full((3, 478, 3), np.nan, np.float32), head_model) == []


def test_frames_with_strays_in_their_mattes_are_left_out(head_model: HeadModel) -> None:
    alphas = np.zeros((8, 100, 100), np.uint8)
    alphas[:, 30:90, 30:70] = 255
    alphas[3, 5:15, 80:100] = 255
    capture = Capture(CaptureConfig(), head_model, OffGreen())
    assert capture._clean(alphas, 30, 2).tolist() == [True] * 3 + [False] + [True] * 4
    alphas[6:, 5:15, 80:100] = 255  # nothing is left to test on
    with pytest.raises(InputError, match="3 of 8 frames the person cannot be told from the background"):
        capture._clean(alphas, 30, 2)


def test_soft_edges_take_the_persons_colour_and_not_the_walls() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :20], image[:, 20:] = (200, 120, 100), GREEN
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:, :20], alpha[:, 20] = 255, 128
    shown = on_white(image, alpha, 3.0)
    assert np.abs(shown[20, 20].astype(int) - (227, 187, 177)).max() <= 2  # half of the person, half white
    assert (shown[20, 0] == (200, 120, 100)).all() and (shown[20, 30] == 255).all()

"""LivePortrait around its networks: window, driver, template, batches, and everything that may be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from liveportrait_stand_in import BrokenGenerator, NoHead, stand_in_networks
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from perse.attributes import Category, Part
from perse.data import AttributePrompt, EditedPortrait, PartMasks, PortraitClip, TrackedPortrait
from perse.data.motion_file import Motion, write_motion
from perse.errors import GenerationError, InputError, MissingWeightsError, PerseError, RecipeError
from perse.export import mp4_bytes
from perse.head import HeadModel, HeadParameters, Joint
from perse.recipes.filming import Filming
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.production.animator_by_category import VOLUMINOUS, AnimatorByCategoryConfig
from perse.synthesis.production.liveportrait import (
    AbsoluteMotion,
    CropFraming,
    LivePortraitAnimator,
    LivePortraitConfig,
    RenderedDriving,
    VideoDriving,
)
from perse.synthesis.production.liveportrait.crop import HeadCrop
from perse.synthesis.production.liveportrait.driving import INPUT_PX, DrivingPictures, nearest_frame
from perse.synthesis.production.liveportrait.openness import Openness
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig
from perse.synthesis.seams import PortraitAnimator, Shot
from perse.tracking import detect_landmarks
from perse.tracking import landmarks as marks

SIZE = 128
FRAMING = CropFraming()


@dataclass(frozen=True)
class Brightness:
    """A parser for tests: what is not white is skin."""

    blind: bool = False

    def build(self, device: str = "") -> Brightness:
        return self

    def segment(self, image: np.ndarray) -> PartMasks:
        person = np.where((image < 250).any(-1) & (not self.blind), 255, 0).astype(np.uint8)
        soft = np.zeros((len(Part), *person.shape), np.uint8)
        soft[Part.BACKGROUND], soft[Part.SKIN] = 255 - person, person
        return PartMasks(soft, person)

    def parse(self, image: np.ndarray, landmarks_px: np.ndarray) -> PartMasks:
        return self.segment(image)

    def knows(self, category: Category) -> bool:
        return False


@dataclass(frozen=True)
class Shifted:
    """A driver whose picture moves to the right by some pixels of 256 in each frame."""

    pixels: tuple[int, ...]
    anchor_openness: Openness | None = None
    calls: list[str] = field(default_factory=list, compare=False)

    def build(self, head: HeadModel) -> Shifted:
        return self

    def drive(self, portrait: TrackedPortrait, shot: Shot, framing: CropFraming) -> DrivingPictures:
        self.calls.append(portrait.key)
        picture = HeadCrop.around(portrait.landmarks_px, framing).cut(portrait.image, INPUT_PX)
        padded = np.pad(_on_white(picture), ((0, 0), (80, 80), (0, 0)), constant_values=255)
        frames = [padded[:, 80 - by : 80 - by + INPUT_PX] for by in self.pixels]
        return DrivingPictures(iter(frames), padded[:, 80 : 80 + INPUT_PX], self.anchor_openness)


def _on_white(picture: np.ndarray) -> np.ndarray:
    """Something dark in the middle of white, whose middle is easily found."""
    white = np.full_like(picture, 255)
    white[100:160, 100:160] = 0
    return white


def shot_of(portrait: TrackedPortrait, frames: int) -> Shot:
    own = portrait.head
    motion = HeadParameters(
        torch.zeros(0), torch.zeros(0, 3), own.expression.repeat(frames, 1), own.pose.repeat(frames, 1, 1)
    )
    return Shot(np.arange(frames, dtype=np.int32), motion, SIZE)


def animator(head: HeadModel, driving: Shifted, networks: dict[str, nn.Module] | None = None, **other: object):  # type: ignore[no-untyped-def]
    config = LivePortraitConfig(**{"driving": driving, "segmenter": Brightness(), **other})  # type: ignore[arg-type]
    return LivePortraitAnimator(config, stand_in_networks(**(networks or {})), head)


def edit_of(portrait: TrackedPortrait, category: Category = Category.NOSE, **other: object) -> EditedPortrait:
    prompt = AttributePrompt(f"{category.value}-0000", category, (), "a test", 0)
    mask = np.zeros(portrait.image.shape[:2], np.uint8)
    edit = EditedPortrait("edited", prompt, portrait.image, portrait.masks, mask, (), None, ())
    return replace(edit, **other)  # type: ignore[arg-type]


# The window


def test_the_window_is_upright_centred_and_as_large_as_published(tracked_astronaut: TrackedPortrait) -> None:
    points = tracked_astronaut.landmarks_px[:, :2].astype(np.float64)
    turn = Rotation.from_euler("z", 25, degrees=True).as_matrix()[:2, :2]
    turned = (points - 256) @ turn.T + 256
    for landmarks in (points, turned):
        crop = HeadCrop.around(landmarks, FRAMING)
        inside = landmarks @ crop.matrix[:, :2].T + crop.matrix[:, 2]
        eyes = [inside[list(loop)].mean(0) for loop in (marks.RIGHT_EYE, marks.LEFT_EYE)]
        mouth = inside[list(marks.MOUTH_CORNERS)].mean(0)
        assert abs(mouth[0] - (eyes[0][0] + eyes[1][0]) / 2) < 1e-6  # the mouth straight below the eyes
        assert mouth[1] > eyes[0][1] and eyes[1][0] > eyes[0][0]
        face = inside[[*marks.JAW_LINE, *marks.LEFT_BROW_UPPER, *marks.RIGHT_BROW_UPPER]]
        assert np.ptp(face, 0).max() == pytest.approx(1 / FRAMING.scale)
        middle = (face.min(0) + face.max(0)) / 2
        assert middle == pytest.approx([0.5, 0.5 + FRAMING.up])


def test_what_is_cut_out_and_put_back_is_where_it_was(tracked_astronaut: TrackedPortrait) -> None:
    image = cv2.GaussianBlur(tracked_astronaut.image, (0, 0), 2.0)  # free of detail that resampling loses
    points = tracked_astronaut.landmarks_px[:, :2].astype(np.float64)
    turned = (points - 256) @ Rotation.from_euler("z", 20, degrees=True).as_matrix()[:2, :2].T + 256
    for landmarks in (points, turned):
        crop = HeadCrop.around(landmarks, FRAMING)
        weight = crop.weight(image, FRAMING)
        assert weight.max() == 1 and 0.2 < (weight > 0.99).mean() < 0.8
        back = crop.put_back(crop.cut(image, 512), np.zeros_like(image), weight)
        inside = weight == 1
        error = np.abs(back.astype(float) - image)[inside]
        assert error.mean() < 0.6 and np.percentile(error, 99) < 4  # half a pixel off would be 3 and 18
        assert (back[weight == 0] == 0).all()
        small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
        shrunk = crop.resized(0.5)
        again = shrunk.put_back(crop.cut(image, 512), np.zeros_like(small), shrunk.weight(small, FRAMING))
        inside = shrunk.weight(small, FRAMING) == 1
        assert np.abs(again.astype(float) - small)[inside].mean() < 1.0


def test_openness_is_height_over_width() -> None:
    points = np.zeros((478, 3), np.float32)
    points[33, 0], points[133, 0], points[159, 1], points[145, 1] = 0, 30, -3, 6
    points[263, 0], points[362, 0], points[386, 1], points[374, 1] = 130, 100, -3, 0
    points[61, 0], points[291, 0], points[13, 1], points[14, 1] = -20, 20, 0, 10
    assert Openness.of(points) == Openness((pytest.approx(0.3), pytest.approx(0.1)), pytest.approx(0.25))


# Motion


def test_the_head_moves_as_the_driver_does(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> None:
    """16 of 256 pixels of the window to its right and left; the window is 72 % of the picture and 3° askew."""
    shot = replace(shot_of(tracked_astronaut, 3), size_px=384)
    clip = animator(head_model, Shifted((0, 16, -16))).animate(tracked_astronaut, None, shot)
    crop = HeadCrop.around(tracked_astronaut.landmarks_px, FRAMING)
    across = crop.matrix[0, :2] / np.square(crop.matrix[0, :2]).sum()  # the window's upper edge, in the portrait
    step = 16 / 256 * across * 384 / len(tracked_astronaut.image)
    still = detect_landmarks(clip.images[0])
    for frame, direction in ((1, 1), (2, -1)):
        found = detect_landmarks(clip.images[frame])
        assert still is not None and found is not None
        moved = np.median(found - still, 0)
        assert moved[:2] == pytest.approx(direction * step, abs=0.4)  # landmarks tremble; the step is 17 px


def test_the_driver_performs_once_for_all_edits(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> None:
    driver = Shifted((0, 5, 9))
    made = animator(head_model, driver)
    shot = shot_of(tracked_astronaut, 3)
    for edited in (None, edit_of(tracked_astronaut), edit_of(tracked_astronaut, Category.MOUTH)):
        made.animate(tracked_astronaut, edited, shot)
    assert len(driver.calls) == 1
    made.templates.of(tracked_astronaut, replace(shot, frame_numbers=shot.frame_numbers + 1))
    assert len(driver.calls) == 2


@pytest.mark.parametrize(
    "other", [{"frames_at_once": 1}, {"frames_at_once": 2}, {"frames_at_once": 2, "compile": True}]
)
def test_batches_leave_no_trace(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait, other: dict[str, object]
) -> None:
    """A compiled network's last batch is filled up, and the filling thrown away."""
    shot = shot_of(tracked_astronaut, 3)
    together = animator(head_model, Shifted((0, 9, -4))).animate(tracked_astronaut, None, shot)
    apart = animator(head_model, Shifted((0, 9, -4)), **other).animate(tracked_astronaut, None, shot)
    assert np.array_equal(together.images, apart.images)


class Remembers(NoHead):
    """A head that keeps what it was asked."""

    def __init__(self, outputs: int, asked: list[Tensor]) -> None:
        super().__init__(outputs)
        self.asked = asked

    def forward(self, keypoints: Tensor, change: Tensor) -> Tensor:
        self.asked.append(change)
        return super().forward(keypoints, change)


@pytest.mark.parametrize(("wanted", "lips", "eyes"), [(None, 0, 0), ((0.3, 0.0), 1, 0), ((0.02, 0.09), 0, 1)])
def test_lips_and_eyes_are_brought_into_line_with_a_stranger_at_rest(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait, wanted: tuple[float, float] | None, lips: int, eyes: int
) -> None:
    """The sample smiles with lips a little apart; the portrait's own rendering needs no bringing into line."""
    own = Openness.of(tracked_astronaut.landmarks_px)
    anchor = None
    if wanted is not None:
        eye = wanted[0] if eyes else sum(own.eyes) / 2
        anchor = Openness((eye, eye), wanted[1] if lips else own.lips)
    asked: dict[str, list[Tensor]] = {"lips": [], "eyes": []}
    heads = {name: Remembers(63, seen) for name, seen in asked.items()}
    made = animator(head_model, Shifted((0,), anchor), heads)
    made.animate(tracked_astronaut, None, shot_of(tracked_astronaut, 1))
    assert (len(asked["lips"]), len(asked["eyes"])) == (lips, eyes)
    # Heights over widths, detected again in the window that the networks see: a pixel of it is 0.03 of an eye's width.
    if lips:
        assert asked["lips"][0].tolist()[0] == pytest.approx([own.lips, 0.0], abs=0.05)
    if eyes:
        assert asked["eyes"][0].tolist()[0] == pytest.approx([*own.eyes, 0.02], abs=0.05)


def test_stitching_can_be_weaker(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> None:
    class Right(NoHead):
        def forward(self, keypoints: Tensor, change: Tensor) -> Tensor:
            return torch.cat([keypoints.new_zeros(len(keypoints), 63), keypoints.new_tensor([[0.2, 0.0]])], 1)

    frames = [
        animator(head_model, Shifted((0,)), {"stitching": Right(65)}, stitching=strength)
        .animate(tracked_astronaut, None, shot_of(tracked_astronaut, 1))
        .images[0]
        for strength in (0.0, 0.5, 1.0)
    ]
    plain = animator(head_model, Shifted((0,))).animate(tracked_astronaut, None, shot_of(tracked_astronaut, 1))
    assert np.array_equal(frames[0], plain.images[0])
    half, whole = (np.abs(frame.astype(int) - frames[0]).mean() for frame in frames[1:])
    assert 0 < half < whole


# The rendered driver


def test_the_rendered_driver_at_the_portraits_pose_is_the_portrait(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait
) -> None:
    """So source and anchor agree, and what is relative to the anchor is absolute."""
    driver = RenderedDriving(film=ProceduralAnimatorConfig()).build(head_model)
    shot = shot_of(tracked_astronaut, 2)
    shot.motion.pose[1, Joint.NECK, 1] += 0.4
    pictures = driver.drive(tracked_astronaut, shot, FRAMING)
    own, turned = pictures.frames
    assert np.array_equal(own, pictures.anchor) and pictures.openness is None
    source = HeadCrop.around(tracked_astronaut.landmarks_px, FRAMING).cut(tracked_astronaut.image, INPUT_PX)
    middle = (slice(90, 190), slice(90, 170))
    assert np.abs(own[middle].astype(float) - source[middle]).mean() < 6
    assert np.abs(turned[middle].astype(float) - source[middle]).mean() > 15


# A video


@pytest.fixture(scope="module")
def video(head_model: HeadModel, tracked_astronaut: TrackedPortrait, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of the sample, the head turning from 0.5 rad to its own pose and beyond, with its motion beside."""
    folder = tmp_path_factory.mktemp("video")
    shot = replace(shot_of(tracked_astronaut, 10), size_px=320)
    shot.motion.pose[:, Joint.NECK, 1] += torch.linspace(0.5, -0.4, 10)
    clip = ProceduralAnimatorConfig().build(head_model).animate(tracked_astronaut, None, shot)
    (folder / "me.mp4").write_bytes(mp4_bytes(clip.images, 25.0))
    names = head_model.expression_names, head_model.joint_names
    write_motion(folder / "me.npz", Motion.of_parameters(shot.motion, *names, fps=25.0))
    return folder / "me.mp4"


def test_a_video_of_ones_own_drives(head_model: HeadModel, tracked_astronaut: TrackedPortrait, video: Path) -> None:
    filming = Filming(size_px=SIZE, motion=video.with_suffix(".npz"))
    assert (filming.train_frames, filming.test_frames) == (tuple(range(8)), (8, 9))
    shot = filming.shot(head_model)
    driver = VideoDriving(video=video).build(head_model)
    pictures = driver.drive(tracked_astronaut, shot, FRAMING)
    frames = list(pictures.frames)
    assert len(frames) == 10 and frames[0].shape == (INPUT_PX, INPUT_PX, 3)
    assert np.array_equal(frames[5], pictures.anchor), "the frame at the portrait's own pose"
    own = Openness.of(tracked_astronaut.landmarks_px)
    # Heights over widths, detected in a rendering of 320 px that was compressed: two of its pixels.
    assert pictures.openness is not None and pictures.openness.lips == pytest.approx(own.lips, abs=0.06)
    made = animator(head_model, VideoDriving(video=video), transfer=AbsoluteMotion())  # type: ignore[arg-type]
    clip = made.animate(tracked_astronaut, None, shot)
    assert len(clip) == 10 and torch.equal(clip.parameters.pose, shot.motion.pose)


def test_the_anchor_is_turned_like_the_portrait_before_it_smiles_like_it(tracked_astronaut: TrackedPortrait) -> None:
    motion = shot_of(tracked_astronaut, 3).motion
    motion.pose[0, Joint.NECK, 0] -= 0.3  # looks up, with the portrait's smile
    motion.expression[1] = 0  # a neutral face, straight
    motion.pose[1, Joint.NECK, 0] += 0.05
    motion.pose[2, Joint.NECK, 1] += 0.5
    assert nearest_frame(motion, tracked_astronaut.head) == 1


def test_videos_that_cannot_drive_are_refused_in_one_line(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait, video: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 96, 96, 3), np.uint8)
    (tmp_path / "noise.mp4").write_bytes(mp4_bytes(noise, 25.0))
    shot = shot_of(tracked_astronaut, 10)
    for path, asked, message in (
        (tmp_path / "noise.mp4", shot, r"noise\.mp4 shows no face in frame 0"),
        (video, shot_of(tracked_astronaut, 12), "ends before frame"),
        (tmp_path / "nothing.mp4", shot, "cannot be read"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            list(VideoDriving(video=path).build(head_model).drive(tracked_astronaut, asked, FRAMING).frames)
        assert "\n" not in str(caught.value)


def test_a_motion_too_short_to_be_divided_is_refused(head_model: HeadModel, tmp_path: Path) -> None:
    turn = np.zeros((1, 3), np.float32)
    write_motion(tmp_path / "one.npz", Motion(25.0, {}, {head_model.joint_names[1]: turn}))
    with pytest.raises(RecipeError, match="two frames at least"):
        _ = Filming(motion=tmp_path / "one.npz").train_frames


# Bad input


def test_edits_that_cannot_be_animated_are_refused_in_one_line(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait
) -> None:
    portrait, shot = tracked_astronaut, shot_of(tracked_astronaut, 1)
    faceless = edit_of(portrait, image=np.full_like(portrait.image, 128))
    made = animator(head_model, Shifted((0,)))
    blind = animator(head_model, Shifted((0,)), segmenter=Brightness(blind=True))
    landmarks = animator(head_model, Shifted((0,)), segmenter=LandmarkSegmenterConfig())
    for who, edited, message in (
        (made, faceless, "no face is seen in the edit"),
        (blind, edit_of(portrait), r"the edit cannot be parsed: the person covers 0\.0%"),
        (landmarks, faceless, "no face is seen in the edit"),
    ):
        with pytest.raises(GenerationError, match=message) as caught:
            who.animate(portrait, edited, shot)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "frame 3 .* NaN"), (0.0, "frame 3 .* is black")])
def test_broken_frames_are_refused_by_number(
    head_model: HeadModel, tracked_astronaut: TrackedPortrait, value: float, message: str
) -> None:
    made = animator(head_model, Shifted((0, 1, 2, 3, 4)), {"generator": BrokenGenerator(value)})
    with pytest.raises(GenerationError, match=message):
        made.animate(tracked_astronaut, edit_of(tracked_astronaut), shot_of(tracked_astronaut, 5))


def test_without_weights_the_refusal_is_one_line_with_the_command(
    head_model: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=r"licence: MIT; .*models fetch liveportrait"):
        LivePortraitConfig(driving=Shifted(())).build(head_model)


# One animator here, another there


@dataclass(frozen=True)
class Signing:
    """An animator that only says who it is."""

    name: str
    built: list[str] = field(default_factory=list, compare=False)

    def build(self, head: HeadModel) -> PortraitAnimator:
        self.built.append(self.name)
        return self

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        raise PerseError(self.name)


def _filmed_by(made: PortraitAnimator, portrait: TrackedPortrait, edits: Sequence[EditedPortrait | None]) -> list[str]:
    names = []
    for edited in edits:
        with pytest.raises(PerseError) as caught:
            made.animate(portrait, edited, shot_of(portrait, 1))
        names.append(str(caught.value))
    return names


def test_every_category_has_its_animator(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> None:
    built: list[str] = []
    champ, live = Signing("champ", built), Signing("live", built)
    config = AnimatorByCategoryConfig(default=live, by_category=tuple((one, champ) for one in VOLUMINOUS))
    edits = [None, *(edit_of(tracked_astronaut, category) for category in Category)]
    found = _filmed_by(config.build(head_model), tracked_astronaut, edits)
    table_4 = ["live", "champ", "live", "champ", "live", "champ", "champ", "champ", "live", "live"]
    assert found == table_4 and built == ["live", "champ"]
    with pytest.raises(RecipeError, match="one animator, got hat, hat"):
        AnimatorByCategoryConfig(default=live, by_category=((Category.HAT, champ), (Category.HAT, live)))

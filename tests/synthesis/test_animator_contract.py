"""What every animator owes the pipeline, whatever films: the same tests over all of them.

A new animator is one more line of `CASES`: how to build it, and how near its first frame must come to the edit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from liveportrait_stand_in import stand_in_networks
from tiny_checkpoints import save_torchscript_segmenter
from tiny_liveportrait import TINY, converted_weights, tiny_networks

from perse.attributes import Category, Part
from perse.data import AttributePrompt, EditedPortrait, PartMasks, PortraitClip, TrackedPortrait
from perse.head import HeadModel, HeadParameters, Joint, pose_head
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.production.liveportrait import LivePortraitAnimator, LivePortraitConfig, RenderedDriving
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig, TorchscriptSegmenterConfig
from perse.synthesis.seams import PortraitAnimator, Shot

SIZE, YAWS = 128, (0.0, 0.3, -0.3)
DRIVING = RenderedDriving(film=ProceduralAnimatorConfig(), size_px=256)


def procedural(head: HeadModel, folder: Path) -> PortraitAnimator:
    return ProceduralAnimatorConfig().build(head)


def liveportrait(head: HeadModel, folder: Path) -> PortraitAnimator:
    """With networks that move the picture as it is."""
    config = LivePortraitConfig(driving=DRIVING, segmenter=LandmarkSegmenterConfig(), frames_at_once=2)
    return LivePortraitAnimator(config, stand_in_networks(), head)


def liveportrait_at_random(head: HeadModel, folder: Path) -> PortraitAnimator:
    """As a build makes it, from files; what random weights draw shows nothing."""
    weights = converted_weights(tiny_networks(), folder / "weights")
    segmenter = _torchscript_segmenter(folder)
    return LivePortraitConfig(driving=DRIVING, weights=weights, shape=TINY, segmenter=segmenter).build(head)


def portrait_champ_at_random(head: HeadModel, folder: Path) -> PortraitAnimator:
    """As its training leaves it; what random weights draw shows nothing."""
    pytest.importorskip("diffusers", reason="the production extra is not installed")
    from champ_tiny_networks import networks

    from perse.recipes.champ import champ_tiny
    from perse.synthesis.production.portrait_champ.storage import networks_to_files

    recipe = replace(champ_tiny(), segmenter=_torchscript_segmenter(folder))
    for name, content in networks_to_files(networks(recipe.sizes, moves=True), {}, recipe.name).items():
        (folder / name).write_bytes(content)
    return replace(recipe.animator(folder), guidance_folder=folder / "guidance").build(head)


def _torchscript_segmenter(folder: Path) -> TorchscriptSegmenterConfig:
    save_torchscript_segmenter(folder / "segmenter.ts")
    return TorchscriptSegmenterConfig(file=folder / "segmenter.ts", size_px=(64, 64))


@dataclass(frozen=True)
class Case:
    """An animator.

    Attributes:
        name: of the test.
        build: makes it, with a folder for files that it needs.
        nearness_db: PSNR of the face in a frame at the portrait's own pose, against the edit; None where networks have
            random weights, which draw nothing like it.
        travel_px: how far the mouth travels at least when the head turns. Networks by hand follow what is dark in the
            driving picture, and that is mostly hair, which hardly leaves its place.
    """

    name: str
    build: Callable[[HeadModel, Path], PortraitAnimator]
    nearness_db: float | None
    travel_px: float = 0.0


CASES = (
    Case("procedural", procedural, 28.0, travel_px=2.0),
    Case("liveportrait", liveportrait, 28.0),
    Case("liveportrait, random weights", liveportrait_at_random, None),
    Case("portrait-champ, random weights", portrait_champ_at_random, None),
)


@dataclass(frozen=True)
class Filmed:
    """What an animator made of the sample portrait and of an edit with other lips."""

    case: Case
    shot: Shot
    reference: PortraitClip
    edit: PortraitClip
    edited: EditedPortrait
    again: PortraitClip


@pytest.fixture(scope="module")
def shot(tracked_astronaut: TrackedPortrait) -> Shot:
    """Its own pose, then turned to both sides."""
    own = tracked_astronaut.head
    pose = own.pose.repeat(len(YAWS), 1, 1)
    for index, yaw in enumerate(YAWS):
        pose[index, Joint.NECK, 1] += yaw
    motion = HeadParameters(torch.zeros(0), torch.zeros(0, 3), own.expression.repeat(len(YAWS), 1), pose)
    return Shot(np.array([7, 40, 41], np.int32), motion, SIZE)


@pytest.fixture(scope="module")
def edited(tracked_astronaut: TrackedPortrait) -> EditedPortrait:
    """Blue lips, in image and masks alone, as a diffusion model delivers an edit."""
    portrait = tracked_astronaut
    lips = portrait.masks[Part.MOUTH] > 0.5
    image = portrait.image.copy()
    image[lips] = (40, 60, 190)
    prompt = AttributePrompt("mouth-0000", Category.MOUTH, (), "blue lips", 0)
    return EditedPortrait("edited", prompt, image, portrait.masks, lips.astype(np.uint8) * 255, (), None, ())


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def filmed(
    request: pytest.FixtureRequest,
    head_model: HeadModel,
    tracked_astronaut: TrackedPortrait,
    edited: EditedPortrait,
    shot: Shot,
    tmp_path_factory: pytest.TempPathFactory,
) -> Filmed:
    case: Case = request.param
    animator = case.build(head_model, tmp_path_factory.mktemp("animator"))
    other = case.build(head_model, tmp_path_factory.mktemp("other"))
    return Filmed(
        case=case,
        shot=shot,
        reference=animator.animate(tracked_astronaut, None, shot),
        edit=animator.animate(tracked_astronaut, edited, shot),
        edited=edited,
        again=other.animate(tracked_astronaut, edited, shot),
    )


def test_frames_are_those_of_the_shot(filmed: Filmed, tracked_astronaut: TrackedPortrait) -> None:
    for clip, key in ((filmed.reference, tracked_astronaut.key), (filmed.edit, filmed.edited.key)):
        assert clip.key == key
        assert np.array_equal(clip.frame_numbers, filmed.shot.frame_numbers) and clip.frame_numbers.dtype == np.int32
        assert clip.images.shape == (3, SIZE, SIZE, 3) and clip.images.dtype == np.uint8
        assert clip.alphas.shape == clip.parts.shape == (3, SIZE, SIZE)
        assert clip.alphas.dtype == clip.parts.dtype == np.uint8
        assert (clip.camera.width, clip.camera.height) == (SIZE, SIZE)


def test_the_camera_is_the_portraits_at_the_clips_size(filmed: Filmed, tracked_astronaut: TrackedPortrait) -> None:
    wanted = tracked_astronaut.camera.resized(SIZE, SIZE)
    for clip in (filmed.reference, filmed.edit):
        assert torch.allclose(clip.camera.intrinsics, wanted.intrinsics)
        assert torch.allclose(clip.camera.world_to_camera, wanted.world_to_camera)


def test_head_parameters_are_the_motion_with_the_portraits_identity(
    filmed: Filmed, tracked_astronaut: TrackedPortrait
) -> None:
    for clip in (filmed.reference, filmed.edit):
        found, own = clip.parameters, tracked_astronaut.head
        assert torch.equal(found.pose, filmed.shot.motion.pose)
        assert torch.equal(found.expression, filmed.shot.motion.expression)
        assert torch.equal(found.betas, own.betas) and torch.equal(found.vertex_offsets, own.vertex_offsets)


def test_alpha_and_parts_are_there_and_agree(filmed: Filmed) -> None:
    for clip in (filmed.reference, filmed.edit):
        assert ((clip.parts == Part.BACKGROUND) == (clip.alphas <= 127)).all()
        assert int(clip.parts.max()) <= max(Part)
        for alpha, parts in zip(clip.alphas, clip.parts, strict=True):
            assert 0.03 < (alpha > 127).mean() < 0.97
            assert len(np.unique(parts)) >= 3
        assert (clip.images[clip.alphas == 0] == 255).all()


def test_the_first_frame_is_the_edit(filmed: Filmed, tracked_astronaut: TrackedPortrait) -> None:
    """It is taken at the portrait's own pose: skin as in the portrait, and the lips that were asked for."""
    if filmed.case.nearness_db is None:
        pytest.skip("random weights")
    small = cv2.resize(filmed.edited.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    face = _core(tracked_astronaut.masks, (Part.SKIN, Part.NOSE, Part.MOUTH))
    error = (filmed.edit.images[0].astype(float) - small)[face]
    assert 10 * np.log10(255**2 / (error**2).mean()) >= filmed.case.nearness_db
    lips = _core(tracked_astronaut.masks, (Part.MOUTH,))
    blue, red = filmed.edit.images[0][lips].mean(0), filmed.reference.images[0][lips].mean(0)
    assert blue[2] > blue[0] + 80 and red[0] > red[2]


def test_the_edit_stays_where_it_is(filmed: Filmed) -> None:
    """In all frames: another mouth changes neither hair nor shoulders."""
    if filmed.case.nearness_db is None:
        pytest.skip("random weights")
    changed = (np.abs(filmed.edit.images.astype(int) - filmed.reference.images) > 24).any(-1)
    assert changed.any((1, 2)).all()
    near = (filmed.reference.parts == Part.HAIR) | (filmed.reference.parts == Part.CLOTHES)
    assert (changed & near).sum() < 0.01 * near.sum()


def test_pictures_parts_and_head_agree_in_every_frame(filmed: Filmed, head_model: HeadModel) -> None:
    """The lips are blue where the parts have a mouth, and go where the parameters say that the head went."""
    if filmed.case.nearness_db is None:
        pytest.skip("random weights")
    clip = filmed.edit
    places = []
    for image, parts in zip(clip.images, clip.parts, strict=True):
        mouth = parts == Part.MOUTH
        assert mouth.sum() >= 20
        lips = image[mouth].astype(int)
        assert np.median(lips[:, 2] - lips[:, 0]) > 40, "the parts are those of another frame, or the edit is gone"
        places.append(np.nonzero(mouth)[1].mean())
    landmarks = head_model.landmarks(pose_head(head_model, clip.parameters).vertices)
    middles = clip.camera.project(landmarks)[0][..., 0].mean(1)
    for place, middle in zip(places[1:], middles[1:], strict=True):
        assert (place - places[0]) * float(middle - middles[0]) > 0, "it turns to the other side"
        assert abs(place - places[0]) > filmed.case.travel_px, "nothing moves"


def test_the_same_edit_gives_the_same_bytes(filmed: Filmed) -> None:
    """In another process's animator, which has filmed nothing before."""
    for name in ("images", "alphas", "parts"):
        assert np.array_equal(getattr(filmed.edit, name), getattr(filmed.again, name)), name


def _core(masks: PartMasks, parts: tuple[Part, ...]) -> np.ndarray:
    """Where some parts are, at the frames' size and away from their borders."""
    there = np.isin(masks.labels, parts).astype(np.uint8)
    small = cv2.resize(there, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return cv2.erode(small, np.ones((3, 3), np.uint8)) > 0
